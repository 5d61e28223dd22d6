"""A stranger's params may say `trust: true` of a model that runs code: no command but a run loads it before you do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from makers import planned_benchmark
from makers.command_line import ends, run
from shiftbench import cli
from shiftbench.data import pins
from shiftbench.provenance import trust
from shiftbench.workflow.plan import plan as plans

WEIGHTS = "shapes/theirs-given-s0"
MODEL = {"use": "callable", "path": "evil.py:predict", "trust": True}
PICTURE = Path(__file__).parents[2] / "docs/report.png"
COMMANDS = {
    "answers": "",
    "check-results": "metrics.csv",
    "compare": "metrics.csv",
    "calibrate": f"bright --model {WEIGHTS} --samples 4",
    "cite": "",
    "claims": "",
    "describe": "models callable",
    "detect": f"--model {WEIGHTS} --image {PICTURE} --detectors msp",
    "doctor": "",
    "fetch": "digits_of_nobody",
    "list": "models",
    "make": "",
    "new": "shifts mine_too",
    "pin": "evil.py",
    "plan": "--estimate",
    "power": "--of {metric:accuracy}",
    "preview": "fog --dataset shapes",
    "prune": "records",
    "pull": "",
    "record": "",
    "release": "1.0 --unsigned",
    "repair": "checkpoints",
    "review": "params.yaml",
    "submit": "theirs",
    "systems": "palm",
    "verify": "",
    "why": f"checkpoints/{WEIGHTS}.safetensors",
}
"""Each command, as one calls it in a benchmark with that model. Stages are left out: they are the run."""
ELSEWHERE = {"audit", "docs", "init", "publish", "test", "trust"}
"""Slow ones: an audit is attacked in test_trust.py, the others read no params or refuse a folder without a commit."""
STAGES = {"shift", "train", "evaluate", "score", "aggregate", "report"}
ASK = {"answers", "calibrate", "detect", "make", "record", "repair", "systems"}
"""Commands that refuse."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with clean shards and the weights of a function, whose module leaves the file `ran`."""
    home = tmp_path_factory.mktemp("strangers") / "theirs"
    home.mkdir()
    planned_benchmark.make(home)
    program = f"open({str(home.parent / 'ran')!r}, 'w').close()\ndef predict(samples):\n"
    (home / "evil.py").write_text(f"{program}    return [[1.0, 0.0, 0.0]] * len(samples)\n")
    small = {"dataset": "shapes", "models": [{"architectures": ["theirs"]}], "shifts": ["bright"]}
    content = planned_benchmark.PARAMS | {"models": {"theirs": MODEL}, "benchmarks": {"small": small}}
    (home / "params.yaml").write_text(yaml.safe_dump(content))
    return home


@pytest.fixture
def theirs(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The benchmark, entered and trusted by nobody."""
    monkeypatch.chdir(made)
    monkeypatch.setenv(trust.VARIABLE, str(made.parent / "nobody"))
    plans._code.cache_clear()
    if not (made / f"checkpoints/{WEIGHTS}.safetensors").is_file():
        pins.pin(["evil.py"])
        jobs = ("shift/shapes/test/identity", f"train/{WEIGHTS}")
        params = yaml.safe_load((made / "params.yaml").read_text())
        planned_benchmark.run(made, *jobs, models=params["models"], benchmarks=params["benchmarks"])
    (made.parent / "ran").unlink(missing_ok=True)
    yield made
    sys.modules.pop("evil", None)


def test_every_command_is_looked_at() -> None:
    cli.load_all()
    named = {str(one.name or one.callback.__name__).strip("_") for one in cli.app.registered_commands if one.callback}
    assert named == COMMANDS.keys() | STAGES | ELSEWHERE


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_runs_a_model_that_only_its_author_trusts(
    theirs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code = ends(monkeypatch, name, *COMMANDS[name].split())
    assert not (theirs.parent / "ran").exists()
    if name in ASK:
        assert code == 2
        assert "`shiftbench trust`" in capsys.readouterr().err


def test_the_model_runs_once_you_trust_its_folder(theirs: Path) -> None:
    run("trust")
    run("calibrate", *COMMANDS["calibrate"].split())
    assert (theirs.parent / "ran").exists()
