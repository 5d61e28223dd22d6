"""Prompts, completions, verdicts: records of generated code, and metrics over them against the literal formulas."""

import itertools
import json
from math import comb, nan

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, SandboxError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.evaluation.sandbox import pool
from shiftbench.plugins.tasks import LabelSpace, generation
from shiftbench.statistics.benchmark_rows import EvaluationFile
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows, SeverityPath
from shiftbench.workflow.stages import aggregate

SPACE = LabelSpace((), ())
PROMPT = 'def twice(x):\n    """ Double x. """\n'
META = {"task_id": "t/0", "entry_point": "twice", "canonical_solution": "    return 2 * x\n"}
META["test"] = "def check(candidate):\n    assert candidate(2) == 4\n"


def prompt(key="toy/test/0", text=PROMPT, **meta):
    return Sample(key, {"text": text, "meta": {**META, **meta}})


def given_texts(*texts):
    made = np.empty(len(texts), dtype=object)
    for at, one in enumerate(texts):
        made[at] = one
    return {"completions": made}


def test_completions_are_run_and_judged():
    texts = [
        META["canonical_solution"],
        "    return x + 1\n",
        "    raise SystemExit(0)\n",
        "    while True: pass\n",
        "    return (\n",
        "    return [0] * 10**10\n",
    ]
    table = generation.rows([prompt(cluster="c")], given_texts(texts), SPACE, "full")
    assert table.schema.equals(generation.schema(0, "top20"))
    row = table.to_pylist()[0]
    assert row["passed"] == [True, False, False, False, False, False]
    assert row["reasons"] == [
        *("passed", "failed: AssertionError", "exited: SystemExit"),
        *("timeout: cpu", "failed: SyntaxError", "memory: MemoryError"),
    ]
    assert (row["completions"], row["cluster"], row["group"]) == (texts, "c", None)
    assert len(generation.rows([], given_texts(), SPACE, "full")) == 0


DEEP = ["(", "[", "{1:", "not ", "-", "lambda:", "(1,", "(a:=", "1 if 1 else ", "f(", "x[", "*", "await "]
BROKEN = ["\ud800", "x = '\udfff'", "\0", "\x1b[2J", "\ufeff", "\u2028", "    é = '\U0001f600'", "\r", "\x0c"]
LONG = ["0x" + "f" * 4000, "9" * 5000, "'" + "a" * 9999 + "'", "1" + "+1" * 5000, "a" + ".b" * 5000, "1e" + "9" * 99]


def test_one_bad_completion_is_one_failed_program_whatever_it_is(tmp_path):
    """Forty drawn from what ends parsers, printers and writers; rows are written and read, the right one passes."""
    rng = np.random.default_rng(0)
    texts = ["    if x: pass\n" + "    elif x: pass\n" * 300, "    x = 0x" + "f" * 3600]
    for _ in range(40):
        deep = str(rng.choice(DEEP)) * int(rng.integers(1, 9000))
        parts = [deep, str(rng.choice(BROKEN)), str(rng.choice(LONG)), "    return 2 * x\n"]
        texts.append("".join(parts[at] for at in rng.permutation(4)[: rng.integers(1, 4)]))
    outputs = given_texts([*texts, META["canonical_solution"]])
    table = generation.rows([prompt()], outputs, SPACE, "full")
    schema.write(table, tmp_path / "rows.parquet", "0" * 64)
    (row,) = schema.read(tmp_path / "rows.parquet").to_pylist()
    assert row["passed"][-1]
    assert row["passed"].count(False) > 30
    assert not any(reason == "crashed: SandboxError" for reason in row["reasons"])


def test_who_ends_two_sandboxes_has_failed_and_nobody_else(monkeypatch):
    """Where a trivial program runs, a program that the server does not survive is what is wrong."""

    class Fragile(pool.Sandbox):
        def run(self, program, limits=None):
            if program == "bad":
                self._process.kill()
                self._process.wait()
            return super().run(program, limits)

    monkeypatch.setattr(pool, "Sandbox", Fragile)
    monkeypatch.setattr(pool, "_FREE_SANDBOXES", [])
    found = pool.run_all(["result = 1", "bad", "result = 2"], workers=1)
    assert [one.reason for one in found] == ["passed", "crashed: SandboxError", "passed"]
    monkeypatch.setattr(pool, "missing_support", lambda: "no namespaces")
    with pytest.raises(SandboxError, match="server ended"):
        pool.run_all(["bad"], keys=["again"])
    pool.close()


def test_a_prompt_is_what_it_says_and_what_the_tests_call():
    solved = given_texts([META["canonical_solution"]])
    digests = {
        generation.rows([one], solved, SPACE, "full")["prompt"][0].as_py()
        for one in (prompt(), prompt(), prompt(text=PROMPT.replace("Double", "double")))
    }
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ({"logits": np.zeros((1, 2))}, r"gives no completions \(it gives logits\)"),
        (given_texts(["a"], ["b"]), "2 completions for 1 prompts"),
        (given_texts([]), "'toy/test/0' has 0 completions; expected 1"),
        (given_texts([3]), "'toy/test/0': a completion is no text"),
    ],
)
def test_bad_completions_are_named(outputs, why):
    with pytest.raises(ModelError, match=why):
        generation.rows([prompt()], outputs, SPACE, "full")


def test_a_prompt_must_be_judgeable():
    generation.check(prompt(), [])
    json.dumps(generation.shown(prompt()))
    for change, why in (
        ({"test": None}, "meta has no 'test'"),
        ({"entry_point": "2x"}, "'2x' is no name in Python"),
        ({"entry_point": "class"}, "'class' is no name in Python"),
        ({"entry_point": "thrice"}, "does not define the entry point 'thrice'"),
    ):
        with pytest.raises(DataError, match=f"toy/test/0: .*{why}"):
            generation.check(prompt(**change), [])


def test_programs_that_differ_in_layout_alone_are_run_once():
    plain = "def f():\n    return 1\n"
    assert pool.essence(plain) == pool.essence('def f():\n\n    "doc"\n    return 1  # one\n')
    assert pool.essence(plain) != pool.essence("def f():\n    return 2\n")
    assert pool.essence("def f(:") == "def f(:"
    assert pool.essence('def f():\n    "a"\n    return f.__doc__') != pool.essence(
        'def f():\n    "b"\n    return f.__doc__'
    )
    found = pool.run_all(["x = 1", "raise KeyError", "x = 1"], workers=2)
    assert [one.reason for one in found] == ["passed", "failed: KeyError", "passed"]


# ------------------------------------------------------------------ metrics


def table(verdicts, digests=None, start=0):
    """Make records of prompts from their verdicts, a list of n for each."""
    keys = [f"toy/test/{start + at}" for at in range(len(verdicts))]
    return pa.table(
        {
            "key": keys,
            "group": pa.nulls(len(keys), pa.string()),
            "cluster": pa.nulls(len(keys), pa.string()),
            "prompt": pa.array(digests or [0] * len(keys), pa.int64()),
            "completions": [["x"] * len(row) for row in verdicts],
            "passed": [[bool(one) for one in row] for row in verdicts],
            "reasons": [["r"] * len(row) for row in verdicts],
        },
        schema=generation.RECORDS.arrow,
    )


def path_of(clean, *seeds):
    return SeverityPath(tuple(map(float, range(len(seeds) + 1))), tuple(Rows(table(one)) for one in (clean, *seeds)))


def value(name, path, **options):
    metric = registry.find("metrics", name)
    chosen = {**defaults(metric), **options}
    rows = path.rows[0]
    ones = np.ones((len(rows), 1), dtype=np.uint8)
    if metric.KIND == "sample":
        (sums,) = weighted_sums([metric.reduce(rows, **chosen)], ones)
        return metric.finish(sums, **chosen)[0]
    (sums,) = weighted_sums([metric.reduce(path, **chosen)], ones)
    return metric.finish(sums, path, **chosen)[None][0]


def literal(clean, seeds, k):
    """The formulas of the paper, one prompt and completion after the other."""
    n, s = len(clean[0]), range(len(seeds))

    def at(c):
        return 1 - comb(n - c, k) / comb(n, k)

    total = {"pass_at_k": 0.0, "robust_pass": 0.0, "robust_relative": 0.0}
    for x, c in enumerate(clean):
        robust = sum(all(seeds[j][x][i] for j in s) for i in range(n))
        lost = sum(c[i] == 1 and any(seeds[j][x][i] == 0 for j in s) for i in range(n))
        won = sum(c[i] == 0 and any(seeds[j][x][i] == 1 for j in s) for i in range(n))
        total["pass_at_k"] += at(sum(c))
        total["robust_pass"] += at(robust)
        total["robust_relative"] += at(lost) + at(won)
    found = {name: one / len(clean) for name, one in total.items()}
    drop = found["pass_at_k"] - found["robust_pass"]
    found["robust_drop"] = drop / found["pass_at_k"] if found["pass_at_k"] else nan
    return found


GREEDY = ([[1], [1], [0], [0]], [[[1], [0], [0], [1]], [[1], [1], [0], [0]], [[1], [1], [0], [0]]])
SAMPLED = (
    [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]],
    [
        [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]],
        [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0]],
        [[1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]],
    ],
)
# By hand. Greedy: two of four pass; of these one passes for all three seeds; the second and the fourth change.
# Sampled, c = 2, 4, 0, 1; rc = 1, 3, 0, 0; r- = 1, 1, 0, 1; r+ = 1, 0, 1, 1. k = 1: c / 4.
# k = 2, of 6 pairs: 1, 5, 6 (of 2, 1, 0 wrong ... C(2,2), C(3,2), C(4,2)) hold no right one for c = 2, 1, 0.
BY_HAND = {
    (1, 1): {"pass_at_k": 0.5, "robust_pass": 0.25, "robust_drop": 0.5, "robust_relative": 0.5},
    (4, 1): {"pass_at_k": 7 / 16, "robust_pass": 4 / 16, "robust_drop": 3 / 7, "robust_relative": (2 + 1 + 1 + 2) / 16},
    (4, 2): {
        "pass_at_k": (5 / 6 + 1 + 0 + 3 / 6) / 4,
        "robust_pass": (3 / 6 + 1) / 4,
        "robust_drop": 1 - (3 / 6 + 1) / (5 / 6 + 1 + 3 / 6),
        "robust_relative": (1 / 2 + 1 / 2 + 1 / 2 + 1 / 2 + 1 / 2 + 1 / 2) / 4,
    },
}


@pytest.mark.parametrize(("n", "k"), BY_HAND)
def test_metrics_by_hand(n, k):
    clean, seeds = GREEDY if n == 1 else SAMPLED
    expected = BY_HAND[n, k]
    assert literal(clean, seeds, k) == pytest.approx(expected)
    found = {name: value(name, path_of(clean, *seeds), k=k) for name in expected}
    assert found == pytest.approx(expected, abs=1e-9)


def bits(n):
    return st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=4, max_size=4)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data(), n=st.sampled_from([1, 2, 5]), s=st.integers(1, 4))
def test_metrics_are_the_literal_formulas(data, n, s):
    clean, *seeds = (data.draw(bits(n)) for _ in range(s + 1))
    path = path_of(clean, *seeds)
    for k in {1, n}:
        expected = literal(clean, seeds, k)
        found = {name: value(name, path, k=k) for name in expected}
        assert found == pytest.approx(expected, abs=2e-9, nan_ok=True)
        # More seeds are never easier, nor the best case harder than the worst.
        robust = [value("robust_pass", path, k=k, seeds=j) for j in range(1, s + 1)]
        assert robust == sorted(robust, reverse=True)
        assert value("robust_pass", path, k=k, best=True) >= robust[-1]


def test_attacks_and_what_was_changed():
    path = path_of(*GREEDY[:1], *GREEDY[1])
    assert value("attack_success", path) == 0.5  # the second of the two that pass
    none = path_of([[0]] * 4, *GREEDY[1])
    assert np.isnan(value("robust_drop", none))  # null, never 0
    assert np.isnan(value("attack_success", none))
    rows = [table(GREEDY[0]), table(GREEDY[1][0], [0, 7, 0, 0]), table(GREEDY[1][1], [5, 0, 0, 0])]
    changed = SeverityPath((0.0, 1.0, 2.0), tuple(map(Rows, rows)))
    assert value("perturbed_rate", changed) == 2 / 8
    assert value("robust_pass", changed, changed=True) == 0.5  # the first two; the second fails
    assert value("robust_pass", changed, changed=True, seeds=1) == 0


def test_wrong_questions_are_refused():
    path = path_of(*GREEDY[:1], *GREEDY[1])
    for options, why in (({"k": 2}, "k is 2; expected 1 to 1"), ({"k": 0}, "k is 0"), ({"seeds": 0}, "seeds is 0")):
        with pytest.raises(ParamsError, match=why):
            value("robust_pass", path, **options)
    with pytest.raises(ParamsError, match="prompts have 1 to 2 completions"):
        value("pass_at_k", path_of([[1], [1, 0]]))


# ------------------------------------------------------------------ across shifts


METRICS = {
    "rp": {"use": "robust_pass", "across": {"both": ["one", "two"]}},
    "rate": {"use": "perturbed_rate", "across": {"both": ["one", "two"]}},
}


def artifacts(tmp_path, shifts=("one", "two")):
    found = []
    seeds = itertools.cycle(GREEDY[1])
    for shift, severity in [("identity", 0), *itertools.product(shifts, (1, 2))]:
        verdicts = GREEDY[0] if shift == "identity" else next(seeds)
        file = tmp_path / f"{shift}{severity}.parquet"
        schema.write(table(verdicts), file, "f", generation.RECORDS)
        reference = None if shift == "identity" else "toy/test/identity/0"
        found.append(
            EvaluationFile("c", "generation", "toy/m-t-s0", "plain", "toy", "test", shift, severity, file, reference)
        )
    return found


def test_a_category_is_one_path_through_all_of_its_shifts(tmp_path):
    made = aggregate.aggregate(artifacts(tmp_path), METRICS, 20, 0).metrics.to_pylist()
    rows = {(r["metric"], r["shift"], r["group"]): r["value"] for r in made if r["seed"] == 0}
    # `one` has seeds 0 and 1, `two` seeds 2 and 0 of the table: the second prompt fails in one of each.
    assert rows["rp", "one", None] == rows["rp", "two", None] == 0.25
    assert rows["rp", None, "both"] == 0.25
    assert rows["rate", None, "both"] == 0
    assert rows["rp", None, None] == 0.25  # the mean over shifts, beside the worst over them


def test_a_category_that_is_evaluated_in_part_is_refused(tmp_path):
    with pytest.raises(ParamsError, match="across 'both', but toy/m-t-s0 is not evaluated on 'two'"):
        aggregate.aggregate(artifacts(tmp_path, ("one",)), METRICS, 20, 0)
    other = {"rp": {"use": "robust_pass", "across": {"none": ["three"]}}}
    made = aggregate.aggregate(artifacts(tmp_path, ("one",)), other, 20, 0).metrics.to_pylist()
    assert not [row for row in made if row["group"]]
