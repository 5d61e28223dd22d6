"""The completions behind a number: which are chosen, what is told of their tokens, and of private ones nothing."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers.synthetic_outputs import NASTY
from shiftbench.base.files import write_bytes
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation.llm.token_statistics import TokenStatistics
from shiftbench.plugins.tasks import LabelSpace, free_text
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.report import completions
from shiftbench.report.completions import Written
from shiftbench.workflow.stages import verbs


def made(root: Path, *, private: bool = False, statistics: bool = True) -> Artifact:
    """Write ten prompts and what was written below a root, four of it right; return the artifact of the completions."""
    clean, records = (
        Ref("shards", "sums/test/identity/0"),
        Ref("records", "sums/net-sft-s0/plain/sums/test/identity/0"),
    )
    for ref in (clean, records):
        (root / ref.path).parent.mkdir(parents=True)
    meta = {"answer": "3", "graders": ["number"], "answer_after": "</think>"}
    prompts = [Sample(f"sums/test/{at}", {"text": f"{at} + {NASTY}", "meta": meta}) for at in range(10)]
    about = {"task": "free_text", "classes": [], "dataset": "sums", "split": "test"}
    shards.write(prompts, (root / clean.path).parent, dict(free_text.FIELDS), about, 10**6)
    outputs = {"completions": np.empty(10, object), "statistics": np.empty(10, object)}
    for at in range(10):
        outputs["completions"][at] = (f"hmm {at} </think> {3 if at < 4 else 4}", "another")
        one = TokenStatistics(np.array([0.5, 0.25, 9.0, 0.125, 0.375]), -np.ones(5), 2, False)
        outputs["statistics"][at] = (one, one)
    if not statistics:
        del outputs["statistics"]
    table = free_text.rows(prompts, outputs, LabelSpace((), ()), "full")
    schema.write(table, root / records.path, "0" * 64)
    row = {"model": "sums/net-sft-s0", "method": "plain", "dataset": "sums", "split": "test"}
    row |= {"shift": "identity", "severity": 0.0, "records": records.name, "private": private}
    row |= {"shards": None if private else clean.name}
    content = {"clean": "sums", "rows": [row], "shows": "completions", "code": {}}
    return Artifact.of(Ref("samples", "chains"), content, (records, clean))


def execute(root: Path, chosen: Artifact) -> tuple[str, dict[str, Any]]:
    """Choose completions, then make the page, from them alone; return it and what its script reads."""
    about = {"clean": "sums", "shows": "completions"}
    page = Artifact.of(Ref("report", "samples/chains/index"), about, (chosen.ref,))
    for artifact in (chosen, page):
        job = Job("report", artifact.ref.name, (artifact,), {"plugins": []})
        write_bytes(root / job.recipe_path, job.text().encode())
        recipe.execute(root / job.recipe_path, verbs.report)
    html = (root / page.ref.path).read_text()
    found = re.search(r'id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    return html, json.loads(found[1])


def test_the_page_holds_what_records_and_shards_say(tmp_path: Path) -> None:
    html, content = execute(tmp_path, made(tmp_path))
    assert NASTY not in html
    (row,) = content["rows"]
    assert (row["who"], row["set"], row["counts"]) == ("net-sft-s0", "sums/identity", [4, 6])
    assert {kind: len(own) for kind, own in row["kinds"].items()} == {"right": 4, "wrong": 4}
    for kind, own in row["kinds"].items():
        for one in own:
            prompt = content["prompts"][one["prompt"]]
            number = int(prompt["key"].rpartition("/")[2])
            assert (number < 4) is (kind == "right")
            assert prompt["text"] == f"{number} + {NASTY}"
            assert (prompt["answer"], prompt["mark"]) == ("3", "</think>")
            assert one["text"] == f"hmm {number} </think> {3 if number < 4 else 4}"
            assert one["tokens"] == [2, 2]
            assert one["entropies"] == [0.375, 0.25]
            assert one["closed"]
            assert not one["truncated"]


def test_of_completions_that_may_not_be_passed_on_the_page_tells_how_many(tmp_path: Path) -> None:
    html, content = execute(tmp_path, made(tmp_path, private=True))
    assert content["prompts"] == []
    assert content["rows"][0]["kinds"] == {}
    assert content["rows"][0]["counts"] == [4, 6]
    assert "sums/test/0" not in html


def test_without_statistics_a_completion_is_shown_alone(tmp_path: Path) -> None:
    _, content = execute(tmp_path, made(tmp_path, statistics=False))
    one = content["rows"][0]["kinds"]["right"][0]
    assert (one["tokens"], one["entropies"], one["closed"]) == (None, None, False)


def test_weights_share_their_prompts_whatever_the_order_of_rows() -> None:
    rows = [Written(f"k{at}", "a", at % 3 > 0, None, None, False, False) for at in range(30)]
    counts, picked = completions.pick(rows)
    assert counts == (20, 10)
    assert completions.pick(rows[::-1]) == (counts, picked)
    all_right = completions.pick(row._replace(right=True) for row in rows)[1]["right"]
    firsts = [row.key for own in picked.values() for row in own]
    assert {row.key for row in all_right} <= set(firsts)
    assert [row.key for row in all_right] != sorted(row.key for row in all_right)


@pytest.mark.parametrize("length", [completions.LETTERS, completions.LETTERS + 1, 5000])
def test_a_long_text_is_shown_without_its_middle(length: int) -> None:
    text = "b" * 5 + "x" * (length - 10) + "e" * 5
    found = completions.shortened(text)
    assert len(found) <= completions.LETTERS
    assert found.startswith("bbbbb")
    assert found.endswith("eeeee")
    assert (found == text) is (length <= completions.LETTERS)
