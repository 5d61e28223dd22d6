"""Speed, memory and strength of each shift beside imagecorruptions, in one process on one core.

    python benchmarks/shift_speed.py [--side 224] [--severity 3] [--repeats 40]

Runs in an environment that has the peer (`pip install imagecorruptions-imaug opencv-python`; it wants a
virtual environment of its own) and shiftbench or its `src` on PYTHONPATH. Both are called through their
public function on the same photograph, in turns; the time is the median of processor times, so that a
busy machine counts little. `MB` is the highest sum of array memory at any moment of one call
(tracemalloc). `change` is the mean distance to the clean picture in grey levels over 20 draws: near each
other means equally strong.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable

import cv2
import numpy as np

from shiftbench import plugins
from shiftbench.corrupt import corrupt

Corrupts = Callable[[int], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=224, help="side of the picture in pixels")
    parser.add_argument("--severity", type=int, default=3, choices=range(1, 6))
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    image = photograph(options.side)
    print(f"{options.side} px colour, severity {options.severity}, one core")
    print("| shift | ms | peer ms | times faster | MB | peer MB | change | peer change |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in image_shifts():
        print(row(name, image, options.severity, options.repeats), flush=True)


def image_shifts() -> list[str]:
    shifts = {name: plugins.find("shifts", name) for name in plugins.names("shifts")}
    return [name for name, shift in shifts.items() if getattr(shift, "FIELD", None) == "image"]


def row(name: str, image: np.ndarray, severity: int, repeats: int) -> str:
    own: Corrupts = lambda draw: corrupt(image, name, float(severity), key=str(draw))  # noqa: E731
    calls = [own] + ([other] if (other := peer(name, image, severity)) else [])
    times = timed(calls, repeats)
    memory = [peak(call) for call in calls]
    change = [
        np.mean([np.abs(call(i) - image.astype(float)).mean() for i in range(20)]) for call in calls
    ]
    if len(calls) == 1:
        return f"| {name} | {times[0]:.2f} | - | - | {memory[0]:.1f} | - | {change[0]:.1f} | - |"
    return (
        f"| {name} | {times[0]:.2f} | {times[1]:.2f} | {times[1] / times[0]:.1f} "
        f"| {memory[0]:.1f} | {memory[1]:.1f} | {change[0]:.1f} | {change[1]:.1f} |"
    )


def peer(name: str, image: np.ndarray, severity: int) -> Corrupts | None:
    """Return the peer's call, or None where it has no such corruption."""
    with warnings.catch_warnings(action="ignore"):
        import imagecorruptions
    if name not in imagecorruptions.get_corruption_names("all"):
        return None
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
