"""The rules of tests/conftest.py: who skips, what CI makes of it, golden values, the browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from isolation import ROOT

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

SKIPS = """
import pytest

@pytest.mark.needs("a-program-that-is-not-there")
def test_a(): pass
"""
SKIPS_WHOLE_FILE = "import pytest\npytest.importorskip('a_module_that_is_not_there')\n"
SKIPS_EXAMPLE = '"""An example.\n\n>>> 1 + 1  # doctest: +SKIP\n3\n"""\n'
CURIOUS = """
import os, subprocess, sys
from pathlib import Path
from isolation import ROOT

def test_own_folder(): assert list(Path().iterdir()) == [] and Path.cwd() != ROOT
def test_tracked_file(): assert (ROOT / "pyproject.toml").read_text()
def test_reads(): (ROOT / "dvc.lock").read_text()
def test_lists(): os.listdir(ROOT)
def test_enters(): os.chdir(ROOT)
def test_starts(): subprocess.run([sys.executable, "-c", ""], cwd=ROOT)
"""
GOLDEN = "def test_a(golden): assert {value!r} == golden('digest', {value!r})\n"


def run(folder: Path, text: str, *options: str, no_skips: str = "") -> tuple[int, str]:
    """Run a test file of its own under our conftest; return exit code and output."""
    (folder / "test_sample.py").write_text(text)
    (folder / "tests").mkdir(exist_ok=True)  # where pyproject.toml says that helpers lie
    shutil.copy(ROOT / "tests/conftest.py", folder)
    shutil.copy(ROOT / "tests/isolation.py", folder / "tests")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    shutil.copy(ROOT / "pyproject.toml", folder)
    pytest_here = "-m pytest -q -p pytest_timeout -p no:cacheprovider test_sample.py".split()
    command = [sys.executable, *pytest_here, *options]
    environment = os.environ | {
        "SHIFTBENCH_NO_SKIPS": no_skips,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins cost a second of each start
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_skip_is_named_with_what_is_lacking(tmp_path: Path) -> None:
    code, output = run(tmp_path, SKIPS)
    assert code == 0
    assert "SKIPPED test_sample.py::test_a - Skipped: needs a-program-that-is-not-there" in output


@pytest.mark.parametrize("text", [SKIPS, SKIPS_WHOLE_FILE, SKIPS_EXAMPLE], ids=["test", "file", "example"])
def test_a_skip_fails_where_none_is_allowed(tmp_path: Path, text: str) -> None:
    code, output = run(tmp_path, text, no_skips="1")
    assert code != 0
    assert re.search(r"a.(program|module).that.is.not.there|all tests skipped by", output)
    assert "SHIFTBENCH_NO_SKIPS=1 allows no skip" in output


def test_golden_values_are_compared_and_written_on_request(tmp_path: Path) -> None:
    stored = tmp_path / "golden" / "test_sample.json"
    assert "no golden value 'digest'" in run(tmp_path, GOLDEN.format(value="one"))[1]
    assert run(tmp_path, GOLDEN.format(value="one"), "--update-golden")[0] == 0
    assert json.loads(stored.read_text()) == {"digest": "one"}
    assert run(tmp_path, GOLDEN.format(value="one"))[0] == 0
    assert "assert 'two' == 'one'" in run(tmp_path, GOLDEN.format(value="two"))[1]


def test_a_test_that_looks_around_in_the_checkout_fails(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("of a user")
    output = run(tmp_path, CURIOUS)[1]
    assert "6 passed, 4 errors" in output
    assert set(re.findall(r"ERROR at teardown of (\w+)", output)) == {
        "test_reads",
        "test_lists",
        "test_enters",
        "test_starts",
    }
    assert "read dvc.lock: a test that looks at more of the checkout than its tracked" in output


@pytest.mark.browser
def test_browser_runs_a_page(browser: WebDriver, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<p id=a></p><script>document.getElementById('a').textContent = 6 * 7</script>")
    browser.get(page.as_uri())
    assert browser.find_element("id", "a").text == "42"


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_every_worker_begins_with_a_share_of_the_long_tests(workers: int, request: pytest.FixtureRequest) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(ROOT / "tests/conftest.py"))
    files = [f"tests/workflow/test_{n}.py" for n in range(7)] + [f"tests/base/test_{n}.py" for n in range(90)]
    items = [SimpleNamespace(path=ROOT / file, nodeid=f"{file}::{n}") for file in files for n in range(3)]
    order = conftest.dealt(items, workers)
    assert sorted(order, key=items.index) == items
    assert workers != 1 or order == items
    begun = 0
    for number in range(workers):  # as pytest-xdist cuts the list
        stretch = order[begun : begun + (len(items) - begun) // (workers - number)]
        begun += len(stretch)
        long = [at for at, item in enumerate(stretch) if "workflow" in item.nodeid]
        assert long == list(range(3 * len(range(number, 7, workers))))


def test_files_that_share_servers_are_dealt_together(request: pytest.FixtureRequest) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(ROOT / "tests/conftest.py"))
    files = [f"tests/{folder}/test_{n}.py" for folder in ("remotes", "audit") for n in range(3)]
    items = [SimpleNamespace(path=ROOT / file, nodeid=f"{file}::test") for file in files]
    dealt = [item.nodeid.split("/")[1] for item in conftest.dealt(items, 4)]
    assert dealt == ["remotes"] * 3 + ["audit"] * 3
