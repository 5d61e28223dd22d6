"""Every dataset keeps the contract of docs/extending.md, on its real originals where they are at hand."""

import functools
import hashlib
import itertools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import FetchError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import names
from shiftbench.data import shards, splits
from shiftbench.workflow.stages.fetch import fetch

NAMES = names("datasets")
MINIATURES: dict[str, Callable[[Path], tuple[dict[str, Path], dict[str, Any]]]] = {}
"""Name -> what writes a miniature of the originals into a folder, and returns sources and options."""
ONLINE = bool({"SHIFTBENCH_TEST_NETWORK", "SHIFTBENCH_NO_SKIPS"} & os.environ.keys())
MADE = {"train": 200, "val": 60, "test": 60, "count": 150, "test_count": 40, "sentences": 40}
"""How many samples at most of what is made, not read: options of these names."""
AGAIN = 200
"""How many samples are read a second time."""

BY_DATASET = pytest.mark.parametrize("name", NAMES, scope="module")
"""All tests of a dataset in a row, so that one of pytest's workers reads it, once."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sample was: its key, label, group and a digest of its content."""

    key: str
    label: tuple[int, ...]  # of an image with boxes: theirs
    group: str
    content: str


@functools.cache
def workplace() -> Path:
    return Path(tempfile.mkdtemp(prefix="shiftbench-datasets-"))


@functools.cache
def originals(name: str) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return sources and options: a miniature, or the originals from the cache (or the network, if allowed)."""
    if name in MINIATURES:
        (workplace() / name).mkdir()
        return MINIATURES[name](workplace() / name)
    sources = {}
    for source in registry.find("datasets", name).SOURCES:
        folder = workplace() / "sources" / source
        if not (folder / "manifest.json").is_file():
            fetch(source, folder, [], offline=not ONLINE)
        sources[source] = folder
    return sources, {}


def at_hand(name: str) -> tuple[dict[str, Path], dict[str, Any]]:
    try:
        sources, given = originals(name)
    except FetchError as error:
        if ONLINE:
            raise
        pytest.skip(f"the originals of {name} are not in the cache: {error}".splitlines()[0])
    options = {**defaults(registry.find("datasets", name)), **given}
    fewer = {key: min(most, options[key]) for key, most in MADE.items() if options.get(key)}
    return sources, {**options, **fewer, "name": name}


def made_from(module: ModuleType, params: dict[str, Any], split: str) -> dict[str, Any]:
    """Return the keyword `inputs` of a dataset that is made from shards of others: those, with their defaults."""
    needs = module.needs({**params, "split": split}) if hasattr(module, "needs") else []
    found = {ref: other_shards(*ref.parts[:2]) for ref in needs if ref.kind == "shards"}
    return {"inputs": found} if found else {}


@functools.cache
def other_shards(name: str, split: str) -> Path:
    sources, params = at_hand(name)
    module, folder = registry.find("datasets", name), workplace() / "shards" / name / split
    folder.mkdir(parents=True)
    native = module.samples(splits.native(split, module), sources, params)
    kept = [s for s in splits.select_split(native, split, module) if isinstance(s, Sample)]
    about = {"classes": list(classes(module, params, sources))}
    fields = registry.find("tasks", module.TASK).FIELDS
    shards.write(sorted(kept, key=lambda sample: sample.key), folder, fields, about, 1_000_000_000)
    return folder / "manifest.json"


def classes(module: ModuleType, params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    extra = made_from(module, params, "test")
    found: tuple[str, ...] = module.classes(params, sources, **extra) if hasattr(module, "classes") else module.CLASSES
    return found


def offered(module: ModuleType) -> tuple[str, ...]:
    """Return the splits that a dataset has: a benchmark may be a test set alone."""
    return ("test",) if module.NATIVE == ("test",) else splits.SPLITS


@functools.cache
def read(name: str) -> dict[str, list[Seen]]:
    """Read each native split once, checking each sample's form on the way."""
    sources, params = at_hand(name)
    module = registry.find("datasets", name)
    group = getattr(module, "group", lambda sample: sample.key)
    found: dict[str, list[Seen]] = {split: [] for split in offered(module)}
    task = registry.find("tasks", module.TASK)
    for native in {splits.native(split, module) for split in found}:
        cuts = [split for split in found if splits.native(split, module) == native]
        for sample in module.samples(native, sources, params, **made_from(module, params, native)):
            assert isinstance(sample, Sample), sample
            check(sample, task)
            seen = Seen(sample.key, labels(sample), group(sample), content(sample))
            for split in cuts:
                if splits.belongs(split, seen.group, module.NATIVE):
                    found[split].append(seen)
    return found


def check(sample: Sample, task: ModuleType) -> None:
    assert set(task.REQUIRED) <= sample.fields.keys() <= task.FIELDS.keys()
    known = labels(sample)
    assert all(type(label) is int for label in known)
    joints = [len(pose["joints"]) for pose in sample.fields.get("poses", ())]
    task.check(sample, ["any"] * max(1 + max(known, default=0), *joints, 0))
    if "image" in sample.fields:
        image = sample.fields["image"]
        assert image.dtype == np.uint8
        assert image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        mask = sample.fields.get("mask", image[..., 0] if image.ndim == 3 else image)
        assert mask.dtype == np.uint8
        assert mask.shape == image.shape[:2]
    if "text" in sample.fields:
        assert sample.fields["text"].strip()


def labels(sample: Sample) -> tuple[int, ...]:
    fields = sample.fields
    return (fields["label"],) if "label" in fields else tuple(b["label"] for b in fields.get("boxes", ()))


def classified(module: ModuleType) -> bool:
    """Tell whether a dataset's task has classes."""
    return bool({"label", "boxes"} & set(registry.find("tasks", module.TASK).FIELDS))


def content(sample: Sample) -> str:
    kinds = ("image", "rgb", "audio", "text", "query")
    value = next(sample.fields[kind] for kind in kinds if kind in sample.fields)
    raw = f"{value.shape}".encode() + value.tobytes() if isinstance(value, np.ndarray) else value.encode()
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@BY_DATASET
def test_declaration(name: str) -> None:
    module = registry.find("datasets", name)
    assert len(module.__doc__ or "") > 40
    assert module.LICENCE.strip()
    assert module.CITATION.strip()
    assert isinstance(module.REDISTRIBUTE, bool)
    assert isinstance(defaults(module), dict)
    assert module.TASK in registry.names("tasks")
    assert [splits.native(split, module) for split in offered(module)]
    least = 2 if classified(module) else 0
    assert hasattr(module, "classes") or len(set(module.CLASSES)) == len(module.CLASSES) >= least


@BY_DATASET
def test_classes_are_distinct_and_labels_lie_in_them(name: str) -> None:
    sources, params = at_hand(name)
    names = classes(registry.find("datasets", name), params, sources)
    assert len(set(names)) == len(names)
    found = {label for part in read(name).values() for seen in part for label in seen.label}
    assert all(0 <= label < len(names) for label in found)
    assert bool(found) == classified(registry.find("datasets", name))


@BY_DATASET
def test_keys_are_unique_and_have_no_dot(name: str) -> None:
    keys = [seen.key for part in read(name).values() for seen in part]
    prefix = f"{getattr(registry.find('datasets', name), 'PART_OF', name)}/"
    assert len(set(keys)) == len(keys)
    assert not [key for key in keys if "." in key or key != key.strip() or not key.startswith(prefix)]


@BY_DATASET
def test_a_dataset_that_says_so_yields_in_the_order_of_keys(name: str) -> None:
    if getattr(registry.find("datasets", name), "IN_ORDER", False):
        for part in read(name).values():
            assert [seen.key for seen in part] == sorted(seen.key for seen in part)


@BY_DATASET
def test_what_it_wants_of_the_user_is_where_it_says(name: str) -> None:
    module = registry.find("datasets", name)
    if hasattr(module, "wants"):
        _, params = at_hand(name)
        for split in {splits.native(split, module) for split in offered(module)}:
            assert all(Path(path).exists() for path in module.wants(split, params))


@BY_DATASET
def test_splits_are_disjoint_by_key_group_and_content(name: str) -> None:
    found = read(name)
    assert all(found.values()), {split: len(part) for split, part in found.items()}
    for field in ("key", "group", "content"):
        sets = [{getattr(seen, field) for seen in part} for part in found.values()]
        assert len(set.union(*sets)) == sum(map(len, sets)), field


@BY_DATASET
def test_same_samples_again(name: str) -> None:
    sources, params = at_hand(name)
    module = registry.find("datasets", name)
    extra = made_from(module, params, "test")
    native = module.samples(splits.native("test", module), sources, params, **extra)
    kept = (s for s in splits.select_split(native, "test", module) if isinstance(s, Sample))
    again = [content(sample) for sample in itertools.islice(kept, AGAIN)]
    assert again == [seen.content for seen in read(name)["test"][:AGAIN]]
