"""Jobs, hours and bytes of benchmarks of the published sizes, from plans and from rates that are measured here.

    python benchmarks/scale.py [--pictures 8] [--seconds 4]

The rates are of one core: shifting pictures of 224 px (mean over the fifteen shifts of ImageNet-C and five levels),
encoding them, the forward pass of a ResNet-50, reading and checking shards. The bytes are those of a picture, and of a
record of 1,000 classes in both modes. Jobs, outputs and planning seconds come from the plans. The script prints the
tables of docs/scale.md.
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
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans

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
    """Crops of two photographs."""
    photos = load_sample_images().images
    places = [(number * 37 % (427 - SIDE), number * 53 % (640 - SIDE)) for number in range(count)]
    return [
        np.ascontiguousarray(photos[number % 2][top : top + SIDE, left : left + SIDE])
        for number, (top, left) in enumerate(places)
    ]


def each(call: Callable[[], object], count: int, least: float) -> float:
    """Seconds per item of a call that handles `count` items, measured for at least some seconds."""
    call()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < least:
        call()
        calls += 1
    return (time.perf_counter() - began) / calls / count


def measured(pictures: int, least: float) -> Rates:
    """The rates of one core of this machine."""
    torch.set_num_threads(1)
    shown = photographs(pictures)
    levels = [(name, level) for name in configuration("imagenet_c")["shifts"] for level in range(1, 6)]
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
    model = torchvision.models.resnet50(weights=None).eval()
    batch = torch.zeros(16, 3, SIDE, SIDE)
    with torch.inference_mode():
        forward = each(lambda: model(batch), len(batch), least)
    with tempfile.TemporaryDirectory() as folder:
        samples = [Sample(f"a/{n:06d}", {"image": image, "label": 0}) for n, image in enumerate(made)]
        task = registry.find("tasks", "classification")
        about = {"task": "classification", "classes": ["a"], "dataset": "bench"}
        shards.write(samples, Path(folder), task.FIELDS, about, 1 << 30)
        read = each(lambda: list(shards.read(Path(folder))), len(made), least)
        sizes = {mode: record_bytes(mode, Path(folder)) for mode in ("full", "top20")}
    return Rates(shift, encode, forward, read, float(np.mean([len(one) for one in packed])), **sizes)


def record_bytes(mode: str, folder: Path) -> float:
    """Bytes of a record of 1,000 classes, with random logits."""
    random = np.random.default_rng(0)
    names = tuple(f"class{number}" for number in range(CLASSES))
    samples = [Sample(f"imagenet/test/{n:06d}", {"label": n % CLASSES}) for n in range(ROWS)]
    logits = random.normal(0, 2, (ROWS, CLASSES)).astype(np.float32)
    task = registry.find("tasks", "classification")
    table = task.rows(samples, {"logits": logits}, LabelSpace(names, names), mode)
    file = folder / f"{mode}.parquet"
    schema.write(table, file, "benchmark", schema.of(task.schema(CLASSES, mode)))
    return file.stat().st_size / ROWS


def configuration(name: str) -> dict[str, Any]:
    """The content of params/NAME.yaml."""
    content: dict[str, Any] = yaml.safe_load((ROOT / f"params/{name}.yaml").read_text())
    return content


def planned(name: str, seeds: int) -> tuple[plans.Plan, float]:
    """The plan of a configuration with so many training seeds, and the seconds of planning."""
    content = configuration(name)
    for benchmark in filter(None, content["benchmarks"].values()):
        for models in benchmark["models"]:
            models["seeds"] = list(range(seeds))
        if content.get("shifts"):
            benchmark["shifts"] = list(content["shifts"])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("params").mkdir()
        shutil.copy(ROOT / "params.yaml", ".")
        Path(f"params/{name}.yaml").write_text(json.dumps(content))
        began = time.perf_counter()
        plan = plans.Plan.of(configurations.load(name))
        return plan, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=8, help="photographs that are shifted; default: 8")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds per measurement; default: 4")
    options = parser.parse_args()
    rates = measured(options.pictures, options.seconds)
    print("| rate of one core | |\n| --- | --- |")
    print(f"| shifting a picture of 224 px, mean of 15 x 5 | {rates.shift * 1000:.1f} ms |")
    print(f"| encoding it | {rates.encode * 1000:.1f} ms, {rates.picture / 1000:.0f} kB |")
    print(f"| reading, checking and decoding it | {rates.read * 1000:.1f} ms |")
    print(f"| ResNet-50, forward, fp32 | {rates.forward * 1000:.0f} ms |")
    print(f"| a record of 1,000 classes | {rates.full:.0f} bytes with all logits, {rates.top20:.0f} with 20 |")
    print("\n| benchmark | pictures | jobs | outputs | planned in | core hours | stored |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    shifted_pictures = len(configuration("imagenet_c")["shifts"]) * 5 * VAL
    sets = TRAIN + VAL + OOD
    for title, name, models, pictures, stored in (
        ("ImageNet-C, one model, shifted while read", "imagenet_c", 1, shifted_pictures, VAL),
        ("ImageNet-C, one model, shards stored", "imagenet_c", 1, shifted_pictures, shifted_pictures),
        ("ImageNet-C, 100 models, shards stored", "imagenet_c", 100, shifted_pictures, shifted_pictures),
        ("OpenOOD's ImageNet, one model", "openood_imagenet", 1, sets, sets),
    ):
        plan, seconds = planned(name, models)
        shifted = 0 if stored == sets else models * pictures if stored == VAL else stored
        work = shifted * rates.shift + stored * rates.encode
        work += models * pictures * (rates.forward + rates.read)
        records = models * pictures * (rates.full if stored == sets else rates.top20)
        print(
            f"| {title} | {models * pictures:,} | {len(plan.jobs):,} | {len(plan.artifacts):,} | {seconds:.1f} s "
            f"| {work / 3600:,.0f} | {stored * rates.picture / 1e9:,.0f} GB and {records / 1e9:,.0f} of records |"
        )


if __name__ == "__main__":
    main()
