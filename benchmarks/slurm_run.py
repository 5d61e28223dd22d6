"""A benchmark of many jobs on a cluster that is simulated: how long planning, submission and recovery take.

    python benchmarks/slurm_run.py [--jobs 20000] [--at-once 1000] [--dying 0.01] [--mean 20]

Snakemake, its executor for SLURM and the plan are real. `sbatch` and `squeue` are clients of a server in this process,
and jobs are stubs: after a drawn time each has its outputs and their receipts, as a job leaves them, or has died with
none. Halfway the run itself is killed and started again, as after a logout; what is made must stay. Those that were
running then are made twice: a real job would find the first one's lock, and then its receipts.
"""

import argparse
import heapq
import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan import planned_jobs

ROOT = Path(__file__).parent.parent
CLIENT = """#!/usr/bin/env bash
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\n' "$(basename "$0")" "$@" >&3
printf '\\0' >&3
cat <&3
"""
JOBS_OF_A_NET = 3
"""Each net is trained, evaluated, and scored by one job each."""


def params(nets: int) -> dict[str, object]:
    """Return a benchmark of small jobs: two shifts at five severities, a detector against one OOD set."""
    severities = {"severities": [1, 2, 3, 4, 5]}
    weights = {"architectures": ["convnet"], "trainers": ["erm"], "seeds": list(range(nets))}
    main = {
        "dataset": "mnist", "shifts": ["contrast", "fog"], "models": [weights], "methods": ["plain"],
        "detectors": ["msp"], "ood": ["fashion_mnist"], "metrics": ["accuracy"],
    }  # fmt: skip
    return {
        "seed": 0, "datasets": {"mnist": {}}, "shifts": {"contrast": severities, "fog": severities},
        "models": {"convnet": {}}, "trainers": {"erm": {}}, "methods": {"plain": {}}, "detectors": {"msp": {}},
        "metrics": {"accuracy": {}}, "benchmarks": {"main": main},
    }  # fmt: skip


@dataclass
class Cluster:
    """What a cluster knows of its jobs, and what was seen of them."""

    home: Path
    dying: float
    mean: float
    drawn: np.random.Generator
    states: dict[int, str] = field(default_factory=dict)
    ends: list[tuple[float, int, list[str]]] = field(default_factory=list)
    submitted: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    died: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, words: list[str]) -> str:
        """Answer a client."""
        began, (name, *given) = time.monotonic(), words
        with self.lock:
            if name == "sbatch":
                return self._submit(" ".join(given))
            if name == "squeue":
                said = "".join(f"{number}|{state}\n" for number, state in self.states.items())
                self.answers.append(time.monotonic() - began)
                return said
        return "MinJobAge = 86400 sec\n" if name == "scontrol" else ""

    def _submit(self, call: str) -> str:
        targets = re.search(r"--target-jobs (.*?) --", call)
        asked = re.findall(r"(\w+):root=,job=([^' ]+)", targets[1]) if targets else []
        jobs = [f"{verb}/{name}" for verb, name in asked]
        number = len(self.states) + 1
        self.states[number] = "RUNNING"
        self.submitted.append(time.monotonic())
        heapq.heappush(self.ends, (time.monotonic() + self.drawn.exponential(self.mean), number, jobs))
        return f"{number}\n"

    def work(self) -> None:
        """End jobs at their time, for ever: each has made what it is for, or died with nothing."""
        while True:
            while not self.ends or self.ends[0][0] > time.monotonic():
                time.sleep(0.01)
            with self.lock:
                _, number, jobs = heapq.heappop(self.ends)
            dies = bool(self.drawn.random() < self.dying)
            for job in () if dies else jobs:
                self.make(job)
            with self.lock:
                self.died += dies
                self.states[number] = "NODE_FAIL" if dies else "COMPLETED"

    def make(self, job: str) -> None:
        """Leave the outputs of a job, their receipts and its marker, as Snakemake on a node does."""
        self.made.append(job)
        for artifact in Job.read(self.home / f"recipes/{job}.json").artifacts:
            output = self.home / artifact.ref.path
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(artifact.fingerprint)
            content = {
                "fingerprint": artifact.fingerprint,
                "recipe": artifact.recipe,
                "made": {output.name: artifact.fingerprint},
                "consumed": {ref.path: recipe.made(self.home, ref) for ref in artifact.inputs},
            }
            recipe.receipt_path(self.home, artifact.ref).write_text(json.dumps(content))
        marker = self.home / f"logs/jobs/{job}.done"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def serve(cluster: Cluster, programs: Path) -> None:
    """Put clients of the cluster into a folder, and answer them."""

    class Answer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            words = b""
            while not words.endswith(b"\0"):
                words += self.rfile.read1()
            self.wfile.write(cluster.answer(words[:-1].decode().splitlines()).encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    for name in ("sbatch", "squeue", "scancel", "sinfo", "scontrol"):
        client = programs / name
        client.write_text(CLIENT.format(port=server.server_address[1]))
        client.chmod(0o755)
    for target in (server.serve_forever, cluster.work):
        threading.Thread(target=target, daemon=True).start()


def begin(home: Path, programs: Path, at_once: int) -> subprocess.Popen[bytes]:
    """Start Snakemake as docs/clusters.md says."""
    path = os.pathsep.join(map(str, (programs, Path(sys.executable).parent, os.environ["PATH"])))
    words = (
        "--profile=profiles/slurm --slurm-init-seconds-before-status-checks=5 --slurm-status-command=squeue "
        "--slurm-no-account --default-resources=slurm_partition=main --latency-wait=5 --quiet=all"
    ).split()
    log = (home / "log").open("ab")
    return subprocess.Popen(
        ["snakemake", *words, f"--jobs={at_once}"],
        cwd=home, env={**os.environ, "PATH": path}, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


def watch(cluster: Cluster, run: subprocess.Popen[bytes], until: int | None) -> None:
    """Wait for the end of a run, or kill it when so many jobs are made; print what was seen."""
    began, before, died = time.monotonic(), len(cluster.submitted), cluster.died
    used = memory = 0.0
    while run.poll() is None and (until is None or len(cluster.made) < until):
        time.sleep(0.2)
        used, memory = seen_of(run.pid) or (used, memory)
    took = time.monotonic() - began
    if run.poll() is None:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    sent = cluster.submitted[before:]
    span = max(sent[-1] - sent[0], 1e-9)
    how, queue = "killed" if until else f"ended with {run.returncode}", max(cluster.answers)
    print(
        f"{how} after {took:.0f} s: first submission after {sent[0] - began:.0f} s, {len(sent):,} submissions, "
        f"{len(sent) / span:.0f} a second; {cluster.died - died} jobs died; longest answer of the queue "
        f"{queue * 1000:.0f} ms; the run's process {used:.0f} s of processor time, {memory:.2f} GB"
    )


def seen_of(pid: int) -> tuple[float, float] | None:
    """Return processor seconds and the most memory (GB) of a process so far; None where it ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return None
    ticks = sum(int(value) for value in stat[11:13]) / os.sysconf("SC_CLK_TCK")
    peak = re.search(r"VmHWM:\s+(\d+)", status)
    return (ticks, int(peak[1]) / 1e6) if peak else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=1000)
    parser.add_argument("--dying", type=float, default=0.01)
    parser.add_argument("--mean", type=float, default=20.0, help="seconds that a job takes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home, programs = Path(folder, "benchmark"), Path(folder, "bin")
        programs.mkdir()
        for name in ("workflow", "profiles"):
            shutil.copytree(ROOT / name, home / name)
        shutil.copy(ROOT / "Snakefile", home)
        (home / "params.yaml").write_text(json.dumps(params(given.jobs // JOBS_OF_A_NET)))
        os.chdir(home)
        (home / ".snakemake").mkdir()
        began = time.process_time()
        planned = planned_jobs.load({}, main=True)
        print(f"{len(planned.jobs):,} jobs planned in {time.process_time() - began:.0f} s")
        cluster = Cluster(home, given.dying, given.mean, np.random.default_rng(0))
        for job in planned.of_verb("fetch"):
            cluster.make(f"{job.verb}/{job.name}")
        serve(cluster, programs)
        watch(cluster, begin(home, programs, given.at_once), len(planned.jobs) // 2)
        half = set(cluster.made)
        watch(cluster, begin(home, programs, given.at_once), None)
        again = len(cluster.made) - len(set(cluster.made))
        print(f"{len(half):,} made when the run was killed; {again} made twice; {len(set(cluster.made)):,} in the end")


if __name__ == "__main__":
    main()
