"""DETree as published: RoBERTa-large, merged or with its LoRA adapter, and a database of centres.

    detree: {use: detree_checkpoint, path: /data/detree, checkpoint: DETree, database: embbedings/mage_center10k.pt}

Below `path`: `checkpoint`, a folder as transformers' `save_pretrained` writes it (config, tensors, tokeniser);
`adapter`, if any, a folder of PEFT; `database`. A text is cut to `length` tokens; of the hidden states of `layer` (0 is
before the first block) the largest over its tokens make its vector, of length 1. Nothing is downloaded, and no code of
the folder is run. The threshold on the machine's share of votes is `threshold`, which no AUROC depends on: that of the
released demo (0.97 on the human's) calls almost everything machine-made. Trained by nothing: use the trainer `given`.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 4; detree/inference/detector.py and scripts of
heyongxin233/DETree (layer 18 makes the tree; 17 to 19 score), heyongxin233/DETree and FacebookAI/roberta-large on the
Hugging Face hub.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _given, _optional
from shiftbench.systems.detree.models import _published
from shiftbench.systems.detree.models._database import Voter

TASK = "text_classification"
PARAMS: dict[str, object] = {
    "path": "",
    "checkpoint": "DETree",
    "adapter": "",
    "database": "embbedings/mage_center10k.pt",
    "layer": 18,
    "pooling": "max",
    "length": 512,
    "k": 10,
    "temperature": 0.05,
    "rule": "softmax",
    "threshold": 0.5,
}
CLASSES = ("human", "machine")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Return what the weights say of the files: one sha256 over all of them."""
    return _given.folder_state(Path(params["path"]).expanduser())


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """Return the predictor: `logits` float32 (n, 2) and `features`, the vectors of its layer.

    Raises:
        ModelError: transformers is missing, a file is missing or another one, or the classes are not human and machine.
    """
    if tuple(classes) != CLASSES:
        raise ModelError(f"detree_checkpoint tells {' from '.join(CLASSES)}; the dataset has {', '.join(classes)}")
    folder = Path(params["path"]).expanduser()
    _given.check_folder(weights, folder)
    embed = Embedder(folder, params, nets.pick_device(device))
    found = _published.database(folder / params["database"], params["layer"])
    return Voter(embed, found, params["threshold"], params["k"], params["temperature"], params["rule"])


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
            net = transformers.AutoModel.from_pretrained(place, use_safetensors=True, **options)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{place} is no text encoder of transformers: {error}") from None
        if params["adapter"]:
            _published.merge_adapter(net, folder / params["adapter"])
        self._net, self._device, self._params = net.to(device).eval(), device, params
        if not 0 <= params["layer"] <= net.config.num_hidden_layers:
            raise ModelError(f"{place} has {net.config.num_hidden_layers} layers; layer is {params['layer']}")

    def __call__(self, samples: Sequence[Sample]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return float32 (n, d)."""
        encoded = self._tokens(
            [sample.fields["text"] for sample in samples],
            padding=True, truncation=True, max_length=self._params["length"], return_tensors="pt",
        ).to(self._device)  # fmt: skip
        with torch.inference_mode():
            states = self._net(**encoded, output_hidden_states=True).hidden_states
        hidden = states[self._params["layer"]]
        return _published.unit(_published.pooled(hidden, encoded["attention_mask"], self._params["pooling"]))
