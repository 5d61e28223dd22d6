"""Kubernetes: what its executor asks the API server for, and what its pods leave on the volume."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import kube
from clusters.kube import Kube
from clusters.smoke import SHIFTS, SMOKE, smoke
from makers.repositories import Repository

pytestmark = [pytest.mark.workflow, pytest.mark.cluster]

IMAGE = "registry.example.org/shiftbench:0.1.0"
FOLDERS = ("build/smoke/data", "build/smoke/weights", "build/smoke/results")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kube]:
    """A server; Snakemake finds it by its kubeconfig."""
    (tmp_path / "kube").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "repository" / "src"))  # the image's package
    with kube.serve(tmp_path / "kube") as (server, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        yield server


@pytest.fixture
def benchmark(local: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The smoke benchmark with its shards, in the folder that is the volume."""
    shutil.copytree(local.path, tmp_path / "repository", symlinks=True)
    monkeypatch.setenv("PWD", str(tmp_path / "repository"))  # as a shell has it
    return Repository(tmp_path / "repository")


def on_kubernetes(repository: Repository, *words: str) -> list[str]:
    """Return the command of a run."""
    return [
        "snakemake",
        "--profile=profiles/kubernetes",
        f"--container-image={IMAGE}",
        f"--kubernetes-persistent-volumes=benchmark:{repository.path}",
        "--seconds-between-status-checks=1",
        *words,
    ]


def test_a_job_has_image_memory_time_and_the_volume_and_makes_the_same_bytes(
    cluster: Kube, benchmark: Repository, local: Repository
) -> None:
    for folder in SHIFTS:
        shutil.rmtree(benchmark.path / folder)
    benchmark.run(*on_kubernetes(benchmark, "shards", *SMOKE))
    assert benchmark.bytes(*FOLDERS) == local.bytes(*FOLDERS)

    [name] = cluster.jobs
    container, pod = cluster.container(name), cluster.jobs[name]["spec"]["template"]["spec"]
    assert container["image"] == IMAGE
    asked = container["resources"]["requests"]
    assert (asked["memory"], asked["cpu"]) == ("8000M", "1900m"), "two jobs in one pod"
    assert container["resources"]["limits"]["memory"] == "8000M"
    assert "nvidia.com/gpu" not in asked
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted["benchmark"] == str(benchmark.path)
    claims = [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
    assert {"claimName": "benchmark"} in claims
    assert cluster.jobs[name]["spec"]["backoffLimit"] == 0, "Snakemake retries, not Kubernetes"
    assert "export SHIFTBENCH_LIMIT_TIME=1 && " in container["args"][1]
    assert f"{cluster.deleted}".count("secrets") == 1
    assert list(benchmark.path.glob("snakemake-workflow-sources.*")) == []


def test_a_pod_that_was_given_no_gpu_says_so_before_it_trains(cluster: Kube, benchmark: Repository) -> None:
    marker = "build/smoke/logs/jobs/train/digits/convnet-erm-s0.done"
    asked = ("train:gpu=1", "train:mem_mb=16000", "train:runtime=90")
    run = on_kubernetes(benchmark, "--retries=0", marker, *SMOKE, "--set-resources", *asked)
    assert benchmark.run(*run, check=False).returncode != 0
    [name] = cluster.named("train:")
    resources = cluster.container(name)["resources"]
    for kind in ("requests", "limits"):
        assert resources[kind]["nvidia.com/gpu"] == "1"
        assert resources[kind]["memory"] == "16000M"
    [tolerated] = cluster.jobs[name]["spec"]["template"]["spec"]["tolerations"]
    assert tolerated["key"] == "nvidia.com/gpu"
    said = (benchmark.path / "build/smoke/logs/train/digits/convnet-erm-s0.log").read_text()
    assert "a GPU was asked for (cuda), and torch" in said
    assert "timeout 90m shiftbench train" in cluster.log(name).read_text()
    assert not list((benchmark.path / "build/smoke/weights").rglob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_smoke_benchmark_has_the_bytes_of_a_local_run_though_a_pod_was_evicted(
    cluster: Kube, local: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.make(*SMOKE)
    benchmark = smoke(tmp_path / "repository")
    monkeypatch.setenv("PWD", str(benchmark.path))
    run = benchmark.start(*on_kubernetes(benchmark, *SMOKE))
    rule = r"train:\S+convnet-erm-s0"
    while not cluster.named(rule):
        assert run.poll() is None, f"ended too early; see {benchmark.path}.log"
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(cluster.pods[cluster.named(rule)[0]].pid, signal.SIGKILL)
    assert run.wait() == 0, Path(f"{benchmark.path}.log").read_text()[-3000:]
    assert len(cluster.named(rule)) == 2
    assert len(cluster.jobs) == 15, "two of the 15 jobs are one pod, one came twice"
    assert benchmark.bytes(*FOLDERS) == local.bytes(*FOLDERS)
