"""A small collection with queries as shards, and what rankers read, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from makers import miniature_texts
from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _sentences
from shiftbench.workflow.stages.train import train_weights

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "wooden",
    "boats",
    "garden",
    "birds",
    "mountain",
    "roads",
    "old",
    "clocks",
]
PIECES += ["and", "again", "about", "number", "##s", *(f"number{number}" for number in range(10))]
COLLECTIONS = {"collections": ["trec_documents"]}


def write(folder: Path, samples: list[Sample]) -> Path:
    """Write samples of the task as shards; returns the manifest."""
    folder.mkdir(parents=True)
    about = {"task": "ranking", "classes": [], "dataset": "trec"}
    shards.write(
        sorted(samples, key=lambda one: one.key), folder, registry.find("tasks", "ranking").FIELDS, about, 10**8
    )
    return folder / "manifest.json"


def made(tmp: Path) -> tuple[dict[Ref, Path], dict[str, list[Sample]]]:
    """Return inputs (documents, queries, an encoder's files) and the queries of each split."""
    (tmp / "raw").mkdir()
    _, given = miniature_texts.trec(tmp / "raw")
    inputs, queries = {}, {}
    for name, split in (("trec_documents", "test"), *(("trec", one) for one in ("train", "val", "test"))):
        module = registry.find("datasets", name)
        samples = list(module.samples(split, {}, {**defaults(module), **given, "name": name}))
        inputs[refs.shards(name, split)] = write(tmp / name / split, samples)
        queries[split] = samples
    inputs[refs.sources(_sentences.SOURCE)] = encoder(tmp / "encoder") / "manifest.json"
    return inputs, queries


def encoder(folder: Path) -> Path:
    """Write a small vocabulary and random vectors in the place of MiniLM's."""
    folder.mkdir()
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    rows = np.random.default_rng(0).normal(size=(len(PIECES), _sentences.SIZE))
    state = {"embeddings.word_embeddings.weight": torch.from_numpy(rows).float()}
    (folder / "model.safetensors").write_bytes(nets.state_bytes(state, {}))
    return folder


def trained(
    tmp: Path, inputs: dict[Ref, Path], queries: dict[str, list[Sample]], model: str, trainer: str, **options: Any
) -> tuple[Any, list[tuple[int, str, float]], Path]:
    """Return the predictor of a trained ranker, its log and the file of its weights."""
    known = defaults(registry.find("models", model))
    of = {**known, **(COLLECTIONS if "collections" in known else {}), **options.pop("built", {})}
    job = TrainJob(
        dataset="trec", model=model, trainer=trainer, seed=3, model_params=of, classes=(), inputs=inputs,
        params={**defaults(registry.find("trainers", trainer)), **options}, samples=lambda split: queries[split],
    )  # fmt: skip
    state, log = train_weights(job)
    tmp.mkdir(exist_ok=True)
    file = tmp / f"{model}.safetensors"
    file.write_bytes(nets.state_bytes(state, {}))
    return registry.find("models", model).load(file, of, [], "cpu", inputs), log, file
