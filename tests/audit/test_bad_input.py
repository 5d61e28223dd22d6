"""What cannot be audited as it is: a clear verdict or error, and an exit code that says which."""

import shutil

import pytest
from typer.testing import CliRunner, Result

from makers.made_benchmark import forget
from shiftbench import cli
from shiftbench.base.errors import ParamsError


def audit(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["audit", *words], env={"COLUMNS": "400"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--level", "5"), "no level 5; the levels are 0 to 4"),
        (("--level", "-1"), "no level -1"),
        (("--only", "digest"), "no check named 'digest'; did you mean digests, figures?"),
        (("--config", "huge"), "no configuration 'huge'"),
    ],
)
def test_a_wrong_word_is_refused(published, words, said):
    done = audit(*words)
    told = str(done.exception) if isinstance(done.exception, ParamsError) else done.output
    assert said in told
    assert done.exit_code != 0


def test_nothing_was_made(published):
    for name in ("data", "checkpoints", "results", "releases"):
        shutil.rmtree(published.root / name)
    done = audit("--level", "1")
    assert done.exit_code == 20, done.output
    assert "there are no results yet: `make run` makes them, `shiftbench pull` fetches recorded ones" in done.output


def test_half_a_benchmark(published):
    shutil.rmtree(published.root / "results/records/tiny/convnet-erm-s1")
    shutil.rmtree(published.root / "releases")
    done = audit("--level", "0")
    assert done.exit_code == 20, done.output
    assert "records of tiny are not here" in done.output


def test_a_clone_without_data(published):
    shutil.rmtree(published.root / "data")
    shutil.rmtree(published.root / "releases")
    done = audit("--level", "3")
    assert done.exit_code == 20, done.output
    assert "shards of tiny are not here" in done.output
    assert "failed:" not in done.output


def test_no_git(published):
    shutil.rmtree(published.root / ".git")
    forget()
    done = audit("--level", "0")
    assert done.exit_code == 20, done.output
    assert "params.yaml is in no git commit" in done.output
    assert "failed:" not in done.output


def test_params_that_cannot_be_read(published):
    (published.root / "params.yaml").write_text("benchmarks: [")
    done = audit("--level", "0", "--json", "-")
    assert done.exit_code == 30
    assert "is not valid YAML" in done.output
