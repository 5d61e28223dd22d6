"""Evaluation from shards against the bare forward pass of the same batches in memory.

    python benchmarks/evaluation.py [--model efficientnet_lite0] [--size 128] [--samples 256] [--batch 32]

Makes shards of noise-corrupted photographs in a temporary folder, then times both sides, one torch
thread each, in turn: (a) `evaluate_shards` (read, check sha256, decode, prepare, forward, records) and (b) the
forward pass alone on prepared batches in memory. Prints one JSON object: images per second of both, the
ratio (goal 0.97 for EfficientNet-Lite0 at 128 px, 0.6 for the 28 px nets), and peak memory in MB.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from sklearn.datasets import load_sample_images

from shiftbench import corrupt
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.evaluation.batching import batches
from shiftbench.workflow.stages.evaluate import evaluate_shards

CLASSES = [f"class{number}" for number in range(10)]


def synthesise(folder: Path, samples: int, size: int, *, grey: bool) -> None:
    """Write crops of two photographs under Gaussian noise as shards."""
    photos = load_sample_images().images
    made = []
    for number in range(samples):
        photo = photos[number % 2]
        at = number * 7 % (photo.shape[0] - 256)
        crop = cv2.resize(photo[at : at + 256, at : at + 256], (size, size), interpolation=cv2.INTER_AREA)
        image = np.ascontiguousarray(crop[..., 1] if grey else crop)
        image = corrupt(image, "gaussian_noise", severity=2.0, key=str(number))
        made.append(Sample(f"bench/test/{number:06d}", {"image": image, "label": number % 10}))
    task = registry.find("tasks", "classification")
    about = {"task": "classification", "classes": CLASSES, "dataset": "bench"}
    shards.write(made, folder, task.FIELDS, about, 256_000_000)


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measure(model_name: str, size: int, samples: int, batch: int, repeats: int) -> dict[str, Any]:
    """Time both sides in turn and return medians."""
    torch.set_num_threads(1)
    model = registry.find("models", model_name)
    options = {**registry.defaults(model), "size": size}
    predictor = nets.TorchPredictor(model.build(options, len(CLASSES)), model, options, "cpu")
    with tempfile.TemporaryDirectory() as home:
        synthesise(Path(home), samples, size, grey=size == 28)
        prepared = [predictor.prepare(part) for part in batches(shards.read(Path(home)), batch)]
        ours, bare = [], []
        for _ in range(repeats):
            ours.append(seconds(lambda: evaluate_shards(predictor, Path(home), CLASSES, batch)))
            bare.append(seconds(lambda: [predictor.predict_prepared(part) for part in prepared]))
    fast, slow = statistics.median(bare), statistics.median(ours)
    return {
        "model": model_name,
        "size": size,
        "samples": samples,
        "images_per_second": round(samples / slow, 1),
        "bare_images_per_second": round(samples / fast, 1),
        "ratio": round(statistics.median(b / o for b, o in zip(bare, ours, strict=True)), 3),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="efficientnet_lite0")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps(measure(args.model, args.size, args.samples, args.batch, args.repeats), indent=1))
