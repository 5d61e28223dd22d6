"""How the options of SDPose's arms were chosen: trained as in the run, judged by AP on validation bodies alone.

    python benchmarks/sdpose_choices.py [--root build/systems/sdpose-coco-ood] TRIAL...

A trial is `ARM:OPTION=VALUE,...`, such as `pose:lr=0.004,width=24`: options of the net and of its trainer, what is not
named is the card's; `prior_OPTION` are those of the prior. Bodies are the card's; judged are those of its `val` split,
as photographs, in one training of a seed that is none of the run's. No body, photo or style of the tests is looked at.
Originals are read below the root, where a run has fetched them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from shiftbench import plugins, refs
from shiftbench.contracts import TrainJob
from shiftbench.data import splits
from shiftbench.data.skeletons import COCO_17
from shiftbench.inference import nets
from shiftbench.plan import cards
from shiftbench.sample import Sample
from shiftbench.stages.train import train_weights
from shiftbench.statistics.rows import Rows
from shiftbench.tasks import LabelSpace, keypoints

SEED = 1000
MODEL, TRAINER, PRIOR = (
    plugins.find(family, name)
    for family, name in (("models", "pose_unet"), ("trainers", "poses"), ("trainers", "denoiser"))
)
Options = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trials", nargs="+")
    parser.add_argument("--root", type=Path, default=Path("build/systems/sdpose-coco-ood"))
    given = parser.parse_args()
    for trial in given.trials:
        arm, _, told = trial.partition(":")
        pairs = (pair.split("=") for pair in told.split(",") if pair)
        changes = {name: yaml.safe_load(value) for name, value in pairs}
        began = time.process_time()
        found = judged(given.root, arm, changes)
        print(f"{trial}: AP {100 * found:.1f}, {time.process_time() - began:.0f} CPU s", flush=True)


def judged(root: Path, arm: str, changes: Mapping[str, Any]) -> float:
    """Return the AP on validation bodies of an arm of the card under other options."""
    card = yaml.safe_load(cards.file("sdpose-coco-ood").read_text())["params"]["embedded"]
    model = _options(MODEL, card["models"]["pose_unet"], changes)
    options = _options(TRAINER, card["trainers"][arm], changes)
    inputs = {}
    if options["start"]:
        told = {name[6:]: value for name, value in changes.items() if name.startswith("prior_")}
        prior = _options(PRIOR, card["trainers"]["denoiser"], told)
        file = _prior(root, tuple(sorted(model.items())), tuple(sorted(prior.items())))
        inputs = {refs.weights("mixed_styles", "pose_unet", "denoiser", 0): file}
    state, _ = train_weights(_job(root, "capsule_bodies", "poses", options, model, inputs))
    net = MODEL.build(model, len(COCO_17))
    nets.load_into(net, state, arm)
    held = bodies(root, "capsule_bodies", "val")
    answers = MODEL.predictor(net, MODEL, model, "cpu", "float32")(held)
    table = keypoints.rows(list(held), answers, LabelSpace(COCO_17, COCO_17), "full")
    ap = plugins.find("metrics", "ap")
    return float(ap.compute(Rows(table), np.ones((len(held), 1), np.uint8), **ap.PARAMS)[0])


def _options(plugin: Any, own: Options, changes: Mapping[str, Any]) -> Options:
    """Return a plugin's options: its defaults under the card's under what a trial changes."""
    return {
        name: changes.get(name, own.get(name, default)) for name, default in plugin.PARAMS.items()
    }


@cache
def _prior(root: Path, model: tuple[Any, ...], options: tuple[Any, ...]) -> Path:
    """Return the weights that the prior has learnt, in a file."""
    state, _ = train_weights(_job(root, "mixed_styles", "denoiser", dict(options), dict(model), {}))
    file = Path(tempfile.mkdtemp()) / "prior.safetensors"
    file.write_bytes(nets.state_bytes(state))
    return file


def _job(
    root: Path, dataset: str, trainer: str, options: Options, model: Options, inputs: Any
) -> TrainJob:
    optimizer = plugins.find("optimizers", options["optimizer"])
    return TrainJob(
        dataset=dataset,
        model="pose_unet",
        trainer=trainer,
        seed=SEED,
        params=options,
        model_params=model,
        classes=COCO_17,
        inputs=inputs,
        optimizer={"use": options["optimizer"], "options": optimizer.PARAMS},
        samples=lambda split: list(bodies(root, dataset, split)),
    )


@cache
def bodies(root: Path, dataset: str, split: str) -> tuple[Sample, ...]:
    """Return the samples of a split of the card's dataset."""
    card = yaml.safe_load(cards.file("sdpose-coco-ood").read_text())["params"]["embedded"]
    module = plugins.find("datasets", dataset)
    sources = {name: root / "data/sources" / name for name in module.SOURCES}
    params = {**module.PARAMS, **card["datasets"][dataset], "name": dataset}
    native = module.samples("train", sources, params)
    return tuple(one for one in splits.cut(native, split, module) if isinstance(one, Sample))


if __name__ == "__main__":
    main()
