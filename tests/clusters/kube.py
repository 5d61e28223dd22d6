"""A Kubernetes for the tests: an API server that records Job objects and runs their command here, as a node would."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from makers import commands

JOBS = "/apis/batch/v1/namespaces/default/jobs"


@dataclass
class Kube:
    """What was asked of the server, and the pods that it runs.

    The volume is mounted where it is: pods see the benchmark under its own path, and a working folder of their
    own under another than `/workdir`, which a test cannot make.
    """

    home: Path
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    pods: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path != JOBS:
            self.secrets.append(body)
            return body
        name = body["metadata"]["name"]
        self.jobs[name] = body
        workdir = self.home / name
        workdir.mkdir()
        [container] = body["spec"]["template"]["spec"]["containers"]
        with self.log(name).open("w") as log:
            self.pods[name] = subprocess.Popen(
                [*container["command"], *container["args"]],
                cwd=workdir,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return body

    def get(self, path: str) -> dict[str, Any]:
        if path.startswith(f"{JOBS}/"):
            ended = self.pods[path.split("/")[-2]].poll()
            status = {"active": 1} if ended is None else {"failed": 1} if ended else {"succeeded": 1}
            return {"kind": "Job", "status": status}
        return {"kind": "PodList", "items": []}

    def delete(self, path: str) -> dict[str, Any]:
        self.deleted.append(path)
        return {"kind": "Status", "status": "Success"}

    def log(self, name: str) -> Path:
        """Return what a pod printed."""
        return self.home / f"{name}.log"

    def container(self, name: str) -> dict[str, Any]:
        """Return the container of a job."""
        [container] = self.jobs[name]["spec"]["template"]["spec"]["containers"]
        return container

    def named(self, job: str) -> list[str]:
        """Return what was asked for a job of Snakemake (`train:.*s0`), in the order in which it came."""
        asked = re.compile(rf"--target-jobs [^-]*\b{job}\b")
        return [name for name in self.jobs if asked.search(self.container(name)["args"][1])]

    def _environment(self) -> dict[str, str]:
        """A pod sees the image, here the interpreter's folder, and nothing of the main process's environment."""
        kept = ("HOME", "PYTHONPATH", "LANG", "OMP_NUM_THREADS")
        programs = (commands.INTERPRETER.parent, commands.FORKED, commands.PYTHON.parent, os.defpath)
        return {
            **{key: os.environ[key] for key in kept if key in os.environ},
            **commands.forking(),
            "PATH": os.pathsep.join(map(str, programs)),
        }


@contextmanager
def serve(home: Path) -> Iterator[tuple[Kube, Path]]:
    """Serve until the end of the block; gives the server and a kubeconfig that points to it."""
    kube = Kube(home)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            self._answer(kube.post(self.path, json.loads(self.rfile.read(size))))

        def do_GET(self) -> None:
            self._answer(kube.get(self.path))

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(kube.delete(self.path))

        def log_message(self, *words: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = home / "kubeconfig"
    config.write_text(yaml.safe_dump(_kubeconfig(server.server_address[1])))
    try:
        yield kube, config
    finally:
        for pod in kube.pods.values():
            pod.kill()
            pod.wait()
        server.shutdown()
        thread.join()
        server.server_close()


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "clusters": [{"name": "tests", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "tests", "user": {}}],
    }
