"""Distance of a language model's rewrites from the original texts: `echo` and `likeness`, for each text.

`echo` is the share of a text's k rewrites that are the text itself (a small model often repeats its input), `likeness`
the mean cosine of the sentence vectors of text and rewrite. Rows stand under the method; their weights are named after
the language model.

Source: O'Brien et al. 2024, arXiv:2402.08225 (rewrites may change what is said); the vectors are those of
`models/_sentences.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.models import _sentences, minilm
from shiftbench.systems.llm_tta.methods import tta_llm


class Options(declare.Options):
    told: dict[str, dict[str, Any]] = Field({"tta_llm": {}}, description="methods to analyse, each with its options")
    shifts: dict[str, str] = Field({}, description="domain shifts, each with the data set whose test split is analysed")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The encoder, the texts, and the training texts that examples are drawn from."""
    train = refs.shards(params["dataset"], "train")
    return [refs.sources(_sentences.SOURCE), train, *_places(params).values()]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both numbers of every text of the clean set and of the domain shifts."""
    dataset, split = job.params["dataset"], job.params["split"]
    encoder = minilm.encoder(job.inputs[refs.sources(_sentences.SOURCE)].parent)
    for method, own_options in job.params["told"].items():
        options = {**registry.defaults(tta_llm), **own_options}
        model = f"{dataset}/{options['llm']}"
        for shift, place in _places(job.params).items():
            severity = 0.0 if shift == "identity" else None
            for key, metric, value in _of(job, options, place, encoder):
                yield Observation(
                    metric, key, value, model, dataset, split, method, shift=shift, severity=severity
                )  # fmt: skip


def _of(
    job: Measurement, options: Mapping[str, Any], place: Ref, encoder: minilm.Encoder
) -> Iterator[tuple[str, str, float]]:
    """Yield key, metric and value of each text of one set."""
    train = job.folder(refs.shards(job.params["dataset"], "train"))
    rewriter = tta_llm.rewriter(options, tta_llm.examples(options, train))
    samples = job.samples(place)
    texts = [" ".join(sample.fields["text"].split()) for sample in samples]
    rewrites = [rewriter(text) for text in texts]
    vectors = encoder([*texts, *(one for some in rewrites for one in some)])
    own, others = vectors[: len(texts)], vectors[len(texts) :].reshape(len(texts), options["k"], -1)
    likeness = np.einsum("nkd,nd->n", others, own) / options["k"]
    for sample, text, some, alike in zip(samples, texts, rewrites, likeness, strict=True):
        yield sample.key, "echo", float(np.mean([one == text for one in some]))
        yield sample.key, "likeness", float(alike)


def _places(params: Mapping[str, Any]) -> dict[str, Ref]:
    others = {shift: refs.shards(name, "test") for shift, name in params["shifts"].items()}
    return {"identity": refs.shards(params["dataset"], params["split"]), **others}
