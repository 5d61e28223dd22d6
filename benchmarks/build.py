"""The shift stage as a whole against the encoder alone: images per second of one core, for cheap shifts.

    taskset -c 1 python benchmarks/build.py [--sizes 28 128 224] [--severities 1 2 3 4 5] [--repeats 5]

For each size (28 px grey, others colour; pieces of the two photographs of scikit-learn) a benchmark in a temporary
folder gets clean shards. Then in turn, in one process, a job of the stage makes all severities of a shift, with
previews, receipts and flushing to disk, and the encoder alone encodes the very same images, which are in memory.

`ratio` is of the medians of processor time, `wall` of those of time on the clock; 1 is as fast as the encoder.
The parts that the bytes of shards ask for are timed each alone and shown as parts of the encoder's time: decoding
the clean image (once for all severities), the shift with its random words, the pixel digest, and three sha256
(of a sample, of its tar, of the file before it is put in place). `limit` is the ratio if there was nothing else.
`MB` is the peak memory of the process after the jobs, and before them.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_sample_images

from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan.params import Params
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import shift

COUNTS = {28: 5000, 128: 600, 224: 300}
DATASET = '''
"""Pieces of photographs. Source: scikit-learn."""
import numpy as np
from shiftbench.base.sample import Sample

TASK, CLASSES, LICENCE, CITATION, REDISTRIBUTE = "classification", ("a", "b"), "CC0", "none", True
SOURCES, NATIVE, PARAMS = (), ("test",), {"file": ""}

def samples(split, sources, params):
    for number, image in enumerate(np.load(params["file"])):
        yield Sample(f"pieces/test/{number:06d}", {"image": image, "label": number % 2})
'''
Times = tuple[float, float]


def pieces(size: int, count: int) -> np.ndarray:
    """Return pieces of two photographs, uint8 (n, size, size) at 28 px, (n, size, size, 3) at others."""
    rng, cut = np.random.Generator(np.random.Philox(0)), []
    photos = load_sample_images().images
    for number in range(count):
        photo = photos[number % 2]
        top, left = (rng.integers(0, side - 256) for side in photo.shape[:2])
        piece = photo[top : top + 256, left : left + 256]
        cut.append(cv2.resize(piece, (size, size), interpolation=cv2.INTER_AREA))
    return np.stack(cut)[..., 1] if size == 28 else np.stack(cut)


@dataclass
class Benchmark:
    """A benchmark in a folder, its clean shards made.

    Attributes:
        root: of the outputs.
        plan: of all jobs.
    """

    root: Path
    plan: Plan

    @classmethod
    def of(cls, home: Path, images: np.ndarray, shifts: list[str], at: list[float]) -> Benchmark:
        """Make the dataset's plugin, the plan and the clean shards."""
        (home / "mine/datasets").mkdir(parents=True)
        (home / "mine/datasets/pieces.py").write_text(DATASET)
        np.save(home / "images.npy", images)
        registry.Folders.use((home / "mine",))
        weights = [{"architectures": ["convnet"], "trainers": ["given"]}]
        params = {
            "plugins": [str(home / "mine")],
            "datasets": {"pieces": {"file": str(home / "images.npy")}},
            "shifts": {name: {"severities": at} for name in shifts},
            "benchmarks": {"one": {"dataset": "pieces", "shifts": shifts, "models": weights}},
        }
        benchmark = cls(home / "out", Plan.of(Params.model_validate(params)))
        benchmark.plan.write(benchmark.root)
        benchmark.make("identity")
        return benchmark

    def job(self, name: str) -> Job:
        """Return the job that makes all severities of a shift."""
        return self.plan.jobs[f"shift/pieces/test/{name}"]

    def folders(self, name: str) -> list[Path]:
        """Return the folders of shards of a shift."""
        refs = [artifact.ref for artifact in self.job(name).artifacts]
        return [(self.root / ref.path).parent for ref in refs if ref.kind == "shards"]

    def make(self, name: str) -> None:
        """Run the stage, as `shiftbench` does it; what was there is made again."""
        for artifact in self.job(name).artifacts:
            recipe.receipt_path(self.root, artifact.ref).unlink(missing_ok=True)
        recipe.execute(self.root / self.job(name).recipe_path, shift.run)


def timed(call: Callable[[], object]) -> Times:
    """Return the seconds of processor time and on the clock of one call."""
    wall, own = time.perf_counter(), time.process_time()
    call()
    return time.process_time() - own, time.perf_counter() - wall


def each(call: Callable[[Any], object], values: Iterable[Any]) -> Times:
    """Time a call on each of some values."""
    return timed(lambda: [call(value) for value in values] and None)


def round_of(benchmark: Benchmark, name: str) -> dict[str, Times]:
    """Time a job of the stage, the encoder alone on what it made, and the parts, each summed over severities."""
    spent = {"build": timed(lambda: benchmark.make(name))}
    clean = list(shards.read(benchmark.folders("identity")[0]))
    raw = [codecs.encode("png", sample.fields["image"]) for sample in clean]
    spent["decode"] = each(lambda data: codecs.decode("png", data), raw)
    artifacts = [artifact for artifact in benchmark.job(name).artifacts if artifact.ref.kind == "shards"]
    for artifact, folder in zip(artifacts, benchmark.folders(name), strict=True):
        shifter = Shifter.of(artifact.recipe, "pieces", {})
        tar = (folder / "000000.tar").read_bytes()
        parts = parts_of(clean, list(shards.read(folder)), shifter, tar)
        for part, (own, wall) in parts.items():
            before = spent.get(part, (0.0, 0.0))
            spent[part] = before[0] + own, before[1] + wall
    return spent


def parts_of(clean: list[Sample], made: list[Sample], shifter: Shifter, tar: bytes) -> dict[str, Times]:
    """Time the encoder alone, and what else the bytes ask for, on one severity."""
    images = [sample.fields["image"] for sample in made]
    return {
        "encode": each(lambda image: codecs.encode("png", image), images),
        "shift": each(shifter, clean),
        "digest": each(codecs.pixel_digest, images),
        "sha256": each(lambda data: hashlib.sha256(data).digest(), [tar] * 3),
    }


def peak_mb() -> int:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(size: int, shifts: list[str], severities: list[float], repeats: int) -> list[str]:
    """Return the table's rows for images of one size."""
    cv2.setNumThreads(1)
    images = pieces(size, COUNTS.get(size, 200))
    rows = []
    with tempfile.TemporaryDirectory() as home:
        benchmark = Benchmark.of(Path(home), images, shifts, severities)
        before = peak_mb()
        for name in shifts:  # loops are compiled, files are warm
            benchmark.make(name)
        memory = f"{peak_mb()} ({before})"
        rounds: dict[str, list[dict[str, Times]]] = {name: [] for name in shifts}
        for _ in range(repeats):
            for name in shifts:
                rounds[name].append(round_of(benchmark, name))
    for name, spent in rounds.items():
        rows.append(f"| {size} | {name} | {row(spent, len(images) * len(severities))} | {memory} |")
    return rows


def row(rounds: list[dict[str, Times]], count: int) -> str:
    """Return the figures of one shift from all rounds."""
    own, wall = (
        {part: statistics.median(spent[part][clock] for spent in rounds) for part in rounds[0]} for clock in (0, 1)
    )
    parts = [own[part] / own["encode"] for part in ("decode", "shift", "digest", "sha256")]
    return " | ".join(
        [
            f"{count / own['encode']:,.0f} | {count / own['build']:,.0f}",
            f"{own['encode'] / own['build']:.2f} | {wall['encode'] / wall['build']:.2f}",
            *(f"{part:.2f}" for part in parts),
            f"{1 / (1 + sum(parts)):.2f}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--shifts", nargs="+", default=["brightness", "contrast", "gaussian_noise"])
    parser.add_argument("--severities", type=float, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    columns = "px, shift, encoder/s, build/s, ratio, wall, decode, shift, digest, sha256, limit, MB"
    print("| " + columns.replace(", ", " | ") + " |")
    print("|" + " --- |" * len(columns.split(",")), flush=True)
    for size in args.sizes:  # a process each, for its peak memory
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows = pool.submit(measure, size, args.shifts, args.severities, args.repeats)
            print("\n".join(rows.result()), flush=True)


if __name__ == "__main__":
    main()
