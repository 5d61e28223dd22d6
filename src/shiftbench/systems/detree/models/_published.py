"""What DETree's authors published, as it is: databases of centres, and LoRA adapters over RoBERTa.

A database (`embbedings/*_center10k.pt`) is a dictionary of `embeddings` (layer -> bfloat16 (m, d)), `labels` int64
(m,) or layer -> such, `ids` and `classes`: a label is human where `classes` has "human" at its place. It is read
without running what is in it (`weights_only`).

Source: `cluster_database` in detree/cli/database.py, `Detector` in detree/inference/detector.py, `TextEmbeddingModel`
in detree/model/text_embedding.py of heyongxin233/DETree; Hu et al. 2022 (LoRA), arXiv:2106.09685, section 4.1 (W +
alpha / r B A), in the files of the library PEFT.
"""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.evaluation import nets
from shiftbench.systems.detree.models._database import Database

KEYS = ("embeddings", "labels", "ids", "classes")
HUMAN = "human"
_BEFORE, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


def database(file: Path, layer: int) -> Database:
    """Return the database of one layer.

    Raises:
        ModelError: the file is missing, is no database in this form, or has not the layer.
    """
    held = _read(file)
    layers = held["embeddings"]
    if layer not in layers:
        raise ModelError(f"{file} has no layer {layer!r}; {suggest(str(layer), map(str, layers))}")
    if HUMAN not in held["classes"]:
        raise ModelError(f"{file}: no class is {HUMAN!r}; it has {', '.join(map(str, held['classes'][:9]))}")
    labels = held["labels"][layer] if isinstance(held["labels"], Mapping) else held["labels"]
    vectors = layers[layer].float().numpy()
    if vectors.ndim != 2 or len(vectors) != len(labels):
        raise ModelError(f"{file}: layer {layer} has vectors {vectors.shape} and {len(labels)} labels")
    return Database.of(vectors, labels.numpy() == list(held["classes"]).index(HUMAN))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ModelError(f"the database {file} does not exist; check `path` and `database`")
    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{file} cannot be read without running what is in it: {error}") from None
    if not isinstance(held, dict) or not set(KEYS) <= set(held) or not isinstance(held["embeddings"], dict):
        raise ModelError(f"{file} is no database of DETree: expected a dictionary of {', '.join(KEYS)}")
    return held


def merge_adapter(net: nn.Module, folder: Path) -> None:
    """Add a LoRA adapter to the weights of the net that it was trained over, in place.

    Args:
        net: transformers' model.
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelError: a file is missing, or the adapter is of another net or another kind.
    """
    files = [folder / name for name in ("adapter_config.json", "adapter_model.safetensors")]
    if not all(file.is_file() for file in files):
        raise ModelError(f"{folder} is no adapter: expected {' and '.join(file.name for file in files)}")
    config, state = json.loads(files[0].read_text(encoding="utf-8")), nets.read_state(files[1])
    scale, own = config["lora_alpha"] / config["r"], dict(net.named_parameters())
    names = [name.removesuffix(_DOWN) for name in state if name.endswith(_DOWN)]
    if len(state) != 2 * len(names):
        raise ModelError(f"{files[1]} holds more than pairs of LoRA; only such adapters are read")
    for name in names:
        target = f"{name.removeprefix(_BEFORE)}.weight"
        added = scale * state[name + _UP] @ state[name + _DOWN]
        if target not in own or own[target].shape != added.shape:
            raise ModelError(f"{files[1]}: {name} {tuple(added.shape)} is no layer of the net; is it its adapter?")
        with torch.no_grad():
            own[target].add_(added)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """Return one vector for each text out of those of its tokens.

    `average` leaves padding out, which the released code does not (its masking is discarded): the two are equal for
    texts without padding alone.

    Args:
        hidden: float (n, tokens, d).
        mask: int (n, tokens), 0 where there is padding.
        how: `max`, `average` or `cls`.

    Raises:
        ModelError: another way.
    """
    kept = mask[..., None].bool()
    if how == "max":
        return hidden.masked_fill(~kept, -torch.inf).amax(1)
    if how == "average":
        return hidden.masked_fill(~kept, 0).sum(1) / kept.sum(1)
    if how == "cls":
        return hidden[:, 0]
    raise ModelError(f"pooling is {how!r}; {suggest(how, ('max', 'average', 'cls'))}")


def unit(vectors: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return vectors of length 1, float32 (n, d)."""
    found: np.ndarray[Any, np.dtype[np.float32]] = nets.to_numpy(nn.functional.normalize(vectors.float(), dim=-1))
    return found
