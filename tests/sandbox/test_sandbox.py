"""Foreign code is held in: hostile programs, as root and as nobody; the machine is unharmed afterwards."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from makers.nobody import SOURCE, nobody
from shiftbench.base.errors import SandboxError
from shiftbench.evaluation import sandbox
from shiftbench.evaluation.sandbox import Limits, Outcome, Sandbox, kernel, server
from shiftbench.workflow.tools import doctor

FORGED = """import os
for file in range(3, 40):
    try:
        os.write(file, b'{"nonce": 1, "value": 2}\\n')
    except OSError:
        pass
os._exit(0)
"""
HOSTILE = {
    "endless loop": ("while True: pass", "timeout: cpu"),
    "endless wait": ("import time; time.sleep(99)", "timeout: wall"),
    "much memory": ("x = bytearray(10**11)", "memory: MemoryError"),
    "memory in steps": ("x = []\nwhile True: x.append(bytearray(1 << 20))", "memory: MemoryError"),
    "fork bomb": ("import os\nwhile True: os.fork()", "failed: BlockingIOError"),
    "many threads": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
        "failed: RuntimeError",
    ),
    "many files": ("import os\nwhile True: os.dup(1)", "failed: OSError"),
    "writing outside": ("open('/x', 'w')", "failed: OSError"),
    "writing to Python": ("import os; open(os.__file__, 'a')", "failed: PermissionError"),
    "reading outside": ("open('/etc/passwd')", "failed: FileNotFoundError"),
    "reading processes": ("import os; os.listdir('/proc')", "failed: FileNotFoundError"),
    "full disk": ("for i in range(99): open(str(i), 'wb').write(bytes(10**6))", "failed: OSError"),
    "large file": ("open('x', 'wb').write(bytes(10**8))", "failed: OSError"),
    "socket": ("import socket; socket.socket()", "failed: PermissionError"),
    "new namespace": ("import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0", "failed: AssertionError"),
    "other user": ("import os; os.setuid(0)", "failed: OSError"),
    "exit 0": ("import sys; print('passed'); sys.exit(0)", "exited: SystemExit"),
    "hard exit 0": ("import os; print('ok'); os._exit(0)", "exited: 0"),
    "exit 1": ("import os; os._exit(1)", "exited: 1"),
    "crash": ("import ctypes; ctypes.string_at(0)", "crashed: SIGSEGV"),
    "reading input": ("input()", "failed: EOFError"),
    "no syntax": ("def f(:", "failed: SyntaxError"),
    "deep recursion": ("f = lambda: f()\nf()", "failed: RecursionError"),
    "an error that fails": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "failed: E"),
    "forged proof": (FORGED, "exited: 0"),
}
SAYING = "import os\ndef say(text):\n  for f in range(3, 40):\n    try: os.write(f, text)\n    except OSError: pass\n"
KERNEL = """import ctypes, os
libc, x86 = ctypes.CDLL(None, use_errno=True), os.uname().machine == 'x86_64'
def refused(error, *call):
    found = libc.syscall(*map(ctypes.c_long, call))
    assert (found, ctypes.get_errno()) == (-1, error), (call, found, ctypes.get_errno())
"""
POISON = {
    "closing the root": ("import os; os.chmod('/', 0)", "failed: OSError"),
    "dating the root": ("import os; os.utime('/', (1, 1))", "failed: OSError"),
    "dating Python": ("import os; os.utime(os.__file__, (1, 1))", "failed: OSError"),
    "dating a device": ("import os; os.utime('/dev/null', (1, 1))", "failed: OSError"),
    "naming the root": ("import os; os.setxattr('/', 'user.x', b'1')", "failed: OSError"),
    "closing its place": ("import os; os.chmod('/box', 0)", "passed"),
    "a folder in the root": ("import os; os.mkdir('/left')", "failed: OSError"),
    "a link in the root": ("import os; os.symlink('/box', '/left')", "failed: OSError"),
    "many empty files": ("for i in range(999): open(str(i), 'w').close()", "failed: OSError"),
    "a device of its own": ("import os; os.mknod('x', 0o020600, 259)", "failed: PermissionError"),
    "ends without end": (SAYING + "for _ in range(9999): say(b'{\"end\": true}\\n')\nwhile True: pass", "timeout: cpu"),
    "ends, then sleep": (
        SAYING + "import time\nfor _ in range(999): say(b'{\"end\": true}\\n')\ntime.sleep(99)",
        "timeout: wall",
    ),
    "words without end": (SAYING + "while True: say(b'x\\n' * 999)", "timeout: words"),
    "one endless word": (SAYING + "while True: say(b'x' * 999)", "timeout: words"),
    "deep words": (SAYING + "say(b'[' * 99999 + b'\\n'); os._exit(0)", "exited: 0"),
    "a deep proof": (SAYING + "say(b'{\"nonce\": ' + b'[' * 900 + b']' * 900 + b'}\\n'); os._exit(0)", "exited: 0"),
    "an error that is none": (SAYING + "say(b'{\"error\": [[1]], \"message\": {}}\\n'); os._exit(0)", "exited: 0"),
    "locked in again": (SAYING + "say(b'{\"locked in\": true}\\n'); os._exit(3)", "exited: 3"),
    "not locked in": (SAYING + "say(b'{\"unlocked\": \"x\"}\\n'); os._exit(3)", "exited: 3"),
    "deaf at its end": (SAYING + "say(b'{\"end\": true}\\n'); os.closerange(3, 64); os._exit(0)", "exited: 0"),
    "mute at its end": ("import os; os.closerange(3, 64)", "exited: 1"),
    "an end that is replaced": ("import json; json.dumps = lambda *_: 1 / 0", "exited: 1"),
    "a name that cannot be written": (SAYING + "say(b'{\"error\": \"\\\\ud800\"}\\n'); os._exit(0)", "failed: ?"),
    "text that cannot be written": ("x = '\ud800'", "failed: UnicodeEncodeError"),
    "two ends": ("import os; os.fork()", "passed"),
    "an end that forks on": ("import os\nif os.fork(): os._exit(0)\nwhile True: pass", "exited: 0"),
    "a stopped child": ("import os, signal\nif not os.fork(): os.kill(os.getpid(), 19)\nos.wait()", "timeout: wall"),
    "a signal without a name": ("import os; os.kill(1, 40); os.kill(1, 9); os.kill(1, 19)", "passed"),
    "higher limits": ("import resource as r; r.setrlimit(r.RLIMIT_CPU, (99, 99))", "failed: ValueError"),
    "higher priority": ("import os; os.nice(-1)", "failed: PermissionError"),
    "shared memory": ("import mmap; mmap.mmap(-1, 10**11)", "failed: OSError"),
    "a namespace by clone": (
        KERNEL + "for bit in (17, *range(25, 31)): refused(1, 56 if x86 else 220, 1 << bit | 17, 0, 0, 0, 0)",
        "passed",
    ),
    "a namespace by clone3": (KERNEL + "refused(38, 435, 0, 0)", "passed"),
    "a namespace by unshare": (
        KERNEL + "for bit in (7, 17, *range(25, 31)): refused(1, 272 if x86 else 97, 1 << bit)",
        "passed",
    ),
    "calls of x32": (
        KERNEL + "if x86:\n  for call in (0, 1, 39, 56, 512): refused(1, 0x40000000 + call, 0, 0, 0)",
        "passed",
    ),
    "calls of tomorrow": (KERNEL + "for call in (452, 463, 467, 470, 999): refused(38, call, 0, 0, 0, 0, 0)", "passed"),
    "other mounts": (KERNEL + "for call in (*range(428, 434), 442): refused(1, call, 0, 0, 0, 0, 0)", "passed"),
    "looking for proof in frames": (
        "import sys\nf = sys._getframe()\nwhile f: assert 'nonce' not in f.f_locals.get('asked', ''); f = f.f_back",
        "passed",
    ),
    "looking for proof in memory": (
        "import gc\nassert not [x for x in gc.get_objects() if type(x) is dict and type(x.get('nonce')) is str]",
        "passed",
    ),
}  # fmt: skip
LIMITS = Limits(cpu=20, wall=120.0)  # on a machine that may be busy
ENDLESS = {"timeout: cpu": Limits(cpu=1, wall=120.0), "timeout: wall": Limits(wall=0.5)}


@pytest.fixture(scope="module")
def box():
    with Sandbox() as opened:
        yield opened


@pytest.mark.parametrize("name", HOSTILE | POISON)
def test_hostile_programs_end(box, name):
    program, reason = (HOSTILE | POISON)[name]
    assert box.run(program, ENDLESS.get(reason, LIMITS)).reason == reason
    assert box.run("result = 1").value == 1  # the server is unharmed


def test_a_value_that_is_deep_or_large_is_left_out(box):
    deep = "result = []\nfor _ in range({}): result = [result]"
    assert box.run(deep.format(20)).value is not None
    for program in (deep.format(90), deep.format(900), "result = 'x' * 600_000"):
        assert box.run(program) == Outcome("passed")


def test_what_cannot_be_locked_in_is_no_verdict(box):
    """Three files are too few to lock a process in: no program was run, and none has failed."""
    with pytest.raises(SandboxError, match="could not be locked in: OSError: .*Too many open files"):
        box.run("x = 1", Limits(files=3))
    assert box.run("result = 1").value == 1


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_the_filter_of_system_calls_answers_as_it_says(processor):
    """Run as the kernel runs it, for every call and every flag of clone."""
    program = kernel.seccomp_filter(processor)

    def answer(call, flags=0, arch=kernel._AUDIT[processor]):
        shown, at = {0: call, 4: arch, 16: flags}, 0
        while True:
            code, then, otherwise, value = program[at]
            assert 0 <= then < 256
            at += 1
            if code == 0x06:
                return value
            if code == 0x20:
                held = shown[value]
            else:
                true = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
                at += then if true else otherwise

    deny, allow, unknown, kill = 0x50001, 0x7FFF0000, 0x50026, 0x80000000
    denied = {*kernel._DENIED[processor], *kernel._DENIED_EVERYWHERE}
    for call in range(600):
        young = call == kernel._CLONE3 or call > kernel._NEWEST
        assert answer(call) == (unknown if young else deny if call in denied else allow), call
        assert answer(0x40000000 + call) == deny
    for bit in range(32):
        new = bit == 17 or 25 <= bit <= 30
        assert answer(kernel._CLONE[processor], 1 << bit | 17) == (deny if new else allow), bit
    assert answer(39, arch=0x40000003) == kill  # the calls of 32 bits


def test_a_file_of_the_machine_is_out_of_reach(box, tmp_path):
    file = tmp_path / "ours.txt"
    file.write_text("ours")
    for program in (f"open({str(file)!r})", f"open({str(file)!r}, 'w')"):
        assert box.run(program, LIMITS).reason == "failed: FileNotFoundError"
    assert file.read_text() == "ours"


def test_a_program_passes_when_it_comes_to_its_end(box):
    assert box.run("x = 1") == Outcome("passed")
    assert box.run("result = {'a': [1, 2.5, None, True]}").value == {"a": [1, 2.5, None, True]}
    assert box.run("result = object()") == Outcome("passed")
    assert box.run("assert 1 == 2, 'no'") == Outcome("failed", "AssertionError", "no")
    assert sandbox.run("result = 6 * 7").value == 42


def test_a_program_sees_nothing_of_its_surroundings(box):
    os.environ["SHIFTBENCH_SECRET"] = "s"
    try:
        seen = box.run("import os\nresult = [os.getuid(), os.getpid(), sorted(os.environ), os.listdir('.'), __name__]")
    finally:
        del os.environ["SHIFTBENCH_SECRET"]
    assert seen.value == [65534, 1, ["HOME", "TMPDIR"], [], "__main__"]
    assert "SECRET" not in str(box.run("import os; result = dict(os.environ)").value)


def test_programs_are_alike_and_leave_nothing(box):
    """Random numbers and hashes are the same each time; files, shared memory and processes are gone."""
    program = "import random, os\nresult = [random.random(), hash('a'), os.listdir('.')]\nopen('left', 'w')"
    assert box.run(program) == box.run(program)
    daemon = """import os, time
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(0.01)
"""
    assert box.run(daemon).passed
    deadline = time.monotonic() + 60
    while len(family(box._process.pid)) > 2 and time.monotonic() < deadline:
        time.sleep(0.02)  # the runner, which has answered, is about to go
    assert len(family(box._process.pid)) == 2  # outer and server


def family(pid):
    """Return a process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_the_parent_cannot_be_killed(box):
    """There is no parent to be seen: 0 is the program's own group, and it is the first process of its namespace."""
    assert box.run("import os; result = os.getppid()").value == 0
    program = "import os, signal\nfor pid in (0, 1, -1, 2, 3):\n  try: os.kill(pid, 9)\n  except OSError: pass"
    assert box.run(program).passed
    assert box.run("result = 1").value == 1


def test_modules_may_be_loaded_before():
    with Sandbox(preload=["decimal"]) as opened:
        assert opened.run("import sys; result = 'decimal' in sys.modules").value is True


def opened(program, tmp_path):
    """Start a Python that opens a sandbox and runs a program; return it, the outer process, and all below that."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom shiftbench.evaluation.sandbox import Limits, Sandbox\n"
        f"box = Sandbox()\nprint(box._process.pid, flush=True)\nbox.run({program!r}, Limits(cpu=99, wall=120))"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(SOURCE)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    outer = int(owner.stdout.readline())
    deadline = time.monotonic() + 60
    while len(family(outer)) < 4 and "sleep" in program and time.monotonic() < deadline:
        time.sleep(0.02)
    return owner, outer, family(outer)


def gone(processes):
    """Wait until processes are gone; False where they stay."""
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("killed", ["owner", "outer", "nobody"])
def test_nothing_stays_behind(box, killed, tmp_path):
    """No file, cgroup or process, whoever is killed without a word, and where nobody closes; a living one stays."""
    program = "x = 1" if killed == "nobody" else "import time; time.sleep(99)"
    owner, outer, started = opened(program, tmp_path)
    groups = {Path(f"/proc/{pid}/cgroup").read_text() for pid in started if killed != "nobody"}
    if killed != "nobody":
        os.kill(owner.pid if killed == "owner" else outer, 9)
    owner.communicate()
    assert gone(started)
    assert list(tmp_path.iterdir()) == []
    assert groups <= {Path("/proc/self/cgroup").read_text()}
    assert box.run("result = 1").value == 1


def test_a_sandbox_that_is_closed_is_gone():
    with Sandbox() as one:
        one.run("x = 1")
        started = family(one._process.pid)
    assert one._process.poll() is not None
    assert gone(started)


def test_without_privileges_the_same_holds():
    programs = [one for one in (HOSTILE | POISON).values() if one[1] != "timeout: wall"]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom shiftbench.evaluation.sandbox import Limits, Sandbox\n"
        "with Sandbox() as box:\n"
        f"    for program, reason in {programs!r}:\n"
        "        limits = Limits(cpu=1 if reason == 'timeout: cpu' else 20, wall=120)\n"
        "        found = box.run(program, limits).reason\n"
        "        assert found == reason, (program, found)\n"
        "        assert box.run('import os; result = os.listdir()').value == [], program\n"
        "    print(box.run('import os; result = os.getuid()').value)\n"
    )
    done = nobody(code)
    assert (done.stderr, done.stdout) == ("", "65534\n")


def test_without_namespaces_nothing_is_run():
    """In a user namespace in which no further one may be made."""
    shell = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    code = "import sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from shiftbench.evaluation.sandbox import missing_support; print(missing_support())"
    done = nobody(code, "unshare", "-Ur", "sh", "-c", shell, "sh")
    assert done.stdout.startswith("generated code is not run here: the kernel refuses namespaces")
    assert "max_user_namespaces" in done.stdout


def test_without_landlock_nothing_is_run(monkeypatch):
    def missing(name, *_):
        raise OSError(38, f"{name}: Function not implemented")

    monkeypatch.setattr(kernel, "call", missing)
    with pytest.raises(kernel.Lacking, match="no Landlock"):
        server.leave()
    monkeypatch.setattr(kernel.platform, "machine", lambda: "riscv64")
    with pytest.raises(kernel.Lacking, match="x86_64 and aarch64, not riscv64"):
        kernel.machine()


def test_a_refusal_is_an_error_that_doctor_tells(monkeypatch):
    monkeypatch.setattr(sandbox.messages, "receive", lambda _: {"lacking": "no Landlock"})
    with pytest.raises(SandboxError, match="not run here: no Landlock; `shiftbench doctor`"):
        Sandbox()
    why = sandbox.missing_support()
    healthy = {"modules": {"dvc": "", "snakemake": ""}, "disk": {"free_gb": 1, "wanted_gb": 0}}
    found = healthy | {"remotes": [], "originals": [], "lock": [], "locks": [], "sandbox": why}
    assert doctor.problems(found) == [f"systems that run generated code will not run: {why}"]


def test_a_server_that_ends_is_no_verdict():
    with Sandbox() as opened:
        opened._process.kill()
        opened._process.wait()  # what it started is told when it is gone
        with pytest.raises(SandboxError, match="server ended"):
            opened.run("x = 1")


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(SandboxError, match="No module named 'nowhere'"):
        Sandbox(preload=["nowhere"])
