"""Claims about tables by queries: a parser writes a pandas expression, the sandbox runs it; what fails is repaired.

    query = parse(claim, table)
    up to `rounds` times, while it fails: query = repair(query, error, table)

A column is linked by its words and, with `linking: meaning`, where these do not tell, by all-MiniLM-L6-v2
(`_linking.py`). A query that yields no Boolean, and a claim that is not understood, are no answer (`status` says why).
`noise` is the probability with which each way to break a query is taken (`_noise.py`), so that the repair has something
to do: the stand-in for a language model that writes queries. Repairs see no label.

Source: RePanda, arXiv 2503.11921 (execution, and at most four rounds of error correction at inference). Differs: rules
write and repair the queries, where the paper asks a model of 7B parameters.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.tables import TYPING, Column, typed
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.models import _execution, _linking, _noise, _parser
from shiftbench.systems.repanda.models._execution import Verdict
from shiftbench.systems.repanda.models._linking import Link

TASK = "table_question"
ENCODER = refs.sources(_sentences.SOURCE)
PARAMS: dict[str, object] = {"rounds": 0, "noise": 0.0, "seed": 0, "linking": "words"}
LINKING = ("words", "meaning")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the encoder's source, where columns are linked by meaning.

    Raises:
        ParamsError: no such way to link.
    """
    if params["linking"] not in LINKING:
        raise ParamsError(f"linking is {params['linking']!r} ({suggest(params['linking'], LINKING)})")
    return [ENCODER] if params["linking"] == "meaning" else []


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Return what stands for weights: the number of the rule by which cells are typed."""
    import torch

    return {"typing": torch.tensor([TYPING])}


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """Return a predictor that gives `answers`, `queries`, `status` and `rounds`."""
    link = _linking.by_meaning(inputs[ENCODER].parent) if needs(params) else None

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        return _execution.outputs([judged(sample, params, link) for sample in samples])

    return predict


def judged(sample: Sample, params: Mapping[str, Any], link: Link | None = None) -> Verdict:
    """Return the verdict on one claim.

    Raises:
        SandboxError: nothing can be run here.
    """
    columns = typed(sample.fields["table"])
    query = written(sample.fields["text"], columns, link)
    if query is None:
        return Verdict(None, "", "not understood", 0)
    rng = RandomStream(params["seed"], "table_grammar", "noise", sample.key)
    left, names = iter(range(params["rounds"])), [column.name for column in columns]

    def repair(failed: str, error: str) -> str | None:
        return None if next(left, None) is None else _noise.repaired(failed, error, names)

    return _execution.executed(_noise.broken(query, params["noise"], rng), columns, repair)


def written(claim: str, columns: Sequence[Column], link: Link | None = None) -> str | None:
    """Return the query of a claim; None where it is not understood.

    Args:
        claim: the sentence.
        columns: of its table.
        link: what finds columns where their words do not tell.
    """
    form = _parser.parsed(claim, columns)
    if form is None and link is not None:
        form = _parser.parsed(claim, columns, link)
    kinds = {column.name: column.kind for column in columns}
    try:
        return None if form is None else _forms.query(form, kinds)
    except ValueError:  # a column of numbers is asked for a text
        return None
