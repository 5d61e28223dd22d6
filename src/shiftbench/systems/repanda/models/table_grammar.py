"""Claims about tables by queries: a parser writes a pandas expression, the sandbox runs it, and rules repair failures.

    query = parse(claim, table)
    up to `rounds` times, while it fails: query = repair(query, error, table)

Columns are linked by `_parser.py`. A query without a Boolean result, and a claim that the parser does not
understand, are no answer (`status` has the reason).

`noise` breaks a query in four ways, so that there is something to repair: a column without its quotes or in another
case, a number taken for text, a missing bracket. It replaces a language model that
writes queries. A repair uses the query, its error and the columns, never the label.

Source: RePanda, arXiv 2503.11921 (execution, and at most four rounds of error correction at inference). Differs: rules
write and repair the queries, where the paper asks a model of 7B parameters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.tables import TYPING, Column, typed_columns
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _sentences
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.models import _execution, _parser
from shiftbench.systems.repanda.models._execution import Verdict
from shiftbench.systems.repanda.models._parser import Link

TASK = "table_question"
ENCODER = refs.sources(_sentences.SOURCE)
LINKING = ("words", "meaning")
_COLUMN = re.compile(r"df\['([^']+)'\]")


class Options(declare.Options):
    rounds: int = Field(0, ge=0, description="repairs of a query that fails, at most")
    noise: float = Field(0.0, ge=0, le=1, description="probability of each of four ways to break a query")
    seed: fields.Seed = 0
    linking: Literal["words", "meaning"] = Field(
        "words", description="link columns by words alone, or also by all-MiniLM-L6-v2"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The encoder's source, where columns are linked by meaning.

    Raises:
        ParamsError: no such way to link.
    """
    if params["linking"] not in LINKING:
        raise ParamsError(f"linking is {params['linking']!r} ({suggest(params['linking'], LINKING)})")
    return [ENCODER] if params["linking"] == "meaning" else []


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """State instead of weights: the number of the rule by which cells are typed."""
    import torch

    return {"typing": torch.tensor([TYPING])}


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `answers`, `queries`, `status` and `rounds`."""
    link = _parser.by_meaning(inputs[ENCODER].parent) if needs(params) else None

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        return _execution.outputs([verdict(sample, params, link) for sample in samples])

    return predict


def verdict(sample: Sample, params: Mapping[str, Any], link: Link | None = None) -> Verdict:
    """The verdict on one claim.

    Raises:
        SandboxError: nothing can be run here.
    """
    columns = typed_columns(sample.fields["table"])
    query = written(sample.fields["text"], columns, link)
    if query is None:
        return Verdict(None, "", "not understood", 0)
    rng = RandomStream(params["seed"], "table_grammar", "noise", sample.key)
    attempts, names = iter(range(params["rounds"])), [column.name for column in columns]

    def repair(failed: str, error: str) -> str | None:
        return None if next(attempts, None) is None else repaired(failed, error, names)

    return _execution.executed(broken(query, params["noise"], rng), columns, repair)


def written(claim: str, columns: Sequence[Column], link: Link | None = None) -> str | None:
    """The query of a claim; None if it is not understood.

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


def broken(query: str, probability: float, rng: RandomStream) -> str:
    """A query in which each way to break it was taken with a probability; takes a word for each."""
    random_words = rng.raw(len(_WAYS)) >> 11
    for way, random_word in zip(_WAYS, random_words.tolist(), strict=True):
        if random_word / 2**53 < probability:
            query = way(query)
    return query


def _other_case(query: str) -> str:
    return _COLUMN.sub(lambda match: f"df['{match[1].swapcase()}']", query)


def _as_text(query: str) -> str:
    return re.sub(r"\.(max|min|mean)\(\)", r".str.strip().\1()", query, count=1)


def _without_quotes(query: str) -> str:
    return _COLUMN.sub(r"df[\1]", query, count=1)


def _without_bracket(query: str) -> str:
    position = query.rfind("]")
    return query[:position] + query[position + 1 :] if position >= 0 else query


_WAYS: tuple[Callable[[str], str], ...] = (_other_case, _as_text, _without_quotes, _without_bracket)


def repaired(query: str, error: str, columns: Sequence[str]) -> str:
    """The query after one repair, by the error's kind.

    Args:
        query: that failed.
        error: what Python said.
        columns: names of the table's.
    """
    kind = error.partition(":")[0]
    if kind == "SyntaxError":
        closed = _closed(query, columns)
        return closed if closed != query else _quoted(query, columns)
    if kind == "NameError":
        return _quoted(query, columns)
    if kind == "KeyError":
        return _with_known_names(query, columns)
    return query.replace(".str.strip()", "")


def _closed(query: str, columns: Sequence[str]) -> str:
    """The query with the bracket that a column lacks."""
    for name in columns:
        for quote in ("'", ""):
            for name_form in {name, name.swapcase()}:
                pattern = re.compile(rf"df\[{quote}{re.escape(name_form)}{quote}(?!['\w\]])")
                matches = [match for match in pattern.finditer(query) if query[match.end() :][:1] != "]"]
                if matches and query.count("[") > query.count("]"):
                    return f"{query[: matches[-1].end()]}]{query[matches[-1].end() :]}"
    return query


def _quoted(query: str, columns: Sequence[str]) -> str:
    for name in columns:
        for name_form in {name, name.swapcase()}:
            query = query.replace(f"df[{name_form}]", f"df['{name_form}']")
    return query


def _with_known_names(query: str, columns: Sequence[str]) -> str:
    by_casefold = {name.casefold(): name for name in columns}
    return _COLUMN.sub(lambda match: f"df['{by_casefold.get(match[1].casefold(), match[1])}']", query)
