"""Drawn programs against the two things that programs share: the time of who waits, and the sandbox's root folder."""

import random  # noqa: TID251 - of programs, and seeded
import time
from collections.abc import Iterator

import pytest

from makers import attacks
from makers.nobody import nobody
from shiftbench.evaluation.sandbox import Limits, Sandbox

SAYINGS = (
    *(b'{"end": true}\n', b'{"nonce": 1}\n', b'{"locked in": true}\n', b"{\n", b"\n", b"\0", b"[" * 999),
    *(b'{"end": true}', b'{"unlocked": "x"}\n', b'{"error": "E", "message": "m"}\n', b"x" * 4_096),
)
WAITS = ("pass", "time.sleep(0.001)", "time.sleep(0.05)", "os.sched_yield()", "sum(range(999))")
AROUND = (
    "while True:\n    {act}",
    "while True:\n    try:\n        {act}\n    except BaseException: pass",
    "signal.signal(15, lambda *_: None)\nwhile True:\n    {act}",
    "for _ in range(2):\n    if not os.fork(): break\nwhile True:\n    {act}",
    "threading.Thread(target=lambda: time.sleep(99)).start()\nwhile True:\n    {act}",
    "class E:\n    def __del__(self):\n        while True:\n            {act}\ne = E()\ndel e",
    "import atexit\natexit.register(time.sleep, 99)\nwhile True:\n    {act}",
)
HEAD = """import os, signal, sys, threading, time
def say(text):
    for file in range(3, 24):
        try: os.write(file, text)
        except OSError: pass
def tried(act, *arguments, **named):
    try: act(*arguments, **named)
    except (OSError, ValueError, TypeError): pass
"""
PATHS = (
    *("'/'", "'/..'", "'/.'", "'/box'", "'/box/..'", "'/usr'", "'/lib'", "'/dev'", "'/dev/null'"),
    *("'/dev/zero'", "'/dev/urandom'", "'/proc'", "'/tmp'", "'/left'", "os.__file__", "sys.prefix"),
    *("sys.executable", "os.path.dirname(os.__file__)", "'/etc/ld.so.cache'", "'/proc/self/root'"),
)
CALLS = (
    *("os.chmod, {0}, {mode}", "os.utime, {0}, ({number}, 1)", "os.mkdir, {0} + '/left'"),
    *("os.symlink, '/box', {0} + '/left'", "os.rename, {0}, '/left'", "os.rename, 'x', {0} + '/x'"),
    *("os.unlink, {0}", "os.rmdir, {0}", "os.setxattr, {0}, 'user.x', b'1'", "os.truncate, {0}, 0"),
    *("os.chown, {0}, 65534, 65534", "os.chroot, {0}", "os.link, {0}, 'l'", "os.mkfifo, {0} + '/f'"),
    *("os.mknod, {0} + '/n'", "os.statvfs, {0}", "open, {0}, 'a'", "open, {0} + '/left', 'w'"),
    *("os.chmod, os.open({0}, 0), {mode}", "os.utime, os.open({0}, 0), ({number}, 1)"),
    *("os.fchdir, os.open({0}, 0)", "os.chdir, {0}", "os.symlink, {0}, 'here'", "os.open, {0}, 0o20200000 | 2"),
)
LOOK = """import os, sys
names = ['/', '/box', '/usr', '/dev', '/dev/null', os.__file__, sys.prefix]
def kept(name):
    s = os.stat(name)
    return [s.st_mode, s.st_uid, *((s.st_size, int(s.st_mtime)) if name != '/box' else ())]
result = [sorted(os.listdir('/')), os.listdir('.'), [kept(name) for name in names], os.path.realpath('/proc/self')]
"""


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as opened:
        yield opened


def flood(draw: random.Random) -> str:
    said = [f"say({draw.choice(SAYINGS) * draw.choice((1, 1, 9))!r})" for _ in range(draw.randint(1, 3))]
    return HEAD + draw.choice(AROUND).format(act="; ".join([*said, draw.choice(WAITS)]))


def test_time_is_up_whatever_a_program_says(box: Sandbox) -> None:
    for draw in attacks.draws(4, "floods"):
        program, wall = flood(draw), draw.choice((0.2, 0.4))
        begun = time.monotonic()
        outcome = box.run(program, Limits(cpu=5, wall=wall))
        assert time.monotonic() - begun < wall + 20, program  # the machine may be busy
        assert outcome.reason in ("timeout: wall", "timeout: words"), (program, outcome)
        assert box.run("result = 1").value == 1, program


def vandal(draw: random.Random) -> str:
    lines = ["open('x', 'w').close()"]
    for _ in range(draw.randint(3, 12)):
        mode, number = draw.choice(("0", "0o777", "0o7000")), draw.choice((0, 1, 1 << 31))
        call = draw.choice(CALLS).format(draw.choice(PATHS), mode=mode, number=number)
        lines += ["try:", f"    tried({call})", "except OSError: pass", "tried(os.chdir, '/box')"]
    return HEAD + "\n".join(lines)


def test_the_next_program_finds_the_root_as_it_was() -> None:
    """Its owner is who runs the sandbox: nobody, where it is not root."""
    programs = [vandal(draw) for draw in attacks.draws(25, "vandals")]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom shiftbench.evaluation.sandbox import Limits, Sandbox\n"
        f"limits, look = Limits(cpu=20, wall=120), {LOOK!r}\n"
        "with Sandbox() as box:\n    before = box.run(look)\n    assert before.value, before\n"
        f"    for program in {programs!r}:\n        found = box.run(program, limits)\n"
        "        assert found.passed, (program, found)\n"
        "        assert box.run(look) == before, program\n"
        "print(len(before.value))\n"
    )
    done = nobody(code)
    assert (done.stderr, done.stdout) == ("", "4\n")
