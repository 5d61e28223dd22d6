"""Claims about tables on the page of completions: the table, the query and what it gave; or why it gave nothing."""

import json
import re
from pathlib import Path

import numpy as np

from makers.synthetic_outputs import NASTY
from shiftbench.base.files import write_bytes
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.plugins.tasks import LabelSpace, table_question
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.report import queries
from shiftbench.workflow.stages import verbs

ISLANDS = {
    "header": ["Name", "Area", "Kind"],
    "rows": [["Ada", "1,200", "x"], ["Bea", "300.5", "y"], ["Cleo", "-", "x"]],
    "caption": "islands",
}
LONG = {"header": ["a"], "rows": [["1"], [None]] * 10, "caption": "long"}


def made(root: Path) -> tuple[Ref, Ref]:
    """Write two claims and a question, and what was answered, below a root; return shards and records."""
    clean, records = (
        Ref("shards", "toy/test/identity/0"),
        Ref("records", "toy/net-given-s0/plain/toy/test/identity/0"),
    )
    for ref in (clean, records):
        (root / ref.path).parent.mkdir(parents=True)
    truths = [True, False, ["Ada"]]
    claims = [
        Sample(f"toy/test/{at}", {"text": f"{at} {NASTY}", "table": ISLANDS, "meta": {"answer": one}})
        for at, one in enumerate(truths)
    ]
    about = {"task": "table_question", "classes": [], "dataset": "toy", "split": "test"}
    shards.write(claims, (root / clean.path).parent, dict(table_question.FIELDS), about, 10**6)
    given = {
        "answers": [True, None, ["Ada"]],
        "queries": ["df['Area'].max() > 3", "df['area']", None],
        "status": ["ok", "KeyError", None],
    }
    outputs = {name: np.empty(3, object) for name in given}
    for name, values in given.items():
        outputs[name][:] = values
    table = table_question.rows(claims, outputs, LabelSpace((), ()), "full")
    schema.write(table, root / records.path, "0" * 64)
    return clean, records


def test_the_page_holds_the_claim_its_table_and_the_query(tmp_path: Path) -> None:
    clean, records = made(tmp_path)
    row = {"model": "toy/net-given-s0", "method": "plain", "dataset": "toy", "split": "test"}
    row |= {"shift": "identity", "severity": 0.0, "records": records.name, "private": False}
    content = {"clean": "toy", "rows": [{**row, "shards": clean.name}], "shows": "queries"}
    chosen = Artifact.of(Ref("samples", "tables"), {**content, "code": {}}, (records, clean))
    shown = {"clean": "toy", "shows": "queries"}
    page = Artifact.of(Ref("report", "samples/tables/index"), shown, (chosen.ref,))
    for artifact in (chosen, page):
        job = Job("report", artifact.ref.name, (artifact,), {"plugins": []})
        write_bytes(tmp_path / job.recipe_path, job.text().encode())
        recipe.execute(tmp_path / job.recipe_path, verbs.report)
    html = (tmp_path / page.ref.path).read_text()
    assert NASTY not in html
    found = re.search(r'id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    read = json.loads(found[1])
    assert read["rows"][0]["counts"] == [2, 1]
    prompts = {one["key"]: one for one in read["prompts"]}
    assert prompts["toy/test/0"]["table"] == {"caption": "islands", "cells": [ISLANDS["header"], *ISLANDS["rows"]]}
    assert [prompts[f"toy/test/{at}"]["answer"] for at in range(3)] == ["true", "false", '["Ada"]']
    said = {
        read["prompts"][one["prompt"]]["key"]: one["text"] for own in read["rows"][0]["kinds"].values() for one in own
    }
    assert said == {
        "toy/test/0": "df['Area'].max() > 3\n\N{RIGHTWARDS ARROW} true",
        "toy/test/1": "df['area']\n\N{RIGHTWARDS ARROW} no answer: KeyError",
        "toy/test/2": '["Ada"]',
    }


def test_of_a_long_table_the_first_rows_are_shown() -> None:
    sample = Sample("k", {"text": "so", "table": LONG, "meta": {"answer": True}})
    table = queries.asked(sample)["table"]
    assert table["caption"] == "long (8 more rows)"
    assert table["cells"] == [["a"], *[["1"], [""]] * 6]
