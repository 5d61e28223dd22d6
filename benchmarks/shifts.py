"""Speed and memory of every shift beside imagecorruptions, in one process on one core.

    python benchmarks/shifts.py [--side 224] [--severities 1 3 5] [--repeats 20] [--all]

Runs in an environment that has the peer (`pip install imagecorruptions-imaug opencv-python`; it wants a
virtual environment of its own) and shiftbench or its `src` on PYTHONPATH. Both are called through their
public function on the same photograph, in turns; the time is the median of processor times, so that a
busy machine counts little. `MB` is the highest sum of array memory at any moment of one call
(tracemalloc). With `--all`, the shifts that the peer does not have follow, with their times alone.
"""

import argparse
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable

import cv2
import numpy as np

from shiftbench.base import registry
from shiftbench.base.errors import ShiftbenchError
from shiftbench.evaluation.corruption import corrupt
from shiftbench.imagecorruptions import NAMES, OPTIONS

Corrupts = Callable[[int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=224, help="side of the image in pixels")
    parser.add_argument("--severities", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="also what the peer does not have")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    image = photograph(options.side)
    print(f"{options.side} px colour, one core; milliseconds, medians of {options.repeats}")
    print("| shift | severity | ms | peer ms | times faster | MB | peer MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for severity in options.severities:
        sums = np.sum([beside(name, image, severity, options.repeats) for name in NAMES], axis=0)
        print(f"| **all nineteen** | {severity} | {sums[0]:.1f} | {sums[1]:.1f} | {sums[1] / sums[0]:.1f} | | |")
    for name in others() if options.all else ():
        alone(name, image, options.severities[len(options.severities) // 2], options.repeats)


def others() -> list[str]:
    """Return the image shifts that the peer does not have."""
    shifts = {name: registry.find("shifts", name) for name in registry.names("shifts")}
    return [name for name, shift in shifts.items() if getattr(shift, "FIELD", 0) == "image" and name not in NAMES]


def beside(name: str, image: np.ndarray, severity: int, repeats: int) -> list[float]:
    """Print one row, and return both times."""
    calls = [ours(name, image, severity), peer(name, image, severity)]
    times = timed(calls, repeats)
    memory = [peak(call) for call in calls]
    print(
        f"| {name} | {severity} | {times[0]:.2f} | {times[1]:.2f} | {times[1] / times[0]:.1f} "
        f"| {memory[0]:.1f} | {memory[1]:.1f} |",
        flush=True,
    )
    return times


def alone(name: str, image: np.ndarray, severity: int, repeats: int) -> None:
    call = ours(name, image, severity)
    try:
        (taken,) = timed([call], repeats)
    except ShiftbenchError as error:  # an original that is not here
        print(f"| {name} | {severity} | - | | | | | {error}")
        return
    print(f"| {name} | {severity} | {taken:.2f} | | | {peak(call):.1f} | |", flush=True)


def ours(name: str, image: np.ndarray, severity: int) -> Corrupts:
    options = OPTIONS.get(name, {})  # the peer's constants
    return lambda draw: corrupt(image, name, float(severity), key=str(draw), **options)


def peer(name: str, image: np.ndarray, severity: int) -> Corrupts:
    with warnings.catch_warnings(action="ignore"):
        import imagecorruptions
    return lambda _: imagecorruptions.corrupt(image, severity=severity, corruption_name=name)


def timed(calls: list[Corrupts], repeats: int) -> list[float]:
    """Return each call's median milliseconds of processor time; the calls take turns."""
    for call in calls:
        call(0)
    taken: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats):
        for call, times in zip(calls, taken, strict=True):
            start = time.process_time()
            call(repeat)
            times.append((time.process_time() - start) * 1e3)
    return [statistics.median(times) for times in taken]


def peak(call: Corrupts) -> float:
    """Return the highest memory of one call in MB."""
    tracemalloc.start()
    call(0)
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest / 1e6


def photograph(side: int) -> np.ndarray:
    """Return a square photograph from scikit-image, which the peer brings."""
    from skimage.data import astronaut

    return cv2.resize(astronaut(), (side, side), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
