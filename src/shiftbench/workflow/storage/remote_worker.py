"""The process that talks to one remote, so that its caller can end it if the remote no longer answers.

The request is JSON on standard input. Answers are JSON lines on standard output, the first one when the remote answers.
The process has no terminal, so nothing can ask for a password. `remotes` starts it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from fsspec import Callback

from shiftbench.base import files
from shiftbench.base.errors import ChecksumError, DataError
from shiftbench.workflow.storage import dvc_config, dvc_lock, dvc_store
from shiftbench.workflow.storage.dvc_lock import Output
from shiftbench.workflow.storage.dvc_store import Store

WORKERS = 8
GIVE_UP = 3  # connections that broke one after another
TRIES = {"ssh": 2, "http": 2, "https": 2}  # other clients retry themselves
BEAT = 5.0  # seconds between two signs of life
FULL = (errno.ENOSPC, errno.EDQUOT)

Answer = dict[str, Any]
Objects = dict[str, str]  # object -> the first file with its content
Limits = dict[str, int | None]  # object -> its most bytes, if dvc.lock states a size


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.read())
    sys.stdout.write("{}\n")  # the imports are done: the remote's time begins
    sys.stdout.flush()
    with dvc_store.quiet():
        try:
            for answer in _answers(request):
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
        except DataError as error:
            key = "error" if isinstance(error, ChecksumError) else "fatal"
            sys.stdout.write(json.dumps({key: str(error)}) + "\n")
        except Exception as error:  # noqa: BLE001 - clients raise any error; the caller reports it
            sys.stdout.write(json.dumps({"error": _refusal(dvc_store.error_text(error))}) + "\n")


def _refusal(text: str) -> str:
    """Add the place of credentials to an error about them."""
    if not re.search(r"denied|forbidden|unauthorized|credential|password", text, re.IGNORECASE):
        return text
    return f"{text}; a key or password belongs in .dvc/config.local: `dvc remote modify --local`"


def _answers(request: Answer) -> Iterator[Answer]:
    home = Path(request["home"])
    start = time.monotonic()
    store = Store(home, request["remote"])
    store.answer()
    yield {"alive": round(time.monotonic() - start, 2), "read_only": store.read_only}
    if request["verb"] == "look":
        yield _look(home, store)
    elif request["verb"] == "bring":
        yield from _bring(home, store, request["targets"])


# --- look: the recorded objects on a remote ---------------------------------------------------------


def _look(home: Path, store: Store) -> Answer:
    """The number of recorded objects on the remote, the missing ones, and those of another size."""
    cache = dvc_config.cache_of(home)
    missing: list[str] = []
    wrong: list[str] = []
    total = 0
    for output in dvc_lock.outputs(home):
        try:
            objects = output.files(store.listing(output, cache))
        except FileNotFoundError:
            missing.append(_listing_of(output))
            total += 1
            continue
        except ChecksumError as error:
            wrong.append(f"{output.path}: its listing: {error}")
            total += 1
            continue
        oids = sorted({*objects.values(), output.oid})
        sizes, total = store.sizes(oids), total + len(oids)
        names = {oid: path for path, oid in objects.items()} | {output.oid: f"{output.path}: its listing"}
        missing += [f"{names[oid]}: {_object(oid)}" for oid in oids if sizes[oid] is None]
        wrong += _contradictions(output, objects, sizes, cache)
    present = total - len(missing) - len(wrong)
    return {"objects": total, "there": present, "missing": missing, "wrong": wrong}


def _listing_of(output: Output) -> str:
    return f"{output.path}: its listing: {_object(output.oid)}"


def _contradictions(output: Output, objects: Objects, sizes: dict[str, int | None], cache: Path) -> list[str]:
    """Objects with another size than in the cache; or an output with another total size than in dvc.lock."""
    faults = []
    for path, oid in objects.items():
        size, cached = sizes[oid], cache / dvc_lock.place(oid)
        if size is not None and cached.is_file() and cached.stat().st_size != size:
            faults.append(f"{path}: {_object(oid)} has {size} bytes, not {cached.stat().st_size}")
    known_sizes = [size for oid in objects.values() if (size := sizes[oid]) is not None]
    if faults or output.size is None or len(known_sizes) < len(objects) or sum(known_sizes) == output.size:
        return faults
    return [f"{output.path}: its objects have {sum(known_sizes)} bytes, dvc.lock says {output.size}"]


# --- bring: objects into the cache -----------------------------------------------------------------


def _bring(home: Path, store: Store, targets: list[str]) -> Iterator[Answer]:
    """Download the objects at or below the targets; each is checked before it gets its name."""
    cache = dvc_config.cache_of(home)
    objects_to_bring: Objects = {}
    limits: Limits = {}
    for output in dvc_lock.outputs(home):
        if output.meets(targets):
            objects = output.files(_kept_listing(store, output, cache))
            requested = {o: p for p, o in objects.items() if any(dvc_lock.lies_at(p, t) for t in targets)}
            objects_to_bring |= requested
            limits |= dict.fromkeys(requested, output.size)
    missing = {o: path for o, path in objects_to_bring.items() if not (cache / dvc_lock.place(o)).is_file()}
    yield {"wanted": len(objects_to_bring), "lacking": len(missing)}
    count = _Count()
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            jobs = {
                pool.submit(_bring_one, store, oid, limits[oid], cache, count): path for oid, path in missing.items()
            }
            yield from _finished(jobs, count)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _finished(jobs: dict[Future[None], str], count: _Count) -> Iterator[Answer]:
    """Yield the result of each object, and the bytes so far during a large download."""
    pending, broken, reported = set(jobs), 0, 0
    while pending:
        finished, pending = wait(pending, timeout=BEAT, return_when=FIRST_COMPLETED)
        if not finished and count.bytes > reported:
            reported = count.bytes
            yield {"bytes": reported}
        for job in finished:
            error = job.exception()
            broken = broken + 1 if isinstance(error, _BrokenError) else 0
            if error is not None and not isinstance(error, ChecksumError | _RefusedError):
                raise error
            yield {"path": jobs[job], "problem": str(error) if error else None}
        if broken >= GIVE_UP and pending:
            yield {"error": f"{len(pending)} more objects were not tried, because the connection broke repeatedly"}
            return


class _RefusedError(Exception):
    """The download of one object failed; others may succeed."""


class _BrokenError(_RefusedError):
    """The connection broke."""


class _Count(Callback):  # type: ignore[misc]
    """Counts downloaded bytes."""

    bytes = 0

    def relative_update(self, inc: int = 1) -> None:
        """Add bytes."""
        self.bytes += inc


def _bring_one(store: Store, oid: str, limit: int | None, cache: Path, count: _Count) -> None:
    """Download one object into the cache; its limit is the size that dvc.lock states for its output."""
    target = cache / dvc_lock.place(oid)
    files.sweep(target, owns_folder=False)
    for further_tries in reversed(range(TRIES.get(store.protocol, 1))):
        try:
            with files.scratch(target) as temporary:
                _get(store, oid, limit, temporary, count)
                _check(oid, temporary)
                temporary.chmod(0o444)
                files.sync(temporary)
                temporary.replace(target)
            return
        except _BrokenError:
            if not further_tries:
                raise


def _get(store: Store, oid: str, limit: int | None, temporary: Path, count: _Count) -> None:
    try:
        store.get(oid, temporary, limit, count)
    except ChecksumError:
        raise
    except FileNotFoundError as error:
        raise _RefusedError(f"{_object(oid)} is missing") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise  # a full disk is not a fault of the remote
        raise _BrokenError(f"{_object(oid)} could not be read: {dvc_store.error_text(error)}") from error


def _check(oid: str, file: Path) -> None:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != oid:
        raise ChecksumError(dvc_store.damage_message(oid, file.stat().st_size, digest))


def _kept_listing(store: Store, output: Output, cache: Path) -> bytes | None:
    """The listing of a folder; it is also written into the cache, where `dvc checkout` needs it."""
    listing = store.listing(output, cache)
    cached = cache / dvc_lock.place(output.oid)
    if listing is not None and not cached.is_file():
        files.write_bytes(cached, listing)
        cached.chmod(0o444)
    return listing


def _object(oid: str) -> str:
    return f"object files/md5/{dvc_lock.place(oid)}"


if __name__ == "__main__":
    main()
