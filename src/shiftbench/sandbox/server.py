"""The sandbox's server: leaves the machine once, then forks into fresh namespaces for each program.

    outer    builds the root folder, becomes nobody, makes the user namespace; waits
    server   first process of a pid namespace; dies with outer, and everything with it
    runner   one per program: makes its namespaces, waits for it, kills it at the wall-clock limit
    program  first process of its own pid namespace, locked in by rlimits, Landlock and seccomp

Runs as a file of its own, with its neighbours and the standard library alone.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started as a file: its neighbours are found beside it
    sys.path.insert(0, str(Path(__file__).parent))
    kernel, messages, running = map(importlib.import_module, ("kernel", "messages", "running"))
    del sys.path[0]
else:
    from shiftbench.sandbox import kernel, messages, running

NOBODY = 65534
PIDS_MAX = 64
WORK = "/box"
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_LONGEST = 500  # characters of a message
_MOST_SAID = 1 << 20  # bytes
_NO_MEMORY = 99


# ------------------------------------------------------------------ leaving the machine


def leave(root: str) -> None:
    """Give this process a root folder, a user, and no network; its children a pid namespace.

    Raises:
        kernel.Lacking: says what is not allowed here.
    """
    kernel.landlock_version()
    others = kernel.NEW_NS | kernel.NEW_NET | kernel.NEW_IPC | kernel.NEW_UTS
    privileged = os.geteuid() == 0
    proc = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)  # the new root folder has no /proc
    try:
        if privileged:
            kernel.unshare(others)  # root may read Python where nobody may not
        else:
            _own_user(others, proc)
        _own_root(root)
        if privileged:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            kernel.own_proc_files()
            _own_user(kernel.NEW_NS, proc)
        kernel.unshare(kernel.NEW_PID)
    except OSError as error:
        raise kernel.Lacking(
            f"the kernel refuses namespaces ({error}); unprivileged user namespaces may be off, "
            "see /proc/sys/user/max_user_namespaces"
        ) from None
    os.close(proc)


def _own_user(others: int, proc: int) -> None:
    """Become the user 65534 of a new user namespace, who is outside whoever we are."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_USER | others)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        file = os.open(name, os.O_WRONLY, dir_fd=proc)
        os.write(file, text.encode())
        os.close(file)


def _own_root(root: str) -> None:
    """Make a root folder that has Python and the system's libraries, read-only, and an empty place to work."""
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    bound: list[Path] = []
    for path in (*_SYSTEM, *_DEVICES, sys.base_prefix, sys.prefix):
        _bind(Path(path), root, bound)
    Path(root + WORK).mkdir(0o755)
    kernel.enter_root(root)


def _bind(path: Path, root: str, bound: list[Path]) -> None:
    """Show a file or folder under a new root, with where it leads if it is a link."""
    if not path.exists() or any(path.is_relative_to(one) for one in bound):
        return
    target = Path(f"{root}{path}")
    target.parent.mkdir(0o755, parents=True, exist_ok=True)
    if path.is_symlink():
        target.symlink_to(path.readlink())
        _bind(path.resolve(), root, bound)
        return
    if path.is_dir():
        target.mkdir(0o755, exist_ok=True)
    else:
        target.touch()
    kernel.mount(str(path), str(target), flags=kernel.MS_BIND | kernel.MS_REC)
    if str(path) not in _DEVICES:
        kernel.read_only(str(target))
    bound.append(path)


# ------------------------------------------------------------------ one program


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one program in fresh namespaces; the runner's part. Returns what `Outcome` holds."""
    kernel.unshare(kernel.NEW_NS | kernel.NEW_IPC | kernel.NEW_UTS | kernel.NEW_PID)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", WORK, "tmpfs", flags, f"size={max(asked['disk'], 4096)},mode=700")
    heard, says = os.pipe()
    proof, told = os.pipe()
    deadline = time.monotonic() + asked["wall"]
    child = os.fork()
    if child == 0:
        _program(asked, says, proof)
    os.close(says)
    os.close(proof)
    last, over = _listen(heard, told, asked["nonce"], deadline)
    os.kill(child, signal.SIGKILL)  # with it, the kernel ends all others of its pid namespace
    _, status, used = os.wait4(child, 0)
    if over:
        return {"status": "timeout", "error": "wall"}
    return _judged(last, status, used.ru_utime + used.ru_stime, asked)


def _listen(heard: int, told: int, nonce: str, deadline: float) -> tuple[dict[str, Any], bool]:
    """Return the last thing that a program said before it was gone, and whether time ran out.

    At its end the program is told the nonce, which it then repeats.
    """
    last: dict[str, Any] = {}
    buffer = b""
    while True:
        ready, _, _ = select.select([heard], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return last, True
        part = os.read(heard, 1 << 16)
        if not part or len(buffer) > _MOST_SAID:
            return last, False
        *lines, buffer = (buffer + part).split(b"\n")
        for line in lines:
            last = _parsed(line)
            if last == {"end": True}:
                os.write(told, nonce.encode())


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _judged(
    last: dict[str, Any], status: int, seconds: float, asked: dict[str, Any]
) -> dict[str, Any]:
    # The kernel kills at the limit by its own clock, which is some tenths off; others kill only for memory.
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if killed and seconds > asked["cpu"] / 2:
        return {"status": "timeout", "error": "cpu"}
    if last.get("nonce") == asked["nonce"] and status == 0:
        return {"status": "passed", "value": last.get("value")}
    if "error" in last:
        name, message = str(last["error"])[:_LONGEST], str(last.get("message", ""))[:_LONGEST]
        kind = {"MemoryError": "memory", "SystemExit": "exited"}.get(name, "failed")
        return {"status": kind, "error": name, "message": message}
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NO_MEMORY:
        return {"status": "memory", "error": "MemoryError"}
    if os.WIFEXITED(status):
        return {"status": "exited", "error": str(os.WEXITSTATUS(status))}
    return {"status": "crashed", "error": signal.Signals(os.WTERMSIG(status)).name}


def _program(asked: dict[str, Any], says: int, proof: int) -> None:
    """Lock this process in, run the program, say what became of it; never returns."""
    try:
        _lock_in(asked, {says, proof})
        said = running.run_code(asked["program"])
        if "error" not in said:
            _say(says, {"end": True})
            said["nonce"] = os.read(proof, 64).decode()
        _say(says, said)
    except MemoryError:
        os._exit(_NO_MEMORY)
    except BaseException as error:  # noqa: BLE001 - whatever a program does to this process is its failure
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def _say(file: int, content: dict[str, Any]) -> None:
    os.write(file, json.dumps(content).encode() + b"\n")


def _lock_in(asked: dict[str, Any], kept: set[int]) -> None:
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for file in range(3):
        os.dup2(null, file)
    for file in set(range(3, 64)) - kept:
        try:
            os.close(file)
        except OSError:
            continue
    os.chdir(WORK)
    os.environ.clear()
    os.environ.update({"HOME": WORK, "TMPDIR": WORK})
    limits = {
        resource.RLIMIT_CPU: asked["cpu"],
        resource.RLIMIT_AS: asked["memory"] + asked["base"],
        resource.RLIMIT_FSIZE: asked["disk"],
        resource.RLIMIT_NPROC: asked["processes"]
        + 3,  # outer, server and runner are of the same user
        resource.RLIMIT_NOFILE: asked["files"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    kernel.no_new_privileges()
    kernel.landlock(["/"], _DEVICES, [WORK])
    kernel.drop_capabilities()
    kernel.seccomp()


# ------------------------------------------------------------------ the server


def serve() -> None:
    """Serve programs until the other side is gone."""
    settings = messages.receive(0)
    if settings["group"]:
        Path(settings["group"], "cgroup.procs").write_text(str(os.getpid()))
    for name in settings["preload"]:
        importlib.import_module(name)
    base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        leave(settings["root"])
    except kernel.Lacking as error:
        messages.send(1, {"lacking": str(error)})
        return
    gc.freeze()
    child = os.fork()
    if child:
        os.close(0)
        os.close(1)
        os.waitpid(child, 0)
        return
    kernel.die_with_parent()
    messages.send(1, {"ready": True})
    while True:
        try:
            asked = messages.receive(0)
        except EOFError:
            return
        _serve_one({**asked, "base": base})


def _serve_one(asked: dict[str, Any]) -> None:
    runner = os.fork()
    if runner == 0:
        messages.send(1, run(asked))
        os._exit(0)
    _, status = os.waitpid(runner, 0)
    if status:
        raise RuntimeError(f"a runner ended with status {status}")


if __name__ == "__main__":
    serve()
