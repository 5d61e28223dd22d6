"""Linux system calls of the sandbox: namespaces, mounts, Landlock, seccomp, capabilities.

Only the standard library is used, so that the process that runs foreign code loads nothing else. Source: the manual
pages of unshare(2), pivot_root(2), mount_setattr(2), landlock(7), seccomp(2), capset(2); numbers of `x86_64` and
`aarch64`.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

NEW_USER, NEW_NS, NEW_PID, NEW_NET, NEW_IPC, NEW_UTS = (
    0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000,
)  # fmt: skip
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MNT_DETACH, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 2, -100, 0x8000, 1
_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_SHARED = {"landlock_create": 444, "landlock_add": 445, "landlock_restrict": 446, "mount_setattr": 442}
_CALLS = {"x86_64": {"pivot_root": 155, "capset": 126}, "aarch64": {"pivot_root": 41, "capset": 91}}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435  # its flags lie in memory, where a filter cannot look; the C library falls back to clone
_NEWEST = 451  # calls above are newer than this list; no program here needs them
_X32 = 0x40000000  # the calls of x32 have this bit
_NEW_ANY = 0x7E020000  # flags of clone that make a namespace of any kind
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# socket, ptrace, mount, umount2, pivot_root, unshare, setns, keyctl and its two, bpf, perf_event_open, userfaultfd,
# process_vm_readv and writev, shmget, semget, msgget, mq_open, personality, name_to_handle_at, open_by_handle_at, kcmp,
# fanotify_init; then io_uring, the new mount calls, pidfd_getfd and mount_setattr.
_DENIED = {
    "x86_64": (41, 101, 165, 166, 155, 272, 308, 250, 248, 249, 321, 298, 323, 310, 311, 29, 64, 68, 240, 135,
               303, 304, 312, 300),
    "aarch64": (198, 117, 40, 39, 41, 97, 268, 219, 217, 218, 280, 241, 282, 270, 271, 194, 190, 186, 180, 92,
                264, 265, 272, 262),
}  # fmt: skip
_DENIED_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)
_LIBC = ctypes.CDLL(None, use_errno=True)

FILES_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
FILES_WRITE = 1 << 1 | 1 << 2
_FILES_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_FILES_MOST, _NET_ALL, _SCOPES = (1 << 15) - 1, 3, 3


class Lacking(Exception):
    """The kernel or the user's rights do not allow the sandbox; the message says what is missing."""


def machine() -> str:
    """Name of the processor in the tables of this module.

    Raises:
        Lacking: it is neither x86_64 nor aarch64.
    """
    name = platform.machine()
    if name not in _CALLS:
        raise Lacking(f"the sandbox knows x86_64 and aarch64, not {name}")
    return name


def call(name: str, *arguments: object) -> int:
    """Make a system call that the C library does not wrap.

    Raises:
        OSError: with the kernel's number.
    """
    number = _SHARED.get(name) or _CALLS[machine()][name]
    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(name, _LIBC.syscall(ctypes.c_long(number), *words))


def _checked(name: str, status: int) -> int:
    if status < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return status


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; OSError where it is not allowed."""
    _checked("unshare", _LIBC.unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount, or bind, or change how mounts spread; OSError where it is not allowed."""
    words = [text.encode() for text in (source, target, kind, data)]
    result = _LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])
    _checked(f"mount {target}", result)


def read_only(target: str) -> None:
    """Make a mount, and all below it, read-only, without set-user-id programs."""
    settings = ctypes.create_string_buffer(struct.pack("<QQQQ", _READ_ONLY | MS_NOSUID, 0, 0, 0))
    call("mount_setattr", _AT_FDCWD, target.encode(), _AT_RECURSIVE, settings, 32)


def enter_root(folder: str) -> None:
    """Make a mounted folder the root of this mount namespace; the former root is gone."""
    os.chdir(folder)
    call("pivot_root", b".", b".")
    _checked("umount2", _LIBC.umount2(b".", _MNT_DETACH))
    os.chdir("/")


def die_with_parent() -> None:
    """Request SIGKILL when the parent ends."""
    _checked("prctl", _LIBC.prctl(_DEATH_SIGNAL, 9, 0, 0, 0))


def own_proc_files() -> None:
    """Own /proc/self again after a change of user, so that the maps of a user namespace can be written."""
    _checked("prctl", _LIBC.prctl(_DUMPABLE, 1, 0, 0, 0))


def no_new_privileges() -> None:
    """Never gain a privilege by starting a program; Landlock and seccomp require it."""
    _checked("prctl", _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))


def drop_capabilities() -> None:
    """Give up every capability."""
    header = ctypes.create_string_buffer(struct.pack("<II", 0x20080522, 0))
    call("capset", header, ctypes.create_string_buffer(24))


def landlock_version() -> int:
    """Version of Landlock.

    Raises:
        Lacking: the kernel has none.
    """
    try:
        return call("landlock_create", 0, 0, 1)
    except OSError as error:
        raise Lacking(f"the kernel has no Landlock (5.13 and later, `lsm=landlock`): {error}") from None


def landlock(readable: Iterable[str], devices: Iterable[str], writable: Iterable[str]) -> None:
    """Allow reading below some folders, reading and writing some files, everything below others; nothing else.

    TCP, abstract sockets and signals beyond the sandbox are forbidden where the kernel's Landlock knows them.
    """
    version = landlock_version()
    all_rights = _FILES_ALL.get(version, _FILES_MOST | (1 << 15 if version >= 5 else 0))
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = struct.pack("<QQQ", all_rights, _NET_ALL if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    ruleset = call("landlock_create", ctypes.create_string_buffer(rules), size, 0)
    rights = [(path, FILES_READ) for path in readable]
    rights += [(path, FILES_WRITE) for path in devices]
    rights += [(path, all_rights) for path in writable]
    for path, access in rights:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, descriptor))
        call("landlock_add", ruleset, 1, rule, 0)
        os.close(descriptor)
    call("landlock_restrict", ruleset, 0)
    os.close(ruleset)


def seccomp() -> None:
    """Answer system calls that no program here needs with EPERM: sockets, tracing, mounts, new namespaces, ..."""
    code = b"".join(struct.pack("<HBBI", *line) for line in seccomp_filter(machine()))
    code_buffer = ctypes.create_string_buffer(code)
    program_header = ctypes.create_string_buffer(
        struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(code_buffer))
    )
    _checked("seccomp", _LIBC.prctl(_SECCOMP, 2, ctypes.byref(program_header), 0, 0))


def seccomp_filter(name: str) -> list[tuple[int, int, int, int]]:
    """Filter of a processor's system calls, in classic BPF: (code, jump if, jump else, value) each."""
    load, equal, above, any_of, give = 0x20, 0x15, 0x35, 0x45, 0x06
    number, processor, flags = 0, 4, 16  # offsets in the data that a filter reads
    denied = (*_DENIED[name], *_DENIED_EVERYWHERE)
    labelled: list[tuple[int, int, str, str]] = [
        (load, processor, "", ""),
        (equal, _AUDIT[name], "", "kill"),
        (load, number, "", ""),
        (above, _X32, "deny", ""),
        (above, _NEWEST + 1, "unknown", ""),
        (equal, _CLONE3, "unknown", ""),
        *((equal, call, "deny", "") for call in denied),
        (equal, _CLONE[name], "", "allow"),
        (load, flags, "", ""),
        (any_of, _NEW_ANY, "deny", "allow"),
    ]
    ends = {"kill": 0x80000000, "allow": 0x7FFF0000, "deny": 0x00050000 | 1, "unknown": 0x00050000 | 38}
    place = {label: len(labelled) + at for at, label in enumerate(ends)}

    def jump(label: str, at: int) -> int:
        return place[label] - at - 1 if label else 0

    program = [
        (code, jump(then, at), jump(otherwise, at), value) for at, (code, value, then, otherwise) in enumerate(labelled)
    ]
    return [*program, *((give, 0, 0, value) for value in ends.values())]
