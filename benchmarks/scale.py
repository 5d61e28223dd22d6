"""What benchmarks of the published sizes take: jobs, hours, bytes, from rates that are measured here and plans.

    python benchmarks/scale.py [--pictures 8] [--seconds 4]

Rates of one core: shifting (the mean over the fifteen of ImageNet-C and its five levels) and encoding pictures of 224
px, a ResNet-50's forward pass, reading and checking shards; bytes of a picture and of a record of 1,000 classes in both
modes.
Jobs, outputs and seconds of planning are those of the plans themselves. Prints the tables of docs/scale.md.
"""

import argparse
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
import yaml
from sklearn.datasets import load_sample_images

from shiftbench import corrupt
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, schema, shards
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan import configurations

SIDE, CLASSES, ROWS = 224, 1000, 5000
ROOT = Path(__file__).parent.parent
VAL, TRAIN = 50_000, 1_281_167
OOD = 15_869 + 49_000 + 5_879 + 10_000 + 5_160  # OpenOOD's: Openimage-O, SSB hard, NINCO, iNaturalist, Textures


@dataclass(frozen=True)
class Rates:
    """Seconds of one core and bytes, of one picture or record."""

    shift: float
    encode: float
    forward: float
    read: float
    picture: float
    full: float
    top20: float


def photographs(count: int) -> list[np.ndarray]:
    """Return crops of two photographs."""
    photos = load_sample_images().images
    places = [(number * 37 % (427 - SIDE), number * 53 % (640 - SIDE)) for number in range(count)]
    return [
        np.ascontiguousarray(photos[number % 2][top : top + SIDE, left : left + SIDE])
        for number, (top, left) in enumerate(places)
    ]


def each(call: Callable[[], object], count: int, least: float) -> float:
    """Return the seconds of one of `count` things that a call does, called for some seconds."""
    call()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < least:
        call()
        calls += 1
    return (time.perf_counter() - began) / calls / count


def measured(pictures: int, least: float) -> Rates:
    """Return the rates of one core of this machine."""
    torch.set_num_threads(1)
    shown = photographs(pictures)
    levels = [(name, level) for name in overlay("imagenet_c")["shifts"] for level in range(1, 6)]
    made = [
        corrupt(image, name, severity=level, key=str(number))
        for number, image in enumerate(shown)
        for name, level in levels
    ]
    began = time.perf_counter()
    for number, image in enumerate(shown):
        for name, level in levels:
            corrupt(image, name, severity=level, key=str(number))
    shift = (time.perf_counter() - began) / len(made)
    packed = [codecs.encode("png", image) for image in made]
    encode = each(lambda: [codecs.encode("png", image) for image in made], len(made), least)
    net = torchvision.models.resnet50(weights=None).eval()
    batch = torch.zeros(16, 3, SIDE, SIDE)
    with torch.inference_mode():
        forward = each(lambda: net(batch), len(batch), least)
    with tempfile.TemporaryDirectory() as folder:
        samples = [Sample(f"a/{n:06d}", {"image": image, "label": 0}) for n, image in enumerate(made)]
        task = registry.find("tasks", "classification")
        about = {"task": "classification", "classes": ["a"], "dataset": "bench"}
        shards.write(samples, Path(folder), task.FIELDS, about, 1 << 30)
        read = each(lambda: list(shards.read(Path(folder))), len(made), least)
        sizes = {mode: record_bytes(mode, Path(folder)) for mode in ("full", "top20")}
    return Rates(shift, encode, forward, read, float(np.mean([len(one) for one in packed])), **sizes)


def record_bytes(mode: str, folder: Path) -> float:
    """Return the bytes of a record of 1,000 classes, of drawn logits."""
    drawn = np.random.default_rng(0)
    names = tuple(f"class{number}" for number in range(CLASSES))
    samples = [Sample(f"imagenet/test/{n:06d}", {"label": n % CLASSES}) for n in range(ROWS)]
    logits = drawn.normal(0, 2, (ROWS, CLASSES)).astype(np.float32)
    task = registry.find("tasks", "classification")
    table = task.rows(samples, {"logits": logits}, LabelSpace(names, names), mode)
    file = folder / f"{mode}.parquet"
    schema.write(table, file, "benchmark", schema.of(task.schema(CLASSES, mode)))
    return file.stat().st_size / ROWS


def overlay(scale: str) -> dict[str, Any]:
    """Return what a scale of params/ says."""
    found: dict[str, Any] = yaml.safe_load((ROOT / f"params/{scale}.yaml").read_text())
    return found


def planned(scale: str, nets: int) -> tuple[plans.Plan, float]:
    """Return the plan of a scale with so many nets of each kind, and the seconds that planning took."""
    content = overlay(scale)
    for benchmark in filter(None, content["benchmarks"].values()):
        for weights in benchmark["models"]:
            weights["seeds"] = list(range(nets))
        if content.get("shifts"):
            benchmark["shifts"] = list(content["shifts"])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("params").mkdir()
        shutil.copy(ROOT / "params.yaml", ".")
        Path(f"params/{scale}.yaml").write_text(json.dumps(content))
        began = time.perf_counter()
        plan = plans.Plan.of(configurations.load(scale))
        return plan, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    rates = measured(given.pictures, given.seconds)
    print("| rate of one core | |\n| --- | --- |")
    print(f"| shifting a picture of 224 px, mean of 15 x 5 | {rates.shift * 1000:.1f} ms |")
    print(f"| encoding it | {rates.encode * 1000:.1f} ms, {rates.picture / 1000:.0f} kB |")
    print(f"| reading, checking and decoding it | {rates.read * 1000:.1f} ms |")
    print(f"| ResNet-50, forward, fp32 | {rates.forward * 1000:.0f} ms |")
    print(f"| a record of 1,000 classes | {rates.full:.0f} bytes with all logits, {rates.top20:.0f} with 20 |")
    print("\n| benchmark | pictures | jobs | outputs | planned in | core hours | stored |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    cells = len(overlay("imagenet_c")["shifts"]) * 5 * VAL
    sets = TRAIN + VAL + OOD
    for title, scale, nets, shown, kept in (
        ("ImageNet-C, a net, shifted while read", "imagenet_c", 1, cells, VAL),
        ("ImageNet-C, a net, shards stored", "imagenet_c", 1, cells, cells),
        ("ImageNet-C, 100 nets, shards stored", "imagenet_c", 100, cells, cells),
        ("OpenOOD's ImageNet, a net", "openood_imagenet", 1, sets, sets),
    ):
        plan, took = planned(scale, nets)
        shifted = 0 if kept == sets else nets * shown if kept == VAL else kept
        work = shifted * rates.shift + kept * rates.encode
        work += nets * shown * (rates.forward + rates.read)
        records = nets * shown * (rates.full if kept == sets else rates.top20)
        print(
            f"| {title} | {nets * shown:,} | {len(plan.jobs):,} | {len(plan.artifacts):,} | {took:.1f} s "
            f"| {work / 3600:,.0f} | {kept * rates.picture / 1e9:,.0f} GB and {records / 1e9:,.0f} of records |"
        )


if __name__ == "__main__":
    main()
