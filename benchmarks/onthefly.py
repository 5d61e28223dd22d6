"""Shifts applied while clean shards are read, against stored shards of the same shift.

    python benchmarks/onthefly.py [--clean data/shards/fashion_mnist/test/identity/0] [--shift fog] [--device cpu]

Evaluates a net with fresh weights, one torch thread, three ways in turn: on stored shards, on clean shards shifted
on the CPU, and by its torch implementation where there is one, on `--device`. Prints one JSON object: images per
second of each (medians), of building the stored shards, and their size in MB.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from shiftbench.base import registry
from shiftbench.data import shards
from shiftbench.evaluation import apply_torch, nets
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.evaluation.onthefly import OnTheFly
from shiftbench.plugins.tasks import classification
from shiftbench.workflow.stages import shift
from shiftbench.workflow.stages.evaluate import evaluate_shards


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def store(shifter: Shifter, clean: Path, home: Path) -> tuple[Path, Path, float]:
    """Write shifted shards and golden samples; return both and the seconds that the shards took."""
    about = shards.manifest(clean)
    stored, golden = home / "stored", home / "golden.json"
    stored.mkdir()
    kept = {key: about[key] for key in ("task", "classes", "dataset")}
    took = seconds(lambda: shards.write(map(shifter, shards.read(clean)), stored, about["fields"], kept, 1 << 28))
    first = [shift.shown(sample, classification) for sample, _ in zip(shards.read(stored), range(4), strict=False)]
    golden.write_text(json.dumps({"samples": first}))
    return stored, golden, took


def measure(
    clean: Path, shift_name: str, severity: float, model_name: str, device: str, repeats: int
) -> dict[str, Any]:
    """Time all ways in turn and return medians."""
    torch.set_num_threads(1)
    about = shards.manifest(clean)
    module, model = registry.find("shifts", shift_name), registry.find("models", model_name)
    shifter = Shifter(module, shift_name, registry.defaults(module), severity, 0, about["dataset"])
    net = model.build(registry.defaults(model), len(about["classes"]))
    predictor = nets.TorchPredictor(net, model, registry.defaults(model), device)
    with tempfile.TemporaryDirectory() as home:
        stored, golden, took = store(shifter, clean, Path(home))

        def read(folder: Path, **how: Any) -> object:
            return evaluate_shards(predictor, folder, about["classes"], 256, **how)

        ways: dict[str, Callable[[], object]] = {
            "stored": lambda: read(stored),
            "cpu": lambda: read(clean, transform=OnTheFly(shifter, golden)),
        }
        if apply_torch.find_torch(module):
            ways["torch"] = lambda: read(
                clean, transform=OnTheFly(shifter, golden, apply_torch.OnDevice(shifter, device))
            )
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, call in ways.items():
                times[name].append(seconds(call))
        size = sum(file.stat().st_size for file in stored.iterdir())
    count = about["samples"]
    return {
        "samples": count,
        "shift": f"{shift_name} {severity:g}",
        "model": model_name,
        "device": device,
        "images_per_second": {name: round(count / statistics.median(of)) for name, of in times.items()},
        "build_images_per_second": round(count / took),
        "stored_mb": round(size / 1e6, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clean", type=Path, default=Path("data/shards/fashion_mnist/test/identity/0"))
    parser.add_argument("--shift", default="fog")
    parser.add_argument("--severity", type=float, default=3.0)
    parser.add_argument("--model", default="convnet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps(measure(args.clean, args.shift, args.severity, args.model, args.device, args.repeats), indent=1))
