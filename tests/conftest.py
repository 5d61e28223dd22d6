"""What all tests share: markers that know when to skip, no silent skips in CI, golden values."""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.doctest import DoctestModule

import isolation
from shiftbench.workflow.engine import memory

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

    from makers.repositories import Repository

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # training differs with the number of threads
os.environ.setdefault("COLUMNS", "160")  # of tables that are printed, whatever the folders are called
_MEMORY = Path("/dev/shm")
if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 8 << 30:  # checkouts are 4,000 files each
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
os.environ["CI"] = "true"  # jobs are strict about what they open, wherever the tests run
os.environ["SHIFTBENCH_TRUSTED"] = str(Path(__file__).parent / "makers" / "trusted")  # all folders
pytest.register_assert_rewrite("shiftbench.contracts")  # before any test imports it
memory.keep_freed()  # tests train and evaluate, and else hand pages back between two layers
os.fsync = lambda _: None  # no test cuts the power, and a rehearsal would wait 2,000 times for the disk
NO_SKIPS = os.environ.get("SHIFTBENCH_NO_SKIPS") == "1"
"""CI sets it: a test that cannot run there is a failure, since nobody reads the list of skips."""

SLOW = (
    "tests/audit",
    "tests/cli/test_links.py",
    "tests/cli/test_strangers_models.py",
    "tests/cli/test_trust.py",
    "tests/clusters",
    "tests/contracts",
    "tests/datasets/test_openood.py",
    "tests/detectors/test_nets.py",
    "tests/engine/test_warm.py",
    "tests/fuzz",
    "tests/evaluation/test_onthefly.py",
    "tests/metrics/test_average_precision.py",
    "tests/models/test_box_models.py",
    "tests/models/test_boxes.py",
    "tests/models/test_decoder.py",
    "tests/models/test_released_weights.py",
    "tests/models/test_wrong_models.py",
    "tests/plan/test_drawn_params.py",
    "tests/plan/test_drawn_places.py",
    "tests/plan/test_packed_times.py",
    "tests/plan/test_plan_while_reading.py",
    "tests/plan/test_wrong_params.py",
    "tests/provenance/test_table_trial.py",
    "tests/release",
    "tests/remotes",
    "tests/repository/test_conftest.py",
    "tests/repository/test_wheel.py",
    "tests/sandbox",
    "tests/shifts",
    "tests/stages/test_detection.py",
    "tests/stages/test_fetch.py",
    "tests/statistics/test_claims.py",
    "tests/statistics/test_interval_coverage.py",
    "tests/statistics/test_null_control.py",
    "tests/storage/test_bounds.py",
    "tests/storage/test_drawn_config.py",
    "tests/storage/test_drawn_stages.py",
    "tests/storage/test_store.py",
    "tests/streams",
    "tests/systems",
    "tests/tools/test_calibrate.py",
    "tests/tools/test_detect.py",
    "tests/trainers/test_grpo.py",
    "tests/trainers/test_outliers.py",
    "tests/trainers/test_regions.py",
    "tests/trainers/test_searchers.py",
    "tests/workflow",
)
"""What `make quick` leaves out, folders and files; a new test is in unless it lies in one of these."""
LONG = (
    "tests/contracts/test_every_rehearsal.py::test_a_rehearsal_judges_every_embedded_claim",
    "tests/workflow",
    "tests/remotes/",
    "tests/clusters/",
    "tests/audit",
    "tests/release",
    "tests/systems/test_machinery.py",
    "tests/repository/test_notebooks.py",
    "tests/repository/test_wheel.py",
)
"""Tests that take seconds each: of these every worker has a share, which it begins with. Names with `::` are dealt one
by one, names that end with / by folder, since its files share servers, the others by file."""
SLOW_MARKERS = ("browser", "gpu", "network", "slow", "workflow")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden values instead of comparing")
    parser.addoption("--quick", action="store_true", help="without the slow groups of conftest.py")
    parser.addoption("--rehearse", action="store_true", help="every rehearsal of a system, known to pass or not")
    parser.addoption("--system", metavar="SLUG", help="of the contracts, what a system's card names")


# --- markers -----------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers():
        reason = missing(marker)
        if reason:
            pytest.skip(reason)


def missing(marker: pytest.Mark) -> str | None:
    """Return what this machine lacks for a test with `marker`, or None."""
    if marker.name == "needs":
        lacking = [command for command in marker.args if shutil.which(command) is None]
        return f"needs {', '.join(lacking)}" if lacking else None
    check = {"browser": _no_browser, "gpu": _no_gpu, "network": _no_registry}.get(marker.name)
    return check() if check else None


def _no_browser() -> str | None:
    programs = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if programs:
        return f"needs {', '.join(programs)} (Debian: apt-get install chromium chromium-driver)"
    return None if importlib.util.find_spec("selenium") else "needs selenium (make setup)"


def _no_gpu() -> str | None:
    import torch

    return None if torch.cuda.is_available() else "needs a CUDA device"


@functools.cache
def _no_registry() -> str | None:
    """Ask pip for the versions of a small package, once, without waiting long for an answer."""
    command = [sys.executable, "-m", "pip", "index", "versions", "six", "--retries=0"]
    answer = subprocess.run([*command, "--timeout=10"], capture_output=True, check=False)
    return None if answer.returncode == 0 else "needs a package registry, and none answers"


# --- which tests, in which order ------------------------------------------------------------------


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what stays until the end: libraries and the tests themselves.

    No drawn example fails because a machine is busy.
    """
    hypothesis = importlib.import_module("hypothesis")  # looks, when imported, for who refers to what
    hypothesis.settings.register_profile("tests", deadline=None)
    hypothesis.settings.load_profile("tests")
    gc.collect()
    gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Let `--quick` not even import what is in a slow group."""
    name = collection_path.relative_to(ROOT).as_posix()
    return (config.getoption("--quick") and name in SLOW) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not asked for, and deal what is long to all workers."""
    asked = {item: _asked_for(item, config) for item in items}
    config.hook.pytest_deselected(items=[item for item in items if not asked[item]])
    kept = [item for item in items if asked[item]]
    items[:] = dealt(kept, getattr(config, "workerinput", {}).get("workercount", 1))


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order tests so that each worker begins with a share of the long ones, and none ends with them.

    Workers begin with equal stretches of the list and steal from the ends of others' (`--dist worksteal`), so that
    neighbours share their session's fixtures and no file is tied to one worker.
    """
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    long: dict[str, list[pytest.Item]] = {}
    for item in items:
        long.setdefault(_dealt_with(item), []).append(item)
    short = long.pop("", [])
    for number, together in enumerate(long.values()):
        hands[number % workers] += together
    order: list[pytest.Item] = []
    for number, hand in enumerate(hands):
        stretch = (len(items) - len(order)) // (workers - number)
        rest = max(stretch - len(hand), 0)
        order += [*hand, *short[:rest]]
        del short[:rest]
    return [*order, *short]


def _dealt_with(item: pytest.Item) -> str:
    """Return with what a long test is dealt: by itself, with its folder or its file; "" of a short one."""
    file = item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else ""
    if item.nodeid.startswith(tuple(name for name in LONG if "::" in name)):
        return item.nodeid
    if folders := [name for name in LONG if name.endswith("/") and file.startswith(name)]:
        return folders[0]
    return file if f"{file}/".startswith(tuple(f"{name}/" for name in LONG)) else ""


def _asked_for(item: pytest.Item, config: pytest.Config) -> bool:
    if config.getoption("--quick") and any(item.get_closest_marker(name) for name in SLOW_MARKERS):
        return False
    slug = config.getoption("--system")
    if not slug or not item.path.is_relative_to(ROOT / "tests/contracts"):
        return True
    params = getattr(item, "callspec", None)
    return params is not None and not named_by(slug).isdisjoint(map(str, params.params.values()))


@functools.cache
def named_by(slug: str) -> frozenset[str]:
    """Return the parts that a system's card names at any scale, and the system itself."""
    from shiftbench.workflow.plan import cards

    needs = cards.load(slug).needs.values()
    parts = (names for need in needs for names in need.model_dump().values())
    return frozenset({slug}.union(*(names for names in parts if isinstance(names, list | tuple))))


# --- CI lets nothing be skipped ----------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # Hooks of a conftest see only the tests beside it, not the docstring examples of src/.
    config.pluginmanager.register(isolation)
    config.pluginmanager.register(Examples())
    if NO_SKIPS:
        config.pluginmanager.register(NoSkips())


class Examples:
    """Docstring examples are looked for where there are some: nine of ten modules have none, and need no import."""

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(self, file_path: Path) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        found = yield
        some = not found or b">>>" in file_path.read_bytes()
        return found if some else [one for one in found if not isinstance(one, DoctestModule)]


class NoSkips:
    """A skipped test or file is a failed one, with the same reason."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        return _fail_if_skipped(report)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        return _fail_if_skipped(report)


def _fail_if_skipped(report: Any) -> Any:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (and SHIFTBENCH_NO_SKIPS=1 allows no skip)"
    return report


# --- shared fixtures ----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _packaged_plugins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test search the plugin folders of another's params, those of the process, nor only read them."""
    monkeypatch.setattr("shiftbench.base.registry.Folders.extra", ())
    monkeypatch.setattr("shiftbench.base.registry.Folders.only_read", False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def browser() -> Iterator[WebDriver]:
    """Headless Chromium, driven by selenium; its tests are marked `browser`."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "window-size=1280,1600",
        "force-prefers-reduced-motion",  # a page that still scrolls smoothly moves under the click
    ):
        options.add_argument(f"--{flag}")
    driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], Any]:
    """Return what is stored under `name` in tests/golden/<test module>.json: `assert value == golden(name, value)`.

    `make golden` stores `value` instead and returns it. Values are JSON: digests, numbers, lists and dicts of them.
    """
    path = GOLDEN / f"{request.path.stem}.json"
    update = request.config.getoption("--update-golden")

    def stored(name: str, value: Any) -> Any:
        known = json.loads(path.read_text()) if path.exists() else {}
        if update:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({**known, name: value}, indent=1, sort_keys=True) + "\n")
            return value
        assert name in known, f"no golden value {name!r} in {path}; make golden writes it"
        return known[name]

    return stored


# --- a benchmark like a user's: a clone of this repository with tiny params, run once, pushed, cloned again --------


@pytest.fixture(scope="session")
def author(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The one who ran the benchmark, recorded it with DVC and pushed it; not to be changed by a test."""
    from makers.made_once import made_once
    from makers.repositories import Repository

    return Repository(made_once(tmp_path_factory, "author", _publish) / "repository")


def _publish(home: Path) -> None:
    from makers.repositories import checkout

    repository = checkout(home / "repository")
    repository.run("dvc", "remote", "modify", "local", "url", str(home / "remote"))
    repository.run("git", "commit", "-qam", "remote")
    repository.make()
    for output in re.findall(r"^ *- ([a-z/]+):", (repository.path / "dvc.yaml").read_text(), re.M):
        (repository.path / output).mkdir(parents=True, exist_ok=True)
    repository.run("dvc", "commit", "--quiet", "--force")
    repository.run("dvc", "push", "--quiet")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-qm", "results")
    repository.run("git", "gc", "--quiet")  # a file instead of 1,500: each clone has its own


@pytest.fixture(scope="session")
def _pulled(author: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    from makers.made_once import made_once
    from makers.repositories import Repository, clone

    def pull(home: Path) -> None:
        clone(author, home / "repository").run("shiftbench", "pull")

    return Repository(made_once(tmp_path_factory, "colleague", pull) / "repository")


@pytest.fixture
def colleague(_pulled: Repository, tmp_path: Path) -> Repository:
    """A fresh clone after `shiftbench pull`; each test has its own copy with new time stamps."""
    from makers.repositories import Repository, bring_compiled

    shutil.copytree(_pulled.path, tmp_path / "repository", copy_function=shutil.copyfile, symlinks=True)
    bring_compiled(tmp_path / "repository")
    return Repository(tmp_path / "repository")
