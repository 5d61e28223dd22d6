"""How near the nineteen corruptions are to imagecorruptions, on real photographs.

    python benchmarks/shift_fidelity.py [--draws 3] [--only fog] [--json FILE]

Runs in an environment that has the peer (`pip install imagecorruptions-imaug opencv-python`; it wants a
virtual environment of its own) and shiftbench or its `src` on PYTHONPATH. The photographs are the twenty of
ImageNet that `shiftbench fetch foolbox_images` brings, at 224 px, where no size is scaled.

| column | what |
| --- | --- |
| distance | mean absolute difference of the two results, grey levels |
| floor | the same between two draws of the peer: what no other draw can be nearer than |
| change | mean absolute difference to the clean photograph, both |
| difference | of the two changes, with its 95% interval (t, paired over photographs) |
| sd | standard deviation of the difference to the clean photograph, both |
| spectrum | largest difference in power of (result - clean) in any of 8 bands that hold 1% of it, in dB |
| SSIM | structural similarity to the clean photograph (7 x 7 windows), both |
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import stats
from skimage.metrics import structural_similarity

from shiftbench.data.source_files import original_folder
from shiftbench.imagecorruptions import corrupt, get_corruption_names

BANDS = 8
SHARE = 0.01  # of the power: a band below is not compared
Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=3, help="of each random corruption")
    parser.add_argument("--only", help="one corruption")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photos = photographs()
    print(f"{len(photos)} photographs, 224 px, {options.draws} draws")
    print(
        "| corruption | level | distance | floor | change | peer | difference [95%] "
        "| sd | peer | spectrum | SSIM | peer |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rows = {}
    for name in [options.only] if options.only else get_corruption_names("all"):
        for level in range(1, 6):
            rows[f"{name} {level}"] = found = compared(name, level, photos, options.draws)
            print(line(name, level, found), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def photographs() -> list[np.ndarray]:
    """Return uint8 (224, 224, 3) photographs of ImageNet."""
    files = sorted(original_folder("foolbox_images").glob("imagenet_*.jpg"))
    if not files:
        raise SystemExit("bring the photographs first: shiftbench fetch foolbox_images")
    return [np.asarray(Image.open(file).convert("RGB").resize((224, 224))) for file in files]


def compared(name: str, level: int, photos: list[np.ndarray], draws: int) -> Row:
    """Return one row: means over photographs and draws."""
    per_photo, ours, theirs = [], Powers(), Powers()
    for number, photo in enumerate(photos):
        own = [corrupt(photo, level, name, seed=draw) for draw in range(draws)]
        peer = [peers(photo, level, name, 1000 * number + draw) for draw in range(draws + 1)]
        per_photo.append(measured(photo, own, peer))
        ours.add(photo, own)
        theirs.add(photo, peer)
    means = {key: float(np.mean([row[key] for row in per_photo])) for key in per_photo[0]}
    gap = np.array([row["change"] - row["peer_change"] for row in per_photo])
    half = stats.t.ppf(0.975, len(gap) - 1) * stats.sem(gap) if np.ptp(gap) > 0 else 0.0
    return means | {"low": float(gap.mean() - half), "high": float(gap.mean() + half), "spectrum": ours.against(theirs)}


def peers(photo: np.ndarray, level: int, name: str, draw: int) -> np.ndarray:
    """Return the peer's result; its draws follow NumPy's global generator."""
    with warnings.catch_warnings(action="ignore"):
        import imagecorruptions
    np.random.seed(draw)  # noqa: NPY002, TID251 - the peer has no other
    result: np.ndarray = imagecorruptions.corrupt(photo, severity=level, corruption_name=name)
    return result


def measured(photo: np.ndarray, own: list[np.ndarray], peer: list[np.ndarray]) -> Row:
    clean = photo.astype(float)
    return {
        "distance": mean(np.abs(a - b.astype(float)).mean() for a, b in zip(own, peer, strict=False)),
        "floor": mean(np.abs(a - b.astype(float)).mean() for a, b in itertools.pairwise(peer)),
        "change": mean(np.abs(image - clean).mean() for image in own),
        "peer_change": mean(np.abs(image - clean).mean() for image in peer),
        "sd": mean((image - clean).std() for image in own),
        "peer_sd": mean((image - clean).std() for image in peer),
        "ssim": mean(similarity(photo, image) for image in own),
        "peer_ssim": mean(similarity(photo, image) for image in peer),
    }


def mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    return float(structural_similarity(one, other, channel_axis=2))


class Powers:
    """Power of (result - clean), summed in rings of spatial frequency."""

    def __init__(self) -> None:
        self.rings = np.zeros(BANDS)

    def add(self, photo: np.ndarray, results: list[np.ndarray]) -> None:
        """Add the results of one photograph, their mean."""
        side = photo.shape[0]
        frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
        edges = np.geomspace(1 / side, 0.5, BANDS)
        ring = np.clip(np.digitize(frequency, edges), 0, BANDS - 1)
        for result in results:
            change = (result - photo.astype(float)).mean(axis=2)
            power = np.abs(np.fft.fft2(change)) ** 2
            self.rings += np.bincount(ring.ravel(), power.ravel(), BANDS) / len(results)

    def against(self, peer: Powers) -> float:
        """Return the largest difference in dB over the bands that hold a share of the power."""
        counted = peer.rings > SHARE * peer.rings.sum()
        if not counted.any():
            return 0.0
        return float(np.abs(10 * np.log10(self.rings[counted] / peer.rings[counted])).max())


def line(name: str, level: int, row: Row) -> str:
    interval = f"{row['change'] - row['peer_change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
    return (
        f"| {name} | {level} | {row['distance']:.2f} | {row['floor']:.2f} | {row['change']:.2f} "
        f"| {row['peer_change']:.2f} | {interval} | {row['sd']:.2f} | {row['peer_sd']:.2f} "
        f"| {row['spectrum']:.2f} | {row['ssim']:.3f} | {row['peer_ssim']:.3f} |"
    )


if __name__ == "__main__":
    main()
