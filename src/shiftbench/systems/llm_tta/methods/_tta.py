"""Test-time augmentation of texts: the outputs on rewrites of an input and on the input itself, combined.

    S = [r_1 .. r_K, x];  mean_logit: mean over S of f(s);  mean_prob: log of the mean of softmax f(s);  vote

Source: O'Brien et al. 2024, arXiv:2402.08225, sections 3 and 4: mean of logits where a model shows them, else a vote.
The paper has the text itself in S once (`originals`); the released code takes the mean of logits over the rewrites and
two copies of it (`get_judgment` adds it to a list that has it), its votes over one. Below `theta`, the threshold of
`_gate`, f(x) stays. The vote's ties go to Python's order of sets in the released code; here to the class that is ranked
best on average, then to the first.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import log_softmax, logsumexp

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.llm_tta.methods import _gate

WAYS = ("mean_logit", "mean_prob", "vote")

Floats = NDArray[np.float32]
Rewriter = Callable[[Sequence[Sample]], list[list[str]]]
"""Samples -> k texts for each."""


class Options(declare.Options):
    k: int = Field(4, ge=0, description="rewrites of a text")
    theta: float = Field(0.0, ge=0, description="entropy from which on a text is rewritten, in nats; 0: always")
    combine: Literal["mean_logit", "mean_prob", "vote"] = Field("mean_logit", description="how outputs are combined")
    originals: int = Field(1, ge=1, description="how often the text itself counts")
    seed: int = Field(0, ge=0, description="seed of the rewriting")


class Averaging:
    """A predictor around another.

    Args:
        predictor: samples -> at least `logits` (n, C).
        rewrite: is asked for samples that are to be augmented, and for no other.
        params: see Options.

    Raises:
        ParamsError: k below 0, originals below 1, or no such way to combine.
    """

    def __init__(self, predictor: Callable[..., Any], rewrite: Rewriter, params: Mapping[str, Any]) -> None:
        if params["combine"] not in WAYS:
            raise ParamsError(f"combine is {params['combine']!r}; {suggest(params['combine'], WAYS)}")
        if params["k"] < 0:
            raise ParamsError(f"k is {params['k']}; expected a number of rewrites, 0 or more")
        if params["originals"] < 1:
            raise ParamsError(f"originals is {params['originals']}; expected 1 or more")
        self._predictor, self._rewrite, self._params = predictor, rewrite, params

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
        """The outputs on the samples, their logits combined where a text was rewritten."""
        own: dict[str, NDArray[Any]] = self._predictor(samples)
        logits = np.asarray(own["logits"], dtype=np.float32)
        k = self._params["k"]
        chosen: list[int] = np.flatnonzero(_gate.unsure(logits, self._params["theta"])).tolist()
        if not chosen or not k:
            return own
        some = [samples[at] for at in chosen]
        texts = self._rewrite(some)
        for sample, rewrites in zip(some, texts, strict=True):
            if len(rewrites) != k:
                raise DataError(f"{sample.key}: {len(rewrites)} rewrites, expected {k}")
        rewritten = [
            sample.with_field("text", text) for sample, rewrites in zip(some, texts, strict=True) for text in rewrites
        ]
        others = np.asarray(self._predictor(rewritten)["logits"], dtype=np.float32)
        itself = np.repeat(logits[chosen][:, None], self._params["originals"], axis=1)
        stack = np.concatenate([others.reshape(len(some), k, -1), itself], axis=1)
        combined = logits.copy()
        combined[chosen] = combine(stack, self._params["combine"])
        return {**own, "logits": combined}


def combine(logits: Floats, way: str) -> Floats:
    """Logits float32 (n, C) of the logits of m texts for each sample, (n, m, C).

    A vote's are the numbers of votes, less a thousandth for each class that comes before in the order of votes (most
    first), mean rank within the texts (best first) and label.

    Example:
        >>> two = np.array([[[2.0, 0.0], [0.0, 1.0]]], dtype=np.float32)
        >>> combine(two, "mean_logit").tolist(), combine(two, "vote").round(3).tolist()
        ([[1.0, 0.5]], [[1.0, 0.9990000128746033]])
    """
    wide = logits.astype(np.float64)
    if way == "mean_logit":
        return np.asarray(wide.mean(axis=1), dtype=np.float32)
    if way == "mean_prob":
        logs = logsumexp(log_softmax(wide, axis=2), axis=1) - np.log(wide.shape[1])
        return np.asarray(logs, dtype=np.float32)
    places = np.argsort(np.argsort(-wide, axis=2, kind="stable"), axis=2, kind="stable")
    votes, ranks = (places == 0).sum(axis=1), places.sum(axis=1)
    labels = np.broadcast_to(np.arange(wide.shape[2]), votes.shape)
    order = np.stack([np.lexsort(row) for row in np.stack([labels, ranks, -votes], axis=1)])
    behind = np.argsort(order, axis=1, kind="stable")
    return np.asarray(votes - behind / 1000, dtype=np.float32)


def words(params: Mapping[str, Any], name: str, sample: Sample) -> RandomStream:
    """The random words of one sample's rewrites."""
    return RandomStream(params["seed"], name, sample.key.partition("/")[0], sample.key)


def training_folder(inputs: Mapping[Ref, Path]) -> Path:
    """Folder of the training shards of the data set that the model was trained on."""
    dataset = next(ref.parts[0] for ref in inputs if ref.kind == "checkpoints")
    train = f"{dataset}/train/identity/0"
    return next(path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.name == train)
