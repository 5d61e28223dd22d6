"""DETree as published: RoBERTa-large, merged or with its LoRA adapter, and a database of centres.

    detree: {use: detree_checkpoint, path: /data/detree, checkpoint: DETree, database: embbedings/mage_center10k.pt}

The folder `checkpoint` has config, tensors and tokeniser. The largest hidden states over a text's tokens make its
vector, of length 1. Nothing is downloaded, and no code of the folder is run. No AUROC depends on `threshold`: that of
the released demo (0.97 on the human's share) calls almost everything machine-made. Trained by nothing: use the trainer
`given`.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 4; detree/inference/detector.py (`Detector`),
`cluster_database` in detree/cli/database.py, `TextEmbeddingModel` in detree/model/text_embedding.py and scripts of
heyongxin233/DETree (layer 18 makes the tree; 17 to 19 score); heyongxin233/DETree and FacebookAI/roberta-large on the
Hugging Face hub.

A database (`embbedings/*_center10k.pt`) is a dictionary of `embeddings` (layer -> bfloat16 (m, d)), `labels` int64
(m,) or layer -> such, `ids` and `classes`: a label is human where `classes` has "human" at its place. It is read
without running code that it contains (`weights_only`). Adapters are LoRA's: Hu et al. 2022, arXiv:2106.09685, section
4.1 (W + alpha / r B A), in the files of the library PEFT.
"""

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given, _optional
from shiftbench.systems.detree.models import _database
from shiftbench.systems.detree.models._database import Database, Voter

TASK = "text_classification"
CLASSES = ("human", "machine")
_KEYS = ("embeddings", "labels", "ids", "classes")
_HUMAN = "human"
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class Options(declare.Options):
    path: str = Field("", description="folder with the checkpoint, the adapter and the database")
    checkpoint: str = Field("DETree", description="folder of transformers' `save_pretrained`, below `path`")
    adapter: str = Field("", description="folder of a LoRA adapter of PEFT, below `path`; empty: none")
    database: str = Field("embbedings/mage_center10k.pt", description="file of the database, below `path`")
    layer: int = Field(18, ge=0, description="layer of the hidden states; 0: before the first block")
    pooling: Literal["max", "average", "cls"] = Field("max", description="how vectors of tokens become that of a text")
    length: int = Field(512, ge=1, description="tokens that a text is cut to")
    k: _database.K = 10
    temperature: _database.Temperature = 0.05
    rule: Literal["softmax", "sums"] = Field(
        "softmax", description="sum of votes, or the sums of the released evaluation"
    )
    threshold: float = Field(0.5, ge=0, le=1, description="machine's share of votes above which a text is machine-made")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Identity of the pretrained files: one sha256 over all of them."""
    return _given.folder_state(Path(params["path"]).expanduser())


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `logits` float32 (n, 2) and `features`, the vectors of its layer.

    Raises:
        ModelError: transformers is missing, a file is missing or another one, or the classes are not human and machine.
    """
    if tuple(classes) != CLASSES:
        raise ModelError(f"detree_checkpoint tells {' from '.join(CLASSES)}; the dataset has {', '.join(classes)}")
    folder = Path(params["path"]).expanduser()
    _given.check_folder(weights, folder)
    embed = Embedder(folder, params, nets.pick_device(device))
    database = _read_database(folder / params["database"], params["layer"])
    return Voter(embed, database, params["threshold"], params["k"], params["temperature"], params["rule"])


class Embedder:
    """Samples -> vectors of length 1 of one layer.

    Raises:
        ModelError: transformers is missing, or the folder is no such model.
    """

    def __init__(self, folder: Path, params: Mapping[str, Any], device: torch.device) -> None:
        transformers = _optional.package("transformers", "llm")
        options = {"local_files_only": True, "trust_remote_code": False}
        place = folder / params["checkpoint"]
        try:
            self._tokens = transformers.AutoTokenizer.from_pretrained(place, **options)
            model = transformers.AutoModel.from_pretrained(place, use_safetensors=True, **options)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{place} is no text encoder of transformers: {error}") from None
        if params["adapter"]:
            _merge_adapter(model, folder / params["adapter"])
        self._model, self._device, self._params = model.to(device).eval(), device, params
        if not 0 <= params["layer"] <= model.config.num_hidden_layers:
            raise ModelError(f"{place} has {model.config.num_hidden_layers} layers; layer is {params['layer']}")

    def __call__(self, samples: Sequence[Sample]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Vectors float32 (n, d)."""
        encoded = self._tokens(
            [sample.fields["text"] for sample in samples],
            padding=True, truncation=True, max_length=self._params["length"], return_tensors="pt",
        ).to(self._device)  # fmt: skip
        with torch.inference_mode():
            states = self._model(**encoded, output_hidden_states=True).hidden_states
        hidden = states[self._params["layer"]]
        return _unit(_pool(hidden, encoded["attention_mask"], self._params["pooling"]))


def _read_database(file: Path, layer: int) -> Database:
    """The database of one layer.

    Raises:
        ModelError: the file is missing, is no database in this form, or has not the layer.
    """
    content = _read(file)
    layers = content["embeddings"]
    if layer not in layers:
        raise ModelError(f"{file} has no layer {layer!r}; {suggest(str(layer), map(str, layers))}")
    if _HUMAN not in content["classes"]:
        raise ModelError(f"{file}: no class is {_HUMAN!r}; it has {', '.join(map(str, content['classes'][:9]))}")
    labels = content["labels"][layer] if isinstance(content["labels"], Mapping) else content["labels"]
    vectors = layers[layer].float().numpy()
    if vectors.ndim != 2 or len(vectors) != len(labels):
        raise ModelError(f"{file}: layer {layer} has vectors {vectors.shape} and {len(labels)} labels")
    return Database.of(vectors, labels.numpy() == list(content["classes"]).index(_HUMAN))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ModelError(f"the database {file} does not exist; check `path` and `database`")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{file} cannot be read without running what is in it: {error}") from None
    if not isinstance(content, dict) or not set(_KEYS) <= set(content) or not isinstance(content["embeddings"], dict):
        raise ModelError(f"{file} is no database of DETree: expected a dictionary of {', '.join(_KEYS)}")
    return content


def _merge_adapter(model: nn.Module, folder: Path) -> None:
    """Add a LoRA adapter to the weights of the network that it was trained over, in place.

    Args:
        model: transformers' model.
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ModelError: a file is missing, or the adapter is of another network or another kind.
    """
    files = [folder / name for name in ("adapter_config.json", "adapter_model.safetensors")]
    if not all(file.is_file() for file in files):
        raise ModelError(f"{folder} is no adapter: expected {' and '.join(file.name for file in files)}")
    config, state = json.loads(files[0].read_text(encoding="utf-8")), nets.read_state(files[1])
    scale, own = config["lora_alpha"] / config["r"], dict(model.named_parameters())
    names = [name.removesuffix(_DOWN) for name in state if name.endswith(_DOWN)]
    if len(state) != 2 * len(names):
        raise ModelError(f"{files[1]} holds more than pairs of LoRA; only such adapters are read")
    for name in names:
        target = f"{name.removeprefix(_PREFIX)}.weight"
        update = scale * state[name + _UP] @ state[name + _DOWN]
        if target not in own or own[target].shape != update.shape:
            raise ModelError(f"{files[1]}: {name} {tuple(update.shape)} is no layer of the net; is it its adapter?")
        with torch.no_grad():
            own[target].add_(update)


def _pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector for each text out of those of its tokens.

    `average` leaves padding out, which the released code does not (its masking is discarded): the two are equal for
    texts without padding alone.

    Args:
        hidden: float (n, tokens, d).
        mask: int (n, tokens), 0 where there is padding.
        pooling: `max`, `average` or `cls`.

    Raises:
        ModelError: another way.
    """
    is_token = mask[..., None].bool()
    if pooling == "max":
        return hidden.masked_fill(~is_token, -torch.inf).amax(1)
    if pooling == "average":
        return hidden.masked_fill(~is_token, 0).sum(1) / is_token.sum(1)
    if pooling == "cls":
        return hidden[:, 0]
    raise ModelError(f"pooling is {pooling!r}; {suggest(pooling, ('max', 'average', 'cls'))}")


def _unit(vectors: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors of length 1, float32 (n, d)."""
    unit: np.ndarray[Any, np.dtype[np.float32]] = nets.to_numpy(nn.functional.normalize(vectors.float(), dim=-1))
    return unit
