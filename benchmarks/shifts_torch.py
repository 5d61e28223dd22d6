"""Images per second of every shift in torch, beside the CPU's file, and how far apart they are.

    python benchmarks/shifts_torch.py [--device cuda] [--side 224] [--batch 64] [--severity 3] [--only fog]

In the project's environment. Both sides draw their random words anew for every batch. `difference` is the
largest and the mean over one batch, in grey levels, beside what the file states as its TOLERANCE.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from types import ModuleType

import cv2
import numpy as np
import torch

from shiftbench import plugins, rng, rng_torch
from shiftbench.corrupt import originals
from shiftbench.inference.apply_torch import to_arrays, to_tensor
from shiftbench.tools.preview import our_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--severity", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", help="one shift")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    images = photographs(options.side, options.batch)
    print(
        f"{options.device}, {options.batch} x {options.side} px colour, severity {options.severity:g}"
    )
    print("| shift | torch, images/s | CPU file, images/s | difference | tolerance |")
    print("| --- | --- | --- | --- | --- |")
    for name in [options.only] if options.only else plugins.names("shifts_torch"):
        print(row(name, images, options), flush=True)


def photographs(side: int, count: int) -> list[np.ndarray]:
    """Return pieces of a photograph, each at another place."""
    whole = cv2.resize(our_image().fields["image"], (side + 64, side + 64))
    return [
        np.ascontiguousarray(whole[i % 64 : i % 64 + side, 7 * i % 64 : 7 * i % 64 + side])
        for i in range(count)
    ]


def row(name: str, images: list[np.ndarray], options: argparse.Namespace) -> str:
    shift, twin = plugins.find("shifts", name), plugins.find("shifts_torch", name)
    tensor = to_tensor(images, options.device)
    own = originals(shift)

    def on_device() -> torch.Tensor:
        drawn = rng_torch.Words.of(words(name, len(images)), options.device)
        result: torch.Tensor = twin.apply(tensor, options.severity, drawn, **own)
        return result

    def by_file() -> list[np.ndarray]:
        return by_cpu(shift, name, images, options.severity, own)

    difference = np.abs(np.stack(to_arrays(on_device())).astype(int) - np.stack(by_file()))
    fast, slow = (len(images) / seconds(call, options) for call in (on_device, by_file))
    stated = "{:g}, {:g}".format(*twin.TOLERANCE)
    return f"| {name} | {fast:,.0f} | {slow:,.0f} | {difference.max()}, {difference.mean():.5f} | {stated} |"


def by_cpu(
    shift: ModuleType, name: str, images: list[np.ndarray], severity: float, own: dict[str, object]
) -> list[np.ndarray]:
    pairs = zip(images, words(name, len(images)), strict=True)
    return [shift.apply(image, severity, drawn, **own) for image, drawn in pairs]


def words(name: str, count: int) -> list[rng.Words]:
    return [rng.Words(0, name, "benchmark", str(number)) for number in range(count)]


def seconds(call: Callable[[], object], options: argparse.Namespace) -> float:
    """Return the median time of a call that was made once before."""
    taken = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        call()
        if options.device.startswith("cuda"):
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
