"""Runs of Snakemake with the Snakefile of this repository, in a process of their own, of jobs that write stubs.

The benchmark has jobs of all kinds. Its outputs are disturbed on the disk; Snakemake then runs as ever.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import random  # noqa: TID251 - of lists, and seeded
import shlex
import shutil
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from makers import commands, planned_benchmark
from makers.repositories import HOME, Repository
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan.plan import VERBS, Plan
from shiftbench.workflow.plan.planned_job import MARKERS, Request

STUB = """#!/usr/bin/env -S python3 -IS
import socket, sys
with socket.socket(socket.AF_UNIX) as benchmark:
    benchmark.connect({address!r})
    benchmark.sendall("\\0".join(sys.argv).encode() + b"\\n")
    sys.exit(int(benchmark.recv(8) or 1))
"""
"""What stands for the command `shiftbench`: a thread of the process in which Snakemake runs does the job."""

ASKS_A_NET = """
from shiftbench.base import refs
FIELD, LEVELS, RANGE, PARAMS = "image", {}, (0.0, 5.0), {"judge": "perceptron"}
def needs(params):
    return [refs.checkpoint("shapes", params["judge"], "mixup", 7)]
"""
READS_SOURCES = """
FIELD, LEVELS, RANGE, PARAMS = "image", {}, (0.0, 5.0), {}
SOURCES = ("fashion_mnist",)
"""
_NETS = [{"architectures": ["perceptron"], "trainers": ["mixup"], "seeds": [0, 1]}]
OVER: dict[str, Any] = {
    "fetch": {"folders": ["."]},  # somebody can bring the originals
    "shifts": {
        "bright": {"severities": [1, 2.5]},
        "textured": {"severities": [1]},
        "adversary": {"severities": [1]},
        "contrast": {"severities": [3], "materialise": False},
    },
    "detectors": {"gen": {"gamma": [0.1, 0.5], "M": 3}},
    "benchmarks": {
        "small": {
            "dataset": "shapes",
            "models": _NETS,
            "shifts": ["bright", "adversary", "contrast"],
            "ood": ["others"],
            "val_ood": ["elsewhere/test"],
            "detectors": ["margin", "gen", "knn"],
            "features": ["val"],
        },
        "large": {
            "dataset": "shapes",
            "models": _NETS,
            "shifts": ["bright", "textured"],
            "methods": ["plain", "mirror"],
        },
    },
}
"""Originals, shards that ask a net, a shift that is not stored, searches, overlaps, features that nobody asks for."""

EDITS: tuple[dict[str, Any], ...] = (
    {},
    {"trainers__mixup__epochs": 2},
    {"metrics__more": {"use": "balanced"}},
    {"shifts__bright__severities": [1, 4]},
    {"seed": 1},
)


def make(folder: Path) -> None:
    """Write the benchmark's files."""
    planned_benchmark.make(folder)
    planned_benchmark.add(folder, "shifts", "adversary", ASKS_A_NET)
    planned_benchmark.add(folder, "shifts", "textured", READS_SOURCES)
    shapes = (folder / "mine/datasets/shapes.py").read_text()
    for name in ("others", "elsewhere"):
        planned_benchmark.add(folder, "datasets", name, shapes)
    shutil.copy(HOME / "Snakefile", folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(HOME / name, folder / name)


def run(folder: Path, seed: int, count: int) -> list[str]:
    """Disturb and run a benchmark some times, in another process; return what went wrong."""
    found: list[str] = _elsewhere(folder, seed, Benchmark.history, count)
    return found


@dataclass(frozen=True)
class Ended:
    """What a command line of Snakemake did: exit status, the jobs that it started, what it said."""

    status: int
    started: list[str]
    said: str

    def of(self) -> set[str]:
        """Return the stages of the jobs that it started."""
        return {name.partition("/")[0] for name in self.started}


def after_a_run(folder: Path, *lines: str) -> list[Ended]:
    """Make a benchmark, then be Snakemake with each of some command lines, one after the other."""
    return [Ended(*one) for one in _elsewhere(folder, 0, Benchmark.be, ["", *lines])][1:]


def _elsewhere(folder: Path, seed: int, do: Callable[[Benchmark, Any], Any], what: Any) -> Any:
    """Let a benchmark do something in another process."""
    process = commands.context().Process(target=_be, args=(folder, seed, do, what))
    process.start()
    process.join()
    log = (folder / "log").read_text()
    assert process.exitcode == 0, log[-4000:]
    return json.loads((folder / "done.json").read_text())


def _be(folder: Path, seed: int, do: Callable[[Benchmark, Any], Any], what: Any) -> None:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.chdir(folder)
    os.environ.pop("CI", None)  # jobs are threads here, of which each would hear what all of them open
    try:
        done = do(Benchmark(random.Random(seed)), what)
    except BaseException:  # noqa: BLE001 - the log is all that the test sees of this process
        traceback.print_exc()
        sys.exit(1)
    Path("done.json").write_text(json.dumps(done))


class Benchmark:
    """The benchmark in the working folder, and Snakemake in this process."""

    def __init__(self, draw: random.Random) -> None:
        from shiftbench.provenance import recipe
        from shiftbench.workflow.engine import warm
        from shiftbench.workflow.plan import plan as plans

        self.draw = draw
        self.root = Path()
        self.plan = self._planned(0)
        self.started: list[str] = []
        self.varies = True  # weights, with the machine
        plans.load = lambda scale=None: (self.plan, self.root)  # noqa: ARG005
        recipe._row_digests = lambda folder, names: {}  # noqa: ARG005
        warm.start = lambda: None
        self._listen()

    @functools.cache  # noqa: B019 - as long as the process
    def _planned(self, edit: int) -> Plan:
        return planned_benchmark.plan(self.root, **OVER | EDITS[edit])

    def _listen(self) -> None:
        """Be what the command `shiftbench` asks for."""
        benchmark = self

        class Command(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _, _, _, file, *options = self.rfile.readline()[:-1].decode().split("\0")
                benchmark.job(Path(file), again="--again" in options)
                self.wfile.write(b"0")

        address = str(Path("socket").absolute())
        server = socketserver.ThreadingUnixStreamServer(address, Command)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program = Path("bin/shiftbench")
        program.parent.mkdir()
        program.write_text(STUB.format(address=address))
        program.chmod(0o755)
        os.environ["PATH"] = f"{program.parent.absolute()}{os.pathsep}{os.environ['PATH']}"

    def job(self, file: Path, *, again: bool) -> None:
        """Be a job: make what does not hold when its turn comes, of nothing; bytes of weights are new each time."""
        from shiftbench.base.files import scratch
        from shiftbench.provenance import recipe

        def write(run: recipe.Run, _: object) -> None:
            own = {one.ref for one in run.job.artifacts}
            for one in sorted(run.todo(), key=lambda one: not own.isdisjoint(one.inputs)):
                if one not in run.todo():
                    continue
                lost = [ref.path for ref in one.inputs if not run.path(ref).exists()]
                assert not lost, f"{one.ref.path} is made without {lost}"
                recipe._row_digests = lambda *_: {}  # the stub's manifests say nothing
                new = self.draw.random() if self.varies and one.ref.kind == "checkpoints" else ""
                with scratch(run.path(one.ref)) as output:
                    output.write_text(f"{one.fingerprint} {new}")
                    run.commit(one, {run.path(one.ref).name: output})

        self.started.append(str(file.relative_to(self.root / "recipes").with_suffix("")))
        if Path("broken").is_file() and Path("broken").read_text() in self.started[-1]:
            raise ValueError("this job fails")
        recipe.execute(file, write, again=again)

    def snakemake(self, *words: str) -> tuple[int, set[str]]:
        """Run Snakemake; return its exit status and the jobs that it started."""
        from snakemake import cli

        self.started.clear()
        sys.argv[:] = ["snakemake", "--cores", "2", *words]
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), set(self.started)
        raise AssertionError("Snakemake goes on")

    def states(self) -> dict[str, str]:
        """Return how the outputs stand, by path."""
        found = self.plan.status(self.root).values()
        return {ref.path: state for job in found for ref, state in job.items()}

    def expected(self, request: Request) -> set[str]:
        """Return the jobs that have something to do."""
        from shiftbench.workflow.plan import job_selection

        jobs = job_selection.select(self.plan, self.root, request).jobs
        return {f"{job.verb}/{job.name}" for job in jobs if job.runs}

    def disturb(self) -> None:
        """Edit params, lose outputs and receipts, retrain elsewhere, kill, and set times as clones and clocks do."""
        from shiftbench.provenance import recipe

        if self.draw.random() < 0.8:
            self.plan = self._planned(self.draw.randrange(len(EDITS)))
        refs = list(self.plan.artifacts)
        last = refs[self.draw.randrange(len(refs)) :]
        for ref in self._some(0, 1, 3, 20, 60) + (last if self.draw.random() < 0.3 else []):
            (self.root / ref.path).unlink(missing_ok=True)
        for ref in self._some(0, 0, 1, 5):
            recipe.receipt_path(self.root, ref).unlink(missing_ok=True)
        for ref in self._some(0, 0, 1, 5):
            self._retrain(ref)
        for ref in self._some(0, 0, 1, 5):
            self._kill(ref)
        now = time.time()
        for output in (self.root / ref.path for ref in refs):
            if output.exists():
                stamp = self.draw.choice([self.draw.uniform(1e9, now), now, now + 100])
                os.utime(output, (stamp, stamp))

    def _some(self, *counts: int) -> list[Ref]:
        return self.draw.sample(list(self.plan.artifacts), self.draw.choice(counts))

    def _retrain(self, ref: Ref) -> None:
        from shiftbench.provenance import recipe

        content = recipe.receipt(self.root, ref)
        if content and ref.kind not in ("sources", "shards", "previews"):
            output = self.root / ref.path
            output.write_text("made elsewhere")
            made = {output.name: recipe.sha256(output)}
            recipe.write_json(recipe.receipt_path(self.root, ref), {**content, "made": made})

    def _kill(self, ref: Ref) -> None:
        """Leave what a killed Snakemake leaves of a job that it ran."""
        marks = Path(".snakemake/incomplete")
        marks.mkdir(parents=True, exist_ok=True)
        marker = next(
            f"{MARKERS}/{name}.done"
            for name, job in self.plan.jobs.items()
            if ref in {one.ref for one in job.artifacts}
        )
        name = base64.urlsafe_b64encode(marker.encode()).decode()
        if len(name) < 255:  # else Snakemake spells it otherwise
            (marks / name).write_text('{"external_jobid": null}')

    def request(self) -> Request:
        """Draw what Snakemake is asked for, and which stages are to be made again."""
        some = ["sources", "shards", "checkpoints", "records", "tables"]
        how = self.draw.random()
        targets = self.draw.sample([f"{MARKERS}/{name}.done" for name in self.plan.jobs], 2)
        if how < 0.5:
            targets = []
        elif how < 0.8:
            targets = self.draw.sample([*some, "all"], self.draw.choice([1, 1, 2]))
        again = self.draw.sample(VERBS, self.draw.choice([0, 0, 1, 2]))
        return Request(tuple(targets), tuple(again))

    def be(self, lines: list[str]) -> list[tuple[int, list[str], str]]:
        """Be Snakemake with each of some command lines."""
        self.varies = False
        done = []
        for line in lines:
            begin = Path("log").stat().st_size
            status, started = self.snakemake(*shlex.split(line))
            done.append((status, sorted(started), Path("log").read_bytes()[begin:].decode()))
        return done

    def history(self, count: int) -> list[str]:
        """Disturb and run; return what went wrong."""
        wrong = []
        for number in range(count):
            self.disturb()
            request = self.request()
            expected = self.expected(request)
            forced = ["--forcerun", *request.again] if request.again else []
            status, started = self.snakemake(*request.targets, *forced)
            again = self.expected(Request(request.targets))
            if status or started != expected or again:
                wrong.append(
                    f"run {number} of {request}: rc {status}; started too much {started - expected}, "
                    f"too little {expected - started}; again {again}"
                )
        return wrong


def commands_of(folder: Path, root: str) -> list[list[str]]:
    """Return the words of the shell commands that Snakemake would run for shards below an output root."""
    make(folder)
    planned_benchmark.load(folder, root=root)
    done = Repository(folder, HOME / "src").run("snakemake", "-n", "-p", "shards")
    _, *output = (done.stdout + done.stderr).split("Shell command: ")
    return [shlex.split(text.splitlines()[0]) for text in output if text.startswith("shiftbench")]
