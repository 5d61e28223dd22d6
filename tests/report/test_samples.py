"""The samples behind a number: which are chosen, that they are the records' own, what is shown of them and what not."""

import base64
import json
import random  # noqa: TID251 - of lists, and seeded
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from makers import planned_benchmark, random_records
from makers.synthetic_outputs import NASTY
from shiftbench.base.files import write_bytes
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.report import samples
from shiftbench.workflow.plan import out_of_date
from shiftbench.workflow.stages import samples as stage
from shiftbench.workflow.stages import samples_page


def drawn_rows(draw: random.Random) -> list[samples.Answer]:
    states = draw.choice([(True, False), (True,), (False,), (None,), (True, False, None)])
    return [
        (f"k{number}", draw.randint(0, 3), draw.randint(0, 3), draw.choice(states), draw.randint(0, 9))
        for number in range(draw.randint(0, 30))
    ]


def test_what_is_chosen_is_what_it_is_called_and_does_not_depend_on_the_order_of_rows() -> None:
    draw = random.Random(5)
    for _ in range(200):
        rows = drawn_rows(draw)
        counts, picked = samples.pick(rows)
        assert sum(counts) == len(rows)
        assert samples.pick(draw.sample(rows, len(rows))) == (counts, picked)
        wrong = sorted((row[4] for row in rows if row[3] is False), reverse=True)
        assert [row[3] for row in picked.get("right", [])] == [True] * min(samples.COUNT, counts[0])
        assert [row[3] for row in picked.get("wrong", [])] == [False] * min(samples.COUNT, counts[1])
        if "right" in picked:
            assert [row[4] for row in picked["sure"]] == wrong[: samples.COUNT]
        else:
            assert counts[:2] == (0, 0)


def test_weights_that_answer_alike_share_their_samples() -> None:
    rows = [(f"k{number}", 0, 0, True, number) for number in range(50)]
    others = [(key, label, answer, right, 50 - sure) for key, label, answer, right, sure in rows]
    one, two = (samples.pick(some)[1]["right"] for some in (rows, others))
    assert [row[0] for row in one] == [row[0] for row in two]
    assert [row[0] for row in one] != sorted(row[0] for row in rows)[: samples.COUNT]


def rows_of(number: int, shown: str | None = "d/test/identity/0") -> samples.Rows:
    """Rows of a file of records whose samples are all right."""
    answers = [(f"k{at:02}", 0, 0, True, 10**9) for at in range(10 * number, 10 * number + 10)]
    cell = ("d", "test", "identity", 0.0)
    return samples.Rows("d/net-erm-s0", "plain", cell, "r", shown, ("a",), *samples.pick(answers))


def test_pictures_stay_within_their_limit_and_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [rows_of(0), rows_of(1)]
    shown = {at: {"webp": "x" * 100} for at in samples.places(rows)}
    labels = {("d/net-erm-s0", "plain"): "net-erm-s0"}
    for limit, kept, pictures in ((10_000, 20, 20), (650, 6, 6), (450, 4, 4), (100, 2, 1)):
        monkeypatch.setattr(samples, "LIMIT", limit)
        found = samples.content(rows, shown, labels)["samples"]
        assert (len(found), sum("webp" in one for one in found)) == (kept, pictures)
    assert not any("webp" in one for one in samples.content([rows_of(0, None)], shown, labels)["samples"])


def made(root: Path, classes: list[str], *, private: bool = False) -> Artifact:
    """Write shards, records and weights below a root; return the artifact of their samples."""
    weights, clean = Ref("checkpoints", "toy/net-erm-s0"), Ref("shards", "toy/test/identity/0")
    records = Ref("records", "toy/net-erm-s0/plain/toy/test/identity/0")
    for ref in (weights, clean, records):
        (root / ref.path).parent.mkdir(parents=True)
    grey = np.arange(100 * 90, dtype=np.uint32).reshape(100, 90).astype(np.uint8)
    some = [Sample(f"toy/test/{n:02}", {"image": grey + np.uint8(n), "label": n % 4}) for n in range(12)]
    about = {"task": "classification", "classes": classes, "dataset": "toy", "split": "test"}
    shards.write(some, (root / clean.path).parent, dict(classification.FIELDS), about, 10**6)
    space = LabelSpace(tuple(classes), tuple(classes))
    table = classification.rows(some, {"logits": random_records.logits(1, 12)}, space, "full")
    schema.write(table, root / records.path, "0" * 64)
    (root / weights.path).write_bytes(nets.state_bytes({"w": torch.zeros(1)}, {"classes": json.dumps(classes)}))
    row = {"model": weights.name, "method": "plain", "dataset": "toy", "split": "test"}
    row |= {"shift": "identity", "severity": 0.0, "records": records.name, "private": private}
    row |= {"shards": None if private else clean.name}
    content = {"clean": "toy", "rows": [row], "code": {}}
    return Artifact.of(Ref("samples", "toys"), content, (records, weights, clean))


def execute(root: Path, drawn: Artifact) -> str:
    """Draw the samples, then make the page, from them alone."""
    page = Artifact.of(Ref("report", "samples/toys/index"), {"clean": "toy", "shows": "samples"}, (drawn.ref,))
    for artifact, module in ((drawn, stage), (page, samples_page)):
        job = Job("report", artifact.ref.name, (artifact,), {"plugins": []})
        write_bytes(root / job.recipe_path, job.text().encode())
        recipe.execute(root / job.recipe_path, lambda run, todo, of=module: [of.run(run, one) for one in todo])
    return (root / page.ref.path).read_text()


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'id="content">(.*?)</script>', html, re.DOTALL)
    assert found
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_of_samples_that_may_not_be_passed_on_the_page_has_neither_key_nor_picture(tmp_path: Path) -> None:
    html = execute(tmp_path, made(tmp_path, ["cat", "dog", "cow", "hen"], private=True))
    assert "toy/test/00" not in html
    content = html.partition('type="application/json"')[2].partition("</script>")[0]
    assert "webp" not in content
    assert "hen" in content


def test_the_page_holds_what_records_and_shards_say_and_no_markup_of_names(tmp_path: Path) -> None:
    artifact = made(tmp_path, ["cat", NASTY, "dog", "<b>"])
    html = execute(tmp_path, artifact)
    assert NASTY not in html
    content = embedded(html)
    (row,) = content["rows"]
    table = schema.read(tmp_path / row["records"]).to_pylist()
    answers = {one["key"]: one for one in table}
    classes = ["cat", NASTY, "dog", "<b>"]
    right = sum(bool(one["correct"]) for one in table)
    assert row["counts"] == [right, len(table) - right, 0]
    for kind, own in row["kinds"].items():
        for number, truth, prediction, confidence in own:
            one = answers[content["samples"][number]["key"]]
            assert one["correct"] is (kind == "right")
            assert content["names"][truth] == classes[one["label"]]
            assert content["names"][prediction] == classes[one["prediction"]]
            assert confidence == pytest.approx(one["confidence_e9"] / 1e7, abs=0.051)
    picture = codecs.decode("webp", base64.b64decode(content["samples"][0]["webp"]))
    assert max(picture.shape) == samples.SIDE
    (tmp_path / artifact.ref.path).unlink()
    assert execute(tmp_path, artifact) == html


def test_a_benchmark_plans_its_samples_and_leaves_out_what_may_not_be_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planned_benchmark.make(tmp_path)
    page, drawn = Ref("report", "samples/small/index"), Ref("samples", "small")
    for redistribute in (True, False):
        plan = planned_benchmark.plan(tmp_path, datasets__shapes__redistribute=redistribute)
        assert plan.artifacts[page].inputs == (drawn,)
        artifact = plan.artifacts[drawn]
        kinds = {ref.kind for ref in artifact.inputs}
        assert kinds == {"records", "checkpoints", *(["shards"] if redistribute else [])}
        assert len(artifact.recipe["rows"]) == 2 * 3  # two seeds: clean, and two severities
        assert all((row["shards"] is not None) is redistribute for row in artifact.recipe["rows"])
        drawing = {file for file in artifact.recipe["code"] if "/report/" in file}
        assert drawing == {"shiftbench/report/cells.py", "shiftbench/report/samples.py"}
        assert page not in plan.artifacts[Ref("report", "index")].inputs
        assert plan.artifacts[Ref("report", "index")].recipe["samples"] == ["small"]


def test_where_a_page_looks_otherwise_no_shards_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a clone that pulled tables and records alone: pages and previews are here, the shards are not."""
    monkeypatch.chdir(tmp_path)
    planned_benchmark.make(tmp_path)
    plan = planned_benchmark.plan(tmp_path)
    jobs, pages = plan.jobs.values(), [ref for ref in plan.artifacts if ref.kind == "report"]
    states = {ref: "missing" if ref.kind in ("sources", "shards") else "fresh" for ref in plan.artifacts}
    assert out_of_date.find(plan.artifacts, jobs, states, pages) == set()
    changed = states | dict.fromkeys(pages, "its code is another")
    assert out_of_date.find(plan.artifacts, jobs, changed, pages) == set(pages)
    alone = states | {Ref("samples", "small"): "missing"}  # the page was pulled, and what it was made from was not
    assert out_of_date.find(plan.artifacts, jobs, alone, pages) == set()


def test_a_text_is_shown_from_its_beginning() -> None:
    long = samples.drawn(Sample("k", {"text": "word " * 200}))["text"]
    assert len(long) == samples.LETTERS
    assert long.endswith("…")
    assert samples.drawn(Sample("k", {"text": "short"})) == {"text": "short"}


def test_a_question_stands_below_its_picture() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    asked = samples.drawn(Sample("k", {"image": picture, "text": "how many"}))
    assert asked == {**samples.drawn(Sample("k", {"image": picture})), "text": "how many"}
    assert set(asked) == {"webp", "text"}


def test_a_shifted_sample_names_its_clean_original() -> None:
    rows = [rows_of(0), replace(rows_of(0, "shifted"), clean=rows_of(0).shards)]
    shown = {at: {"text": f"{at[0]} {at[1]}"} for at in samples.places(rows)}
    content = samples.content(rows, shown, {("d/net-erm-s0", "plain"): "net-erm-s0"})["samples"]
    pairs = [(one["text"], content[one["clean"]]["text"]) for one in content if "clean" in one]
    assert pairs
    assert all(shifted.split()[1] == clean.split()[1] for shifted, clean in pairs)
    compared = samples.compared(content)
    assert [("diff" in one) for one in compared] == [("clean" in one) for one in content]
