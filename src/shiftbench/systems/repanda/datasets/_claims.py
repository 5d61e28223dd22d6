"""Claims about real tables, true and false ones alike often; entries say of which tables, and how they are worded.

Claims are drawn by the table's id (`_drawn.py`). `kind` is `claims`, of all operations, or what a
question and its answer become as a statement (lookups and counts): `questions`, all of them true as in WikiFact, or
`balanced`, as many with the answer altered.

Tables of one file, or page, are in one split. `meta.group` is the operation, of questions `all_true` or `all_false`;
`meta.template` the paraphrase; `meta.cluster` the table; `meta.query` an expression that tells the truth,
`meta.form` the slots of the claim.

Source: ours; WikiFact's all-true claims and the balanced set are RePanda's, arXiv 2503.11921.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.tables import typed_columns
from shiftbench.plugins import declare, fields
from shiftbench.systems.repanda.datasets import _drawn, _forms, _pools

TASK = "table_question"
NATIVE = ("all",)
CITATION = "RePanda (arXiv 2503.11921) for the task; tables as their sources say"
LICENCE = "as the sources of the tables"
REDISTRIBUTE = True
CLASSES: tuple[str, ...] = ()
KINDS = {"claims": tuple(_forms.OPERATIONS), "questions": ("lookup", "count"), "balanced": ("lookup", "count")}


class Options(declare.Options):
    pools: list[Literal["countries", "statistics", "wikipedia"]] = Field(
        ["countries", "statistics"], description="sources of the tables"
    )
    kind: Literal["claims", "questions", "balanced"] = Field(
        "claims", description="claims of all operations, or of lookups and counts: all true, or half of them"
    )
    paraphrases: list[Literal[0, 1, 2]] = Field(
        [0, 1], min_length=1, description="wordings that sentences are drawn from"
    )
    per_table: int = Field(40, ge=1, description="claims about each table")
    tests_alone: bool = Field(False, description="put all claims into the test split")
    seed: fields.Seed = 0


def facts(options: Mapping[str, Any]) -> dict[str, object]:
    """Sources, licence and splits, which follow from the pools and from whether all tables are tested."""
    pools = [pool for pool in _pools.SOURCES if pool in options["pools"]]
    return {
        "SOURCES": tuple(_pools.SOURCES[pool] for pool in pools),
        "LICENCE": "; ".join(_pools.LICENCES[pool] for pool in pools),
        "REDISTRIBUTE": "statistics" not in pools,
        "NATIVE": ("test",) if options["tests_alone"] else NATIVE,
    }


def group(sample: Sample) -> str:
    """The file or page that the table of a claim is from; what is drawn from one shares rows."""
    table = str(sample.fields["meta"]["cluster"])
    return table.rpartition("-")[0] or table


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the claims about all tables, table by table.

    Raises:
        ParamsError: there is no such kind, paraphrase or pool.
    """
    if params["kind"] not in KINDS:
        raise ParamsError(f"claims of the kind {params['kind']!r}; {suggest(params['kind'], KINDS)}")
    if not set(params["paraphrases"]) <= {0, 1, 2} or not params["paraphrases"]:
        raise ParamsError(f"paraphrases are {params['paraphrases']}; expected some of 0, 1 and 2")
    for pool in params["pools"]:
        for name, table in _pools.read(pool, sources, params["seed"]):
            yield from _of_table(name, table, params)


def _of_table(name: str, table: dict[str, Any], params: dict[str, Any]) -> Iterator[Sample]:
    rng = RandomStream(params["seed"], "table_claims", params["kind"], name)
    drawer = _drawn.Drawer(table, rng)
    kinds = {column.name: column.kind for column in typed_columns(table)}
    count, operations = params["per_table"], KINDS[params["kind"]]
    forms = drawer.drawn(count * (2 if params["kind"] == "questions" else 1), operations)
    words = rng.raw(len(forms))
    for number, (form, true) in enumerate(forms):
        if params["kind"] == "questions" and not true:
            continue
        paraphrase = params["paraphrases"][int(words[number] % len(params["paraphrases"]))]
        groups = {"claims": form.operation}
        meta = {
            "answer": true,
            "group": groups.get(params["kind"], "all_true" if true else "all_false"),
            "template": f"{form.operation}/{paraphrase}",
            "cluster": name,
            "query": _forms.query(form, kinds),
            "form": form._asdict(),
        }
        key = f"{params['name']}/{name.replace('/', '_')}_{number:02d}"
        fields = {"text": _forms.sentence(form, paraphrase), "table": table, "meta": meta}
        yield Sample(key, fields)
