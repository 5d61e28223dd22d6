"""Do our corruptions hurt a classifier as much as those of imagecorruptions do? An equivalence test.

    python benchmarks/shift_effect.py --peer /path/to/peer/bin/python [--root .] [--draws 2] [--only fog]

Runs in the project's environment after `make run`: EfficientNet-Lite0 with the probe of the benchmark
`things`, on the photographs of `twelve_photo` (test and val), enlarged to 224 px, where no size is scaled.
`--peer` is the Python of an environment with imagecorruptions-imaug. Each photograph is corrupted by both,
`--draws` times where the corruption is random; the top-1 errors are paired.

The difference (ours - the peer's, in points) is averaged per photograph over levels and draws; equivalent
means that its 90% interval (t, over photographs) lies within 2 points: two one-sided tests at 5%.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import stats

from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.imagecorruptions import corrupt, get_corruption_names

MARGIN = 2.0
SIDE = 224
FIXED = (
    "defocus_blur",
    "zoom_blur",
    "gaussian_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "saturate",
)
Corrupts = Callable[[np.ndarray, str, int, int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", required=True, help="python with imagecorruptions-imaug")
    parser.add_argument("--root", type=Path, default=Path(), help="output root of a finished run")
    parser.add_argument("--draws", type=int, default=2, help="of each random corruption")
    parser.add_argument("--only", help="one corruption")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = list(photographs(options.root))
    classify = classifier(options.root)
    peer = served(options.peer)
    print(f"{len(photos)} photographs, 5 levels, {options.draws} draws of the random ones")
    print("| corruption | n | error | peer | difference [90%] | equivalent within 2 points |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in [options.only] if options.only else get_corruption_names("all"):
        draws = 1 if name in FIXED else options.draws
        own = errors(photos, classify, ours, name, draws)
        theirs = errors(photos, classify, peer, name, draws)
        print(line(name, own, theirs), flush=True)


def photographs(root: Path) -> Iterator[Sample]:
    for split in ("test", "val"):
        for sample in shards.read(root / f"data/shards/twelve_photo/{split}/identity/0"):
            image = cv2.resize(sample.fields["image"], (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            yield sample.with_field("image", image)


def classifier(root: Path) -> Callable[[list[Sample]], np.ndarray]:
    """Return samples -> predicted classes."""
    weights = root / "checkpoints/twelve_photo/efficientnet_lite0-linear_probe-s0.safetensors"
    model = registry.find("models", "efficientnet_lite0")
    predict = nets.load_predictor(model, weights, registry.defaults(model), nets.classes_of(weights), "auto")
    return lambda samples: predict(samples)["logits"].argmax(axis=1)


def ours(image: np.ndarray, name: str, level: int, draw: int) -> np.ndarray:
    return corrupt(image, level, name, seed=draw)


def served(python: str) -> Corrupts:
    """Start the peer; returns its corruptions."""
    script = Path(__file__).with_name("imagecorruptions_server.py")
    server = subprocess.Popen([python, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    to, back = server.stdin, server.stdout

    def ask(image: np.ndarray, name: str, level: int, draw: int) -> np.ndarray:
        request = {"name": name, "level": level, "draw": draw, "shape": image.shape}
        to.write(json.dumps(request).encode() + b"\n" + image.tobytes())
        to.flush()
        return np.frombuffer(back.read(image.size), np.uint8).reshape(image.shape)

    return ask


def errors(
    photos: list[Sample], classify: Callable[[list[Sample]], np.ndarray], by: Corrupts, name: str, draws: int
) -> np.ndarray:
    """Return top-1 errors (photographs, levels x draws)."""
    labels = np.array([photo.fields["label"] for photo in photos])
    columns = []
    for level in range(1, 6):
        for draw in range(draws):
            seeds = (1000 * number + draw for number in range(len(photos)))
            shifted = [
                photo.with_field("image", by(photo.fields["image"], name, level, seed))
                for photo, seed in zip(photos, seeds, strict=True)
            ]
            columns.append(classify(shifted) != labels)
    return np.array(columns).T


def line(name: str, own: np.ndarray, theirs: np.ndarray) -> str:
    gap = 100 * (own.mean(axis=1) - theirs.mean(axis=1))
    half = stats.t.ppf(0.95, len(gap) - 1) * stats.sem(gap) if np.ptp(gap) > 0 else 0.0
    low, high = gap.mean() - half, gap.mean() + half
    verdict = "yes" if low > -MARGIN and high < MARGIN else "**no**"
    return (
        f"| {name} | {own.size} | {100 * own.mean():.1f} | {100 * theirs.mean():.1f} "
        f"| {gap.mean():+.2f} [{low:+.2f}, {high:+.2f}] | {verdict} |"
    )


if __name__ == "__main__":
    sys.exit(main())
