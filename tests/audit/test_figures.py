"""A15: a printed figure that the tables do not give is named with what was expected."""

import json
import re

import pytest

from makers import forgeries


def test_a_clean_benchmark_is_exact(made):
    result = made.result("figures")
    assert (result.verdict, result.findings) == ("exact", ())
    assert result.notes[0].startswith("6 files made again")


def test_a_figure_of_the_leaderboard_is_named(made):
    plan, ref = made.plan(), made.one("report")
    line = (made.root / ref.path).with_name("leaderboard.csv").read_text().splitlines()[1]
    value = line.split(",")[4]
    forgeries.text(made.root, ref, "leaderboard.csv", f",{value},", ",0.987654321,")
    assert made.findings("digests", plan=plan) == []
    (finding,) = made.findings("figures", plan=plan)
    assert finding.file == "results/report/leaderboard.csv"
    assert (finding.expected, finding.found) == (value, "0.987654321")
    assert "line 2 (tiny" in finding.why
    assert finding.why.endswith("value")


def test_a_figure_of_the_summary_is_named(made):
    plan, ref = made.plan(), made.one("report")
    file = (made.root / ref.path).with_name("metrics.json")
    benchmark = json.loads(file.read_text())["tiny"]
    who, values = next(iter(benchmark.items()))
    column, value = next(iter(values.items()))
    forgeries.text(made.root, ref, file.name, f'"{column}": {value!r}', f'"{column}": 0.5001')
    (finding,) = made.findings("figures", plan=plan)
    assert finding.why.endswith(f"tiny/{who}/{column}")
    assert (finding.expected, finding.found) == (repr(value), "0.5001")


def test_a_figure_on_the_page_is_named_by_the_words_before_it(made):
    plan, ref = made.plan(), made.one("report")
    text = (made.root / ref.path).read_text()
    body = text[text.index("<tbody>") :]
    number = re.search(r"\d+\.\d+", body)[0]
    before = body[: body.index(number)][-30:]
    forgeries.text(made.root, ref, "index.html", before + number, f"{before}99.9")
    (finding,) = made.findings("figures", plan=plan)
    assert finding.file == ref.path
    assert (finding.expected, finding.found) == (number, "99.9")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Robustness under", "Weakness under", "text after"),
        ("</script>", "/* more */</script><script>alert(1)</script>", "figure"),
    ],
)
def test_other_words_or_scripts_fail(made, old, new, why):
    plan, ref = made.plan(), made.one("report")
    forgeries.text(made.root, ref, "index.html", old, new)
    found = made.findings("figures", plan=plan)
    assert found
    assert {one.verdict for one in found} == {"failed"}
    assert why in found[0].why


def test_a_file_more_fails(made):
    plan, ref = made.plan(), made.one("report")
    (made.root / ref.path).with_name("more.csv").write_text("a,b\n")
    forgeries.update(made.root, ref, "more.csv")
    (finding,) = made.findings("figures", plan=plan)
    assert finding.why == "no stage makes this file"
