"""Every torch implementation of a shift beside the canonical one on the CPU: images per second, and their ratio.

    python benchmarks/shifts_torch.py [--device cuda] [--sides 28 224] [--batch 64] [--severity 3] [--only fog]

In the project's environment, one thread. The two sides take turns, batch by batch, and both draw their random
words anew for each. On the CPU the seconds are CPU seconds of the process, which other work on the machine does not
lengthen; on a GPU they are wall seconds. The ratio is that of the medians: above 1 torch is faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch

from shiftbench.base import registry, rng, rng_torch
from shiftbench.evaluation.apply_torch import to_tensor
from shiftbench.evaluation.corruption import originals
from shiftbench.workflow.tools.preview import built_in_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sides", type=int, nargs="+", default=[28, 224], help="pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--severity", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="+", help="names of shifts")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(f"{options.device}, batches of {options.batch} colour images, severity {options.severity:g}")
    columns = [f"{of}, {side} px" for side in options.sides for of in ("torch", "CPU", "ratio")]
    print("| shift | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    batches = [photographs(side, options.batch) for side in options.sides]
    for name in options.only or registry.names("shifts_torch"):
        cells = [cell for images in batches for cell in compared(name, images, options)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def photographs(side: int, count: int) -> list[np.ndarray]:
    """Return pieces of a photograph, each at another place."""
    whole = cv2.resize(built_in_image().fields["image"], (side + 64, side + 64))
    return [np.ascontiguousarray(whole[i % 64 : i % 64 + side, 7 * i % 64 : 7 * i % 64 + side]) for i in range(count)]


def compared(name: str, images: list[np.ndarray], options: argparse.Namespace) -> tuple[str, str, str]:
    """Return images per second in torch and on the CPU, and their ratio."""
    shift, in_torch = registry.find("shifts", name), registry.find("shifts_torch", name)
    tensor = to_tensor(images, options.device)
    params = originals(shift)

    def by_torch() -> None:
        drawn = rng_torch.RandomStream.of(words(name, len(images)), options.device)
        in_torch.apply(tensor, options.severity, drawn, **params)

    def by_cpu() -> None:
        for image, drawn in zip(images, words(name, len(images)), strict=True):
            shift.apply(image, options.severity, drawn, **params)

    first, second = seconds((by_torch, by_cpu), options)
    rates = (f"{len(images) / taken:,.0f}" for taken in (first, second))
    return (*rates, f"{second / first:.2f}")


def words(name: str, count: int) -> list[rng.RandomStream]:
    return [rng.RandomStream(0, name, "benchmark", str(number)) for number in range(count)]


def seconds(calls: tuple[Callable[[], None], ...], options: argparse.Namespace) -> list[float]:
    """Return the median time of each call; they take turns, and were made once before."""
    on_gpu = options.device.startswith("cuda")
    now = time.perf_counter if on_gpu else time.process_time
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(options.repeats + 1):
        for call, times in zip(calls, taken, strict=True):
            start = now()
            call()
            if on_gpu:
                torch.cuda.synchronize()
            if number:
                times.append(now() - start)
    return [statistics.median(times) for times in taken]


if __name__ == "__main__":
    main()
