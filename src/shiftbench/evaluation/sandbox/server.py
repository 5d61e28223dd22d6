"""The sandbox's server: leaves the machine once, then forks into fresh namespaces for each program.

    outer    builds the root folder, becomes nobody, makes the user namespace; waits
    server   first process of a pid namespace; dies with outer, and everything with it
    runner   one per program: makes its namespaces, waits for it, kills it at the wall-clock limit
    program  first process of its own pid namespace, locked in by rlimits, Landlock and seccomp

Runs as a file of its own, with its neighbours and the standard library alone.
"""

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
    from shiftbench.evaluation.sandbox import kernel, messages, running

NOBODY = 65534
WORK = "/box"
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_LONGEST = 500  # characters of a message
_MOST_SAID = 1 << 20  # bytes
_MOST_FILES = 256  # and folders, in a program's own place
_MOST_ENDS = 16  # that are answered
_DEEPEST = 50  # levels of a value
_NO_MEMORY = 99


# ------------------------------------------------------------------ leaving the machine


def leave() -> None:
    """Give this process a root folder, a user, and no network; its children a pid namespace.

    Raises:
        kernel.Lacking: names what is not allowed here.
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
        _own_root()
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
    """Become the user 65534 of a new user namespace, who is the current user outside of it."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_USER | others)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{NOBODY} {user} 1"), ("gid_map", f"{NOBODY} {group} 1")):
        file = os.open(name, os.O_WRONLY, dir_fd=proc)
        os.write(file, text.encode())
        os.close(file)


def _own_root() -> None:
    """Make a root folder that has Python and the system's libraries, read-only, and an empty place to work.

    Nothing is made on the machine: the root is mounted over /proc, which is always there and is not needed below, in
    this mount namespace alone. It ends with its last process, however that ends.
    """
    root = "/proc"
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    mounted: list[Path] = []
    for path in (*_SYSTEM, *_DEVICES, sys.base_prefix, sys.prefix):
        _bind(Path(path), root, mounted)
    Path(root + WORK).mkdir(0o755)
    kernel.read_only(root)  # its owner, where nobody is root, could close or date it for the programs that come
    kernel.enter_root(root)


def _bind(path: Path, root: str, bound: list[Path]) -> None:
    """Mount a file or folder under a new root, with the target of a link."""
    if not path.exists() or any(path.is_relative_to(folder) for folder in bound):
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
    bound.append(path)


# ------------------------------------------------------------------ one program


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one program in fresh namespaces, as the runner; returns the fields of `Outcome`."""
    kernel.unshare(kernel.NEW_NS | kernel.NEW_IPC | kernel.NEW_UTS | kernel.NEW_PID)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    settings = f"size={max(asked['disk'], 4096)},nr_inodes={_MOST_FILES},mode=700"
    kernel.mount("tmpfs", WORK, "tmpfs", flags, settings)
    heard, says = os.pipe()
    proof, output = os.pipe()
    deadline = time.monotonic() + asked["wall"]
    child = os.fork()
    if child == 0:
        _program(asked, says, proof)
    os.close(says)
    os.close(proof)
    talk = _Talk(heard, output)
    reason = _until_gone(child, talk, deadline)
    os.kill(child, signal.SIGKILL)  # with it, the kernel ends all others of its pid namespace
    _, status, usage = os.wait4(child, 0)
    if not talk.locked_in:
        return {"lacking": f"a program could not be locked in: {talk.last.get('unlocked', 'no word')}"}
    if reason:
        return {"status": "timeout", "error": reason}
    return _judged(talk, status, usage.ru_utime + usage.ru_stime, asked["cpu"])


class _Talk:
    """Messages of a program's process; the program may forge all after `locked_in`, which precedes it.

    At its end the process is told a nonce, which it then repeats. It is drawn only then, in the runner: no process that
    runs foreign code was forked from one that knew it. A program that forked may come to its end several times.
    """

    def __init__(self, heard: int, output: int) -> None:
        self.heard, self._output = heard, output
        self.locked_in = False
        self.last: dict[str, Any] = {}
        self.nonce = ""
        self.size = 0
        self._answers = _MOST_ENDS
        self._rest = b""

    def hear(self) -> bool:
        """Read available messages; False: there will be no more."""
        part = os.read(self.heard, 1 << 16)
        self.size += len(part)
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._take(_parsed(line) if line.startswith(b"{") else {})
        return bool(part)

    def _take(self, said: dict[str, Any]) -> None:
        self.last = said
        self.locked_in = self.locked_in or said == {"locked in": True}
        if said == {"end": True} and self._answers:  # few enough to fit into the pipe, whether or not it is read
            self._answers -= 1
            self.nonce = self.nonce or os.urandom(16).hex()
            try:
                os.write(self._output, self.nonce.encode())
            except OSError:  # the program closed its end
                return


def _until_gone(child: int, talk: _Talk, deadline: float) -> str:
    """Listen until a program's process is gone; returns the limit that it passed, or an empty text."""
    child_file, poller = os.pidfd_open(child), select.poll()
    poller.register(child_file, select.POLLIN)
    poller.register(talk.heard, select.POLLIN)
    poller.register(0, 0)  # ready when who asked is gone, killed perhaps: nobody waits for an answer
    while (seconds := deadline - time.monotonic()) > 0:
        ready = {file for file, _ in poller.poll(1000 * seconds)}
        if 0 in ready:
            return "asker"
        if talk.heard in ready:
            if not talk.hear():
                poller.unregister(talk.heard)
            if talk.size > _MOST_SAID:
                return "words"
        elif child_file in ready:
            return ""
    return "wall"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _judged(talk: _Talk, status: int, seconds: float, cpu: int) -> dict[str, Any]:
    # The kernel kills at the limit by its own clock, which is some tenths off; others kill only for memory.
    is_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if is_killed and seconds > cpu / 2:
        return {"status": "timeout", "error": "cpu"}
    if talk.nonce and talk.last.get("nonce") == talk.nonce and status == 0:
        value = talk.last.get("value")
        return {"status": "passed", "value": value if _shallow(value, _DEEPEST) else None}
    if isinstance(talk.last.get("error"), str):
        name, message = (_plain(talk.last.get(key)) for key in ("error", "message"))
        kind = {"MemoryError": "memory", "SystemExit": "exited"}.get(name, "failed")
        return {"status": kind, "error": name, "message": message}
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NO_MEMORY:
        return {"status": "memory", "error": "MemoryError"}
    if os.WIFEXITED(status):
        return {"status": "exited", "error": str(os.WEXITSTATUS(status))}
    return {"status": "crashed", "error": _name(os.WTERMSIG(status))}


def _shallow(value: object, deepest: int) -> bool:
    """Whether a JSON value is nested no deeper than a limit: its reader may have little stack left."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest > 0 and all(_shallow(one, deepest - 1) for one in inner)


def _plain(text: object) -> str:
    """Beginning of a text, as UTF-8 can encode it."""
    return str(text)[:_LONGEST].encode(errors="replace").decode() if isinstance(text, str) else ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of those for real time have none
        return f"signal {number}"


def _program(asked: dict[str, Any], says: int, proof: int) -> None:
    """Lock this process in, run the program, send its result; never returns."""
    try:
        _lock_in(asked, {says, proof})
    except BaseException as error:  # noqa: BLE001 - no program was run, and none will be
        _say(says, {"unlocked": f"{type(error).__name__}: {error}"})
        os._exit(1)
    try:
        _say(says, {"locked in": True})
        result = running.run_code(asked["program"])
        if os.getpid() != 1:  # a copy that the program forked: only the first process says how it ended
            os._exit(0)
        if "error" not in result:
            _say(says, {"end": True})
            result["nonce"] = os.read(proof, 32).decode()
        _say(says, result)
    except MemoryError:
        os._exit(_NO_MEMORY)
    except BaseException:  # noqa: BLE001 - whatever a program does to this process is its failure
        os._exit(1)
    os._exit(0)


def _say(file: int, content: dict[str, Any]) -> None:
    left = json.dumps(content).encode() + b"\n"
    while left:
        left = left[os.write(file, left) :]


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
        resource.RLIMIT_NPROC: asked["processes"] + 3,  # outer, server and runner are of the same user
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
    for name in messages.receive(0)["preload"]:
        importlib.import_module(name)
    base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        leave()
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
