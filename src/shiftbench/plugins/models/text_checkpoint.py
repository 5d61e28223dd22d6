"""A text classifier of yours in transformers' layout: `mine: {use: text_checkpoint, path: /data/bert}`.

The folder has `config.json`, `model.safetensors` and the tokeniser's files (`save_pretrained` writes them). Its labels
are the dataset's classes, in order. Nothing is downloaded, and no code of the folder is run. Use the trainer `given`:
nothing trains this model.

Source: Wolf et al. 2020, "Transformers", EMNLP demos, arXiv:1910.03771.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given, _optional

TASK = "text_classification"
TENSORS = "model.safetensors"


class Options(declare.Options):
    path: str = Field("", description="your folder; `{seed}` in it is the training seed")
    length: int = Field(512, ge=1, description="tokens of a text at most; the rest is cut off")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State of the checkpoint: the sha256 of its tensors."""
    return _given.state(_tensors(params))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `logits` float32 (n, classes)."""
    folder = _given.check(weights, _tensors(params)).parent
    transformers = _optional.package("transformers", "llm")
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokens = transformers.AutoTokenizer.from_pretrained(folder, **options)
        network = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} is no text classifier of transformers: {error}") from None
    if network.config.num_labels != len(classes):
        raise ModelError(f"{folder} has {network.config.num_labels} labels, the dataset {len(classes)} classes")
    place = nets.pick_device(device)
    network = network.to(place).eval()

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = [sample.fields["text"] for sample in samples]
        encoded = tokens(texts, padding=True, truncation=True, max_length=params["length"], return_tensors="pt").to(
            place
        )
        with torch.inference_mode():
            return {"logits": nets.to_numpy(network(**encoded).logits)}

    return predict


def _tensors(params: Mapping[str, Any]) -> str:
    return str(Path(params["path"]) / TENSORS)
