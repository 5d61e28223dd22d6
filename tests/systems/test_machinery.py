"""A system from its card to its page, on a toy: claims, analyses, figures, rules, audit."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from makers import commands, forgeries
from makers.repositories import HOME
from shiftbench import cli
from shiftbench.audit import run
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.cli import claims as claims_module
from shiftbench.cli.documents import measured, overview
from shiftbench.data import claim_formats, schema
from shiftbench.report.system import System
from shiftbench.workflow.plan import cards, configurations, planned_jobs, touched
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.planned_job import Request
from shiftbench.workflow.stages import judge_claims
from shiftbench.workflow.tools import run_local

SLUG = "toy"
SCALE = f"systems/{SLUG}"
CLAIMS = Ref("claims", SLUG)


def checkout(home: Path) -> Path:
    """Write a benchmark whose one plugin folder is a system: the toy's card and parts."""
    home.mkdir(parents=True, exist_ok=True)
    for folder in ("tests/workflow/mine", "tests/systems/mine"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HOME / folder, home / SLUG, dirs_exist_ok=True, ignore=ignored)
    shutil.copy(HOME / "tests/systems/toy.yaml", home / SLUG / "card.yaml")
    (home / "params.yaml").write_text(f"plugins: [{SLUG}]\nbenchmarks: {{}}\n")
    return home


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy, made at embedded scale."""
    home = checkout(tmp_path_factory.mktemp("toy") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr(registry.Folders, "extra", ())
        run_local.make(*plans.load(SCALE))
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy, as working folder."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    plans.load(SCALE)  # searches the plugins of this copy
    return tmp_path / "home"


def claims(home: Path) -> pl.DataFrame:
    found = pl.from_arrow(judge_claims.claims_of(home / configurations.root(SLUG, "embedded"), SLUG))
    assert isinstance(found, pl.DataFrame)
    return found


def test_claims_are_judged_from_the_rows(made: Path) -> None:
    rows = claims(made)
    whole = {row["claim"]: row for row in rows.filter(pl.col("part").is_null()).to_dicts()}
    assert {name: row["verdict"] for name, row in whole.items()} == {
        "knows": "supported",
        "smaller": "reported",
        "each": "inconclusive",  # of four layers
        "elsewhere": "not run at this scale",
        "against": "refuted",
    }
    metrics = pl.read_parquet(made / f"build/{SCALE}/results/tables/toy/metrics.parquet")
    seeds = metrics.filter(metric="auroc", detector="msp", dataset="secret").drop_nulls("seed")
    parts = rows.filter(pl.col("claim") == "knows").drop_nulls("part").sort("part")
    assert parts["value"].to_list() == seeds.sort("seed")["value"].to_list()
    assert parts["confidence"].unique().to_list() == [1 - 0.05 / 3]  # three claims are judged


def test_an_analysis_gives_the_mean_over_its_units(made: Path) -> None:
    root = made / f"build/{SCALE}"
    observed = pl.from_arrow(schema.read(root / "results/analyses/toy/norms.parquet"))
    metrics = pl.read_parquet(root / "results/tables/toy/metrics.parquet")
    one = {"model": "tiny/convnet-erm-s1", "group": "head.weight"}
    (row,) = metrics.filter(metric="norm", **one).to_dicts()
    values = observed.filter(**one)["value_e9"]
    assert row["value"] == pytest.approx(values.mean() / 1e9, abs=1e-12)
    assert (row["n"], row["seed"]) == (len(values), 1)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_an_analysis_that_gives_no_number_is_refused() -> None:
    from shiftbench.plugins.contracts import Observation
    from shiftbench.workflow.stages.analyse import table

    with pytest.raises(ModelError, match="norm of a/b-c-s0, unit 'u', is nan"):
        table([Observation("norm", "u", float("nan"), "a/b-c-s0", "a")], "toy/norms")


def test_the_page_tells_what_was_claimed_measured_and_reported(made: Path) -> None:
    page = (made / f"build/{SCALE}/results/report/index.html").read_text()
    for said in ("<h1>Toy</h1>", "energy beats MSP by nine tenths", 'verdict bad">refuted', "everything"):
        assert said in page
    for figure in cards.read(made / "toy/card.yaml").figures:
        assert figure.title in page
    measured = schema.read(
        made / f"build/{SCALE}" / CLAIMS.path.replace("claims.parquet", "measured.parquet"), form=claim_formats.MEASURED
    )
    assert measured.column("number").to_pylist() == [0]


def test_weights_of_one_label_are_one_line_whatever_they_learnt_from() -> None:
    rows = [
        {"figure": 0, "colour": f"{name}/convnet-{how}", "x": name, "value": value, "ci_low": None, "ci_high": None}
        for name, how, value in (("one", "erm", 0.5), ("two", "erm", 0.6), ("one", "palm", 0.7), ("two", "palm", 0.8))
    ]
    figure = {
        "title": "Sweep", "note": "", "kind": "lines", "rows": {"metric": "auroc"}, "x": "benchmark",
        "labels": {"one": 0.5, "two": 0.9, "convnet-erm": "cross-entropy"},
    }  # fmt: skip
    empty = pl.DataFrame()
    (panel,) = System({"figures": [figure]}, empty, empty, pl.DataFrame(rows), {}).panels
    (drawn,) = (shot for shots in panel.figures.values() for shot in shots.values())
    lines = {one["name"]: (one["x"], one["y"]) for one in drawn["series"]}
    assert [(name, list(x)) for name, (x, _) in lines.items()] == [
        ("cross-entropy", [0.5, 0.9]),
        ("convnet-palm", [0.5, 0.9]),
    ]
    assert [style.title for style in panel.legend] == ["cross-entropy", "convnet-palm"]


def test_claims_are_printed(home: Path) -> None:
    said = CliRunner().invoke(cli.app, ["claims", SLUG]).output
    assert "1 refuted" in said
    told = CliRunner().invoke(cli.app, ["claims", SLUG, "--json"]).output
    assert "energy beats MSP by nine tenths" in told
    missing = CliRunner().invoke(cli.app, ["claims", f"{SLUG}/smoke"]).exception
    assert "`shiftbench systems toy/smoke` runs it" in str(missing)


@pytest.mark.workflow
def test_systems_are_made_in_one_run_and_a_failure_stops_no_other(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.fork_what_python_starts(monkeypatch)
    for name in ("Snakefile", "workflow/rules/stages.smk", "profiles/default/config.yaml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, home / name)
    card = (home / "toy/card.yaml").read_text()
    (home / "torn").mkdir()
    (home / "torn/card.yaml").write_text(card.replace("epochs: 1", "epochs: 1, lr: 1.0e+30"))
    (home / "params.yaml").write_text("plugins: [toy, torn]\nbenchmarks: {}\n")
    ran = CliRunner(env={"COLUMNS": "150"}).invoke(cli.app, ["systems", "torn", f"{SLUG}/smoke", "--cores", "2"])
    told = capfd.readouterr().err
    assert re.search(r"torn .*failed: systems/torn train \S+", ran.stdout)
    assert re.search(rf"{SLUG}/smoke +\d+ .* supported", ran.stdout)
    assert (home / overview.PAGE).read_text().count("/results/report/index.html#claims") == 4
    assert "jobs failed" in str(ran.exception)
    assert re.search(r"^failed: systems/torn train \S+ - .* is not finite after training; lower", told, re.MULTILINE)


def test_all_that_was_made_is_on_one_page_beside_what_is_published(home: Path) -> None:
    row = overview.row(SLUG, 7, 90.0)
    reported = [one for one in row.verdicts if one.verdict == "reported"]
    assert sum(row.counts) + len(reported) == len(row.verdicts) == 4
    assert row.comparison == "nothing is published"
    measured.record(SLUG)
    assert overview.row(SLUG, 7, 90.0).comparison == overview.EQUAL
    assert overview.run_here() == [SLUG]
    text = overview.write([overview.row(SLUG, 7, 90.0)]).read_text()
    assert f'href="{SLUG}/results/report/index.html"' in text
    assert (home / overview.PAGE.parent / row.page).is_file()
    assert all(f">{one.name}</a>" in text for one in row.verdicts)


def test_what_differs_from_what_is_published_is_said() -> None:
    claims = [{"claim": name, "part": None, "verdict": "supported"} for name in "ab"]
    published = {"rules": {"a": "x", "b": "y"}, "row_digests": {"claims": "1"}, "claims": claims}
    assert overview.compare(published, published) == overview.EQUAL
    digits = {**published, "row_digests": {"claims": "2"}}
    assert overview.compare(digits, published) == "equal verdicts, other digits"
    refuted = {**digits, "claims": [claims[0], {**claims[1], "verdict": "refuted"}]}
    assert overview.compare(refuted, published) == "b refuted, not supported"
    for other in ({"rules": {"a": "x", "b": "z"}}, {"claims": claims[:1]}):
        assert overview.compare({**digits, **other}, published) == "other claims are published"


def test_a_change_touches_the_systems_whose_outputs_it_decides(home: Path) -> None:
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "toy"]):
        subprocess.run([*git, *words], check=True)
    assert touched.systems([SLUG], "HEAD") == []
    for name, decides in {
        "README.md": False,
        f"{SLUG}/card.yaml": True,
        f"{SLUG}/analyses/new.py": False,  # which no card names
        f"{SLUG}/analyses/norms.py": True,
    }.items():
        file = home / name
        kept = file.read_bytes() if file.is_file() else b""
        file.write_bytes(kept + b"\n# changed\n")
        assert touched.systems([SLUG], "HEAD") == [SLUG] * decides, name
        file.write_bytes(kept) if kept else file.unlink()
    told = CliRunner().invoke(cli.app, ["systems", SLUG, "--changed", "HEAD"]).output
    assert "no change since HEAD affects an output" in told
    with pytest.raises(ParamsError, match="--changed nowhere: git knows no such commit"):
        touched.systems([SLUG], "nowhere")


def test_a_changed_claim_redoes_the_verdicts_and_the_page_alone(home: Path) -> None:
    file = home / "toy/card.yaml"
    file.write_text(file.read_text().replace("margin: 0.9", "margin: -2"))
    planned, root = plans.load(SCALE)
    stale = {ref.kind for job in planned.status(root).values() for ref, state in job.items() if state != "fresh"}
    assert stale == {"claims", "report"}
    run_local.make(planned, root)
    (row,) = claims(home).filter(claim="against").to_dicts()
    assert row["verdict"] == "supported"


def test_an_old_verdict_is_not_shown_beside_a_changed_rule(home: Path) -> None:
    file = home / "toy/card.yaml"
    file.write_text(file.read_text().replace("margin: 0.9", "margin: -2"))
    told = CliRunner().invoke(cli.app, ["claims", SLUG])
    said = " ".join(told.output.split())
    assert "against not run here" in said
    assert "its rule is new, or has changed since the run here" in said
    assert "knows supported" in said
    assert isinstance(told.exception, DataError)
    assert "claims of toy changed since the run here; `shiftbench systems toy` judges them" in str(told.exception)
    listed = json.loads(CliRunner().invoke(cli.app, ["claims", SLUG, "--json"]).stdout)
    assert {row["claim"]: row["verdict"] for row in listed[SLUG] if row["part"] is None}["against"] == "not run here"


def test_a_claim_without_rows_says_which_values_there_are(home: Path) -> None:
    file = home / "toy/card.yaml"
    file.write_text(
        file.read_text().replace(
            "detector: msp, dataset: secret, model: convnet-erm}\n    margin: 0.01",
            "detector: msp, dataset: secret, model: convnet-salty}",
        )
    )
    run_local.make(*plans.load(SCALE))
    (said,) = claims_module.unevaluable(SLUG)
    assert said.startswith("toy: claim knows is not evaluable: no row has")
    assert said.endswith("; model has the values tiny/all, tiny/convnet-erm")


def test_a_broken_card_is_listed_and_does_not_hide_the_others(home: Path) -> None:
    file = home / "toy/card.yaml"
    file.write_text(file.read_text().replace("kind: report", "kind: rapport"))
    told = CliRunner().invoke(cli.app, ["list", "systems", "--json"])
    assert told.exit_code == 0, told.output
    (broken,) = (row for row in json.loads(told.stdout) if row["status"] == "broken")
    assert broken["slug"] == SLUG
    assert "claims.smaller.kind" in broken["title"]
    tested = CliRunner().invoke(cli.app, ["test", SLUG]).exception
    assert isinstance(tested, ParamsError)
    assert "claims.smaller.kind" in str(tested)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("{metric: norm, model: convnet-erm}", "{metric: norm, modle: x}", "no column 'modle' (did you mean model?)"),
        ("group: head.weight", "group: body.0.weight", "value.difference: both operands are the same"),
        ("full: *small\n", "\n", "claim 'elsewhere' has the scale `full`, but there are no params for 'full'"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused_before_a_run(home: Path, old: str, new: str, why: str) -> None:
    file = home / "toy/card.yaml"
    file.write_text(file.read_text().replace(old, new))
    refused = CliRunner().invoke(cli.app, ["claims", SLUG]).exception
    assert isinstance(refused, ParamsError)
    said = str(refused)
    assert why in said
    assert "{'" not in said  # the text, not the whole value


def test_snakemake_is_told_of_the_systems_that_are_asked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configurations, "built_slugs", lambda: ["palm", SLUG])
    asked = planned_jobs.load({}, main=True, request=Request(("systems/toy",)))
    names = ["report/index", "report/samples/toy/index", "aggregate/claims/toy", "aggregate/toy"]
    markers = tuple(f"build/{SCALE}/logs/jobs/{name}.done" for name in names)
    assert asked.targets == {SCALE: markers, "systems": markers}
    assert {job.title.split()[0] for job in asked.jobs} == {"systems/toy"}
    assert planned_jobs.load({}, main=False) == asked
    both = planned_jobs.load({}, main=True, request=Request(("systems", "tables")))
    assert set(both.targets["systems"]) > set(markers)
    assert both.targets["all"][0] == "logs/jobs/report/index.done"


@pytest.mark.parametrize(
    ("scale", "why"),
    [
        ("systems/tou", "did you mean toy"),
        ("systems/toy/smoek", "toy has no configuration 'smoek'; did you mean smoke"),
        ("systems/toy/smoke/x", "expected systems/SLUG or systems/SLUG/CONFIGURATION"),
    ],
)
def test_a_wrong_scale_is_answered(home: Path, scale: str, why: str) -> None:
    with pytest.raises(ParamsError, match=why):
        plans.load(scale)


def test_a_planned_system_cannot_be_run(home: Path) -> None:
    file = home / "toy/card.yaml"
    file.write_text(file.read_text().replace("status: built", "status: planned"))
    with pytest.raises(ParamsError, match="toy is planned, not built"):
        plans.load(SCALE)


CHECKS = ("chain", "coverage", "digests", "archives", "rows", "aggregates", "figures")


def test_the_audit_finds_nothing_in_a_genuine_system(home: Path) -> None:
    planned, root = plans.load(SCALE)
    audit = run.run(planned, root, run.AuditRequest(level=1, only=CHECKS))
    assert [result.findings for result in audit.results if result.findings] == []


def test_the_audit_finds_an_edited_verdict(home: Path) -> None:
    planned, root = plans.load(SCALE)
    forgeries.cell(root, CLAIMS, pl.col("claim") == "against", verdict=pl.lit("supported"))
    audit = run.run(planned, root, run.AuditRequest(level=1, only=("aggregates",)))
    (found,) = audit.results[0].findings
    assert (found.sample, found.expected, found.found) == ("against", "'refuted'", "'supported'")
