"""The README.md in a folder of shards: a dataset card, with which Hugging Face's `datasets` loads the folder.

`datasets.load_dataset("data/shards/fashion_mnist/test/fog/3")` then finds the tars, the split and the names of the
classes. It follows from the manifest.

`datasets` keeps what it has read in a cache, below the name of the configuration alone: neither the folder nor the time
of its files is part of the key. The name therefore states the data set, the split, the shift, the severity and a digest
of the manifest.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from shiftbench.data import shards

CARD = "README.md"
_TYPES = {"png": "image", "webp": "image", "txt": "string", "json": "json"}
"""Last part of a field's extension -> type of its column in `datasets`."""


def write(folder: Path) -> dict[str, Path]:
    """Write the card of a folder of shards that has its manifest; returns its name with its path."""
    file = folder / CARD
    file.write_text(text(shards.manifest(folder)))
    return {CARD: file}


def text(about: dict[str, Any]) -> str:
    """Text of the card of shards with the manifest `about`."""
    shifted = f", {about['shift']} at severity {about['severity']:g}" if about["severity"] else ""
    return (
        f"{head(about)}# {about['dataset']}/{about['split']}{shifted}\n\n"
        f"{about['samples']} samples ({about['task']}), made by shiftbench; `manifest.json` has all about them.\n\n"
        f"- Licence: {about['licence']}\n- Citation: {about['citation']}\n"
    )


def head(about: dict[str, Any]) -> str:
    """Part of the card that `datasets` reads: where the tars are, and which columns they have.

    Args:
        about: the manifest.
    """
    name = config_name(about)
    settings = {
        "configs": [{"config_name": name, "data_files": [{"split": about["split"], "path": "*.tar"}]}],
        "dataset_info": {"config_name": name, "features": list(_features(about))},
    }
    return f"---\n{yaml.safe_dump(settings, sort_keys=False, width=10_000)}---\n"


def config_name(about: dict[str, Any]) -> str:
    """Name of the configuration: `fashion_mnist-test-fog-3-` and the first 16 digits of the manifest's sha256."""
    digest = hashlib.sha256(shards.manifest_text(about).encode()).hexdigest()[:16]
    facts = about["dataset"], about["split"], about["shift"], f"{about['severity']:g}", digest
    return "-".join(facts)


def _features(about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the columns in the format of `datasets`; samples without a field have None there."""
    for extension in about["fields"].values():
        kind = extension.rpartition(".")[2]
        yield {"name": extension, "dtype": _label(about) if kind == "cls" else _TYPES.get(kind, "binary")}
    yield {"name": "__key__", "dtype": "string"}
    yield {"name": "__url__", "dtype": "string"}


def _label(about: dict[str, Any]) -> object:
    names = {str(number): name for number, name in enumerate(about["classes"])}
    return {"class_label": {"names": names}} if names else "int64"
