"""Real servers on loopback, each on a free port with all its files in one folder, gone after the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
KEY_ID, SECRET = "AKIASHIFTBENCHTESTS0", "moto-does-not-check-this-secret"
BUCKET = "mirror"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path, **environment: str) -> Iterator[None]:
    """Run a server until the end of the context; return once it accepts connections."""
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=os.environ | environment)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                break
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()}"
            time.sleep(0.1)
        else:
            raise AssertionError(f"{command[0]} does not listen: {log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextmanager
def sshd(home: Path, *, password_only: bool = False) -> Iterator[tuple[int, Path]]:
    """OpenSSH's server with a host key of its own; gives its port and the private key that it lets in."""
    home.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    if os.geteuid() == 0:  # the server drops its privileges there
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    methods = "password" if password_only else "publickey"
    (home / "config").write_text(
        f"Port {port}\nListenAddress {HOST}\nHostKey {home / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {home / 'user.pub'}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        f"PasswordAuthentication {'yes' if password_only else 'no'}\nAuthenticationMethods {methods}\n"
        "KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
    )
    command = [str(shutil.which("sshd")), "-D", "-e", "-f", str(home / "config")]
    with running(command, port, home / "log"):
        yield port, home / "user"


@contextmanager
def nginx(home: Path, served: Path) -> Iterator[int]:
    """Give the port of nginx, which serves a folder for reading."""
    home.mkdir()
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {home / kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {home / 'pid'}; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log {home / 'access.log'}; {temporary}\n"
        f"server {{ listen {HOST}:{port}; root {served}; location / {{ limit_except GET {{ deny all; }} }} }} }}\n"
    )
    command = [str(shutil.which("nginx")), "-e", "stderr", "-p", str(home), "-c", str(home / "nginx.conf")]
    with running(command, port, home / "log"):
        yield port


@contextmanager
def s3(home: Path) -> Iterator[int]:
    """Give the port of moto's server, an S3 endpoint with one bucket, in memory."""
    import boto3

    home.mkdir()
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    with running(command, port, home / "log"):
        bucket(port).create()
        yield port
    boto3.DEFAULT_SESSION = None


def bucket(port: int):
    """Return the bucket of `s3`."""
    import boto3

    resource = boto3.resource(
        "s3",
        endpoint_url=f"http://{HOST}:{port}",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    return resource.Bucket(BUCKET)


@contextmanager
def silent() -> Iterator[int]:
    """Give a port that takes connections and never says a word."""
    with socket.create_server((HOST, 0), backlog=50) as server:
        yield int(server.getsockname()[1])


@dataclass
class Proxy:
    """Stands before a server; cuts every connection once `left` bytes have come from there, and lets none in then."""

    behind: int
    port: int = 0
    left: float = float("inf")
    passed: int = 0

    @contextmanager
    def open(self) -> Iterator[Proxy]:
        """Listen until the end of the context."""
        with socket.create_server((HOST, 0), backlog=100) as server:
            self.port = int(server.getsockname()[1])
            threading.Thread(target=self._accept, args=(server,), daemon=True).start()
            yield self
            self.left = 0

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                if self.left <= 0:
                    near.close()
                    continue
                far = socket.create_connection((HOST, self.behind))
                for end in (near, far):  # small packets go at once, as without a proxy
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(*ends, far), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if source is far:
                    self.left -= len(data)
                    self.passed += len(data)
                if self.left <= 0:
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
