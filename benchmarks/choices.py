"""How options of a system's nets were chosen: trained as in the run, judged on its validation samples alone.

    python benchmarks/choices.py SLUG DATASET METRIC TRIAL... [--root build/systems/SLUG]

A trial is `MODEL-TRAINER:OPTION=VALUE,...`, such as `pose_unet-pose:lr=0.004,width=24`: names and options are those of
the card at embedded scale, of the net and of its trainer, but for what the trial changes; `start_OPTION` are those of
the trainer of the weights to begin with, `data_OPTION` those of the dataset. METRIC may be several, joined with commas.
Judged are the samples of the `val` split as they are, by one training of a seed that is none of the run's: nothing that
is tested is looked at. Originals are read below the root, where a run has fetched them, and so are the shards of a
dataset that is made from others.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from shiftbench.base import refs, registry
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.evaluation import nets
from shiftbench.evaluation.batching import batches
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

SEED, BATCH = 1000, 100
Options = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("slug", "dataset", "metric"):
        parser.add_argument(name)
    parser.add_argument("trials", nargs="+")
    parser.add_argument("--root", type=Path)
    given = parser.parse_args()
    root = given.root or Path("build/systems") / given.slug
    card = yaml.safe_load(cards.file(given.slug).read_text())["params"]["embedded"]
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(card, root, Path(folder))
        for trial in given.trials:
            name, _, options = trial.partition(":")
            changes = told(options)
            began = time.process_time()
            found = trials.judged(given.dataset, name, given.metric.split(","), changes)
            took = time.process_time() - began
            said = ", ".join(f"{metric} {value:.4g}" for metric, value in found.items())
            print(f"{trial}: {said}, {took:.0f} CPU s", flush=True)


def told(options: str) -> Options:
    """Return what a trial changes: `lr=0.1,groups=[1, 2]`."""
    found: Options = yaml.safe_load(f"{{{options.replace('=', ': ')}}}")
    return found


class Trials:
    """Trainings of a card's nets under other options.

    Args:
        card: the params of a scale.
        root: where `data/sources` lies.
        folder: where weights are laid down on the way.
    """

    def __init__(self, card: Options, root: Path, folder: Path) -> None:
        self.card, self.root, self.folder = card, root, folder
        self.samples = cache(self._samples)
        self.data: Options = {}
        self.begun: dict[str, nets.State] = {}

    def judged(self, dataset: str, name: str, metrics: Sequence[str], changes: Mapping[str, Any]) -> dict[str, float]:
        """Return metrics of one training on the validation samples."""
        self.data = {key[5:]: value for key, value in changes.items() if key.startswith("data_")}
        self.samples = cache(self._samples)
        model, state = self._trained(dataset, name, changes)
        plugin, options = self._plugin("models", model, changes)
        classes, held = self._classes(dataset), list(self.samples(dataset, "val"))
        file = self._kept(state, "judged")
        predict = nets.load_predictor(plugin, file, options, classes, "cpu")
        task = registry.find("tasks", plugin.TASK)
        space = LabelSpace(classes, classes)
        parts = [task.rows(some, predict(some), space, "full") for some in batches(held, BATCH)]
        rows = Rows(pa.concat_tables(parts))
        return {metric: _value(metric, rows) for metric in metrics}

    def _trained(self, dataset: str, name: str, changes: Mapping[str, Any]) -> tuple[str, nets.State]:
        """Return the name of the net and its state after training."""
        model, _, trainer = name.rpartition("-")
        options = self._plugin("trainers", trainer, changes)[1]
        inputs = {}
        if options.get("start"):
            where, _, start = options["start"].rpartition("/")
            first, _, before = start.rpartition("-")
            first = first or model
            told = {key[6:]: value for key, value in changes.items() if key.startswith("start_")}
            own = {key: changes[key] for key in self._plugin("models", first, {})[1] if key in changes}
            state = self._begun(where or dataset, f"{first}-{before}", own | told)
            inputs = {refs.checkpoint(where or dataset, first, before, 0): self._kept(state, before)}
        rule = options.get("optimizer")
        optimizer = {"use": rule, "options": registry.defaults(registry.find("optimizers", rule))} if rule else {}
        job = TrainJob(
            dataset=dataset,
            model=self._use("models", model),
            trainer=self._use("trainers", trainer),
            seed=SEED,
            params=options,
            model_params=self._plugin("models", model, changes)[1],
            classes=tuple(self._classes(dataset)),
            inputs=inputs,
            optimizer=optimizer,
            samples=lambda split: list(self.samples(dataset, split)),
        )
        return model, train_weights(job)[0]

    def _begun(self, dataset: str, name: str, changes: Options) -> nets.State:
        """Return the state of weights to begin with; trials that share it train it once."""
        asked = repr((dataset, name, changes, self.data))
        if asked not in self.begun:
            self.begun[asked] = self._trained(dataset, name, changes)[1]
        return self.begun[asked]

    def _kept(self, state: nets.State, name: str) -> Path:
        """Return a file of weights."""
        file = self.folder / f"{name}.safetensors"
        file.write_bytes(nets.state_bytes(state))
        return file

    def _use(self, family: str, name: str) -> str:
        return str((self.card[family].get(name) or {}).get("use", name))

    def _plugin(self, family: str, name: str, changes: Mapping[str, Any]) -> tuple[Any, Options]:
        """Return a plugin and its options: its defaults under the card's under what a trial changes."""
        plugin = registry.find(family, self._use(family, name))
        own = self.card[family].get(name) or {}
        return plugin, {
            key: changes.get(key, own.get(key, default)) for key, default in registry.defaults(plugin).items()
        }

    def _classes(self, dataset: str) -> list[str]:
        return list(self._plugin("datasets", dataset, {})[0].CLASSES)

    def _samples(self, dataset: str, split: str) -> tuple[Sample, ...]:
        """Return the samples of a split, drawn anew."""
        module, options = self._plugin("datasets", dataset, {})
        if hasattr(module, "needs"):
            return tuple(shards.read(self.root / "data/shards" / dataset / split / "identity/0"))
        sources = {name: self.root / "data/sources" / name for name in module.SOURCES}
        options = {**options, **self.data, "name": dataset}
        native = module.samples(splits.native(split, module), sources, options)
        own = splits.select_split(native, split, module)
        return tuple(sample for sample in own if isinstance(sample, Sample))


def _value(name: str, rows: Rows) -> float:
    metric, weights = registry.find("metrics", name), np.ones((len(rows), 1), np.uint8)
    if metric.KIND == "resampled":
        return float(metric.compute(rows, weights, **registry.defaults(metric))[0])
    (sums,) = weighted_sums([metric.reduce(rows, **registry.defaults(metric))], weights)
    return float(metric.finish(sums, **registry.defaults(metric))[0])


if __name__ == "__main__":
    main()
