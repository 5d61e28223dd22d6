"""A text-to-text classifier of yours, such as T5: `mine: {use: text_to_label, path: /data/t5}`.

It was trained to answer a text with the number of its label. The logit of a class is the log-probability of its
number, end token included: the class of the highest one is what is answered, if a label is. Nothing is downloaded, and
no code of the folder is run. Trained by nothing: use the trainer `given`.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning", JMLR 21(140), arXiv:1910.10683; as O'Brien
et al. 2024, arXiv:2402.08225, train and ask T5-large (`train_model.py`: labels as numbers, 512 tokens). Differs: they
generate ten tokens and look for a label in them.
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
    path: str = Field("", description="folder of transformers' `save_pretrained`")
    length: int = Field(512, ge=1, description="tokens that a text is cut to")
    prefix: str = Field("", description="words before each text")


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Identity of the pretrained checkpoint: the sha256 of its tensors."""
    return _given.state(_tensors(params))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor: `logits` float32 (n, classes), log-probabilities.

    Raises:
        ModelError: transformers is missing, or the checkpoint is another one, or no such model.
    """
    folder = _given.check(weights, _tensors(params)).parent
    transformers = _optional.package("transformers", "llm")
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokens = transformers.AutoTokenizer.from_pretrained(folder, **options)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder} is no text-to-text model of transformers: {error}") from None
    place = nets.pick_device(device)
    model = model.to(place).eval()
    answers = [tokens(str(label), return_tensors="pt").input_ids for label in range(len(classes))]

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        texts = [params["prefix"] + sample.fields["text"] for sample in samples]
        inputs = tokens(texts, padding=True, truncation=True, max_length=params["length"], return_tensors="pt").to(
            place
        )
        with torch.inference_mode():
            encoding = model.get_encoder()(**inputs)
            scores = [_log_probability(model, encoding, inputs.attention_mask, one) for one in answers]
        return {"logits": nets.to_numpy(torch.stack(scores, dim=1))}

    return predict


def _log_probability(model: Any, encoding: Any, mask: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    """The log-probability of one answer (1, t) to each of n texts that the encoder has read, (n,)."""
    labels = answer.to(mask.device).repeat(len(mask), 1)
    logits = model(encoder_outputs=encoding, attention_mask=mask, labels=labels).logits
    each: torch.Tensor = logits.log_softmax(-1).gather(-1, labels[..., None])[..., 0]
    return each.sum(dim=1)


def _tensors(params: Mapping[str, Any]) -> str:
    return str(Path(params["path"]) / TENSORS)
