"""The process that talks to one remote, so that its caller can end one that no longer answers.

A request comes as JSON on standard input, answers go as JSON lines to standard output, the first as soon as the
remote has answered at all. Without a terminal nothing can ask for a password. Called by `remotes`, by no user.
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
from shiftbench.workflow.storage import dvc_store
from shiftbench.workflow.storage.dvc_store import Output, Store

WORKERS = 8
GIVE_UP = 3  # connections that broke one after another
TRIES = {"ssh": 2, "http": 2, "https": 2}  # the clients of other stores try again themselves
BEAT = 5.0  # seconds between two signs of life
FULL = (errno.ENOSPC, errno.EDQUOT)

Answer = dict[str, Any]
Wanted = dict[str, str]  # object -> the first file that it holds
Limits = dict[str, int | None]  # object -> the bytes that it may have, where dvc.lock states some


def main() -> None:
    """Answer one request."""
    request = json.loads(sys.stdin.read())
    sys.stdout.write("{}\n")  # everything is imported: the remote's time begins
    sys.stdout.flush()
    with dvc_store.quiet():
        try:
            for answer in _answers(request):
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()
        except DataError as error:
            key = "error" if isinstance(error, ChecksumError) else "fatal"
            sys.stdout.write(json.dumps({key: str(error)}) + "\n")
        except Exception as error:  # noqa: BLE001 - clients raise whatever they like; the caller tells
            sys.stdout.write(json.dumps({"error": _refusal(dvc_store.spell(error))}) + "\n")


def _refusal(text: str) -> str:
    """Add where credentials belong, when it was for want of them."""
    if not re.search(r"denied|forbidden|unauthorized|credential|password", text, re.IGNORECASE):
        return text
    return f"{text}; a key or password belongs in .dvc/config.local: `dvc remote modify --local`"


def _answers(request: Answer) -> Iterator[Answer]:
    home = Path(request["home"])
    began = time.monotonic()
    store = Store(home, request["remote"])
    store.answer()
    yield {"alive": round(time.monotonic() - began, 2), "read_only": store.read_only}
    if request["verb"] == "look":
        yield _look(home, store)
    elif request["verb"] == "bring":
        yield from _bring(home, store, request["targets"])


# --- look: what of dvc.lock is there ---------------------------------------------------------------


def _look(home: Path, store: Store) -> Answer:
    """Return how many recorded objects are there, which are missing, and which have another size."""
    cache = dvc_store.cache_of(home)
    missing: list[str] = []
    wrong: list[str] = []
    total = 0
    for output in dvc_store.outputs(home):
        try:
            held = output.files(store.listing(output, cache))
        except FileNotFoundError:
            missing.append(_listing_of(output))
            total += 1
            continue
        except ChecksumError as error:
            wrong.append(f"{output.path}: its listing: {error}")
            total += 1
            continue
        oids = sorted({*held.values(), output.oid})
        sizes, total = store.sizes(oids), total + len(oids)
        named = {oid: path for path, oid in held.items()} | {output.oid: f"{output.path}: its listing"}
        missing += [f"{named[oid]}: {_object(oid)}" for oid in oids if sizes[oid] is None]
        wrong += _contradictions(output, held, sizes, cache)
    there = total - len(missing) - len(wrong)
    return {"objects": total, "there": there, "missing": missing, "wrong": wrong}


def _listing_of(output: Output) -> str:
    return f"{output.path}: its listing: {_object(output.oid)}"


def _contradictions(output: Output, held: Wanted, sizes: dict[str, int | None], cache: Path) -> list[str]:
    """Return which objects have another size than here; or that all together have another than dvc.lock says."""
    found = []
    for path, oid in held.items():
        own, here = sizes[oid], cache / dvc_store.place(oid)
        if own is not None and here.is_file() and here.stat().st_size != own:
            found.append(f"{path}: {_object(oid)} has {own} bytes, not {here.stat().st_size}")
    known = [size for oid in held.values() if (size := sizes[oid]) is not None]
    if found or output.size is None or len(known) < len(held) or sum(known) == output.size:
        return found
    return [f"{output.path}: its objects have {sum(known)} bytes, dvc.lock says {output.size}"]


# --- bring: objects into the cache -----------------------------------------------------------------


def _bring(home: Path, store: Store, targets: list[str]) -> Iterator[Answer]:
    """Bring the objects of what lies at or below the targets; each is checked before it has its name."""
    cache = dvc_store.cache_of(home)
    wanted: Wanted = {}
    limits: Limits = {}
    for output in dvc_store.outputs(home):
        if output.meets(targets):
            held = output.files(_kept_listing(store, output, cache))
            own = {o: p for p, o in held.items() if any(dvc_store.lies_at(p, t) for t in targets)}
            wanted |= own
            limits |= dict.fromkeys(own, output.size)
    lacking = {o: path for o, path in wanted.items() if not (cache / dvc_store.place(o)).is_file()}
    yield {"wanted": len(wanted), "lacking": len(lacking)}
    count = _Count()
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            jobs = {
                pool.submit(_bring_one, store, oid, limits[oid], cache, count): path for oid, path in lacking.items()
            }
            yield from _finished(jobs, count)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _finished(jobs: dict[Future[None], str], count: _Count) -> Iterator[Answer]:
    """Yield what became of each object, and a sign of life while a large one is under way."""
    pending, broken, seen = set(jobs), 0, 0
    while pending:
        done, pending = wait(pending, timeout=BEAT, return_when=FIRST_COMPLETED)
        if not done and count.bytes > seen:
            seen = count.bytes
            yield {"bytes": seen}
        for job in done:
            error = job.exception()
            broken = broken + 1 if isinstance(error, _BrokenError) else 0
            if error is not None and not isinstance(error, ChecksumError | _RefusedError):
                raise error
            yield {"path": jobs[job], "problem": str(error) if error else None}
        if broken >= GIVE_UP and pending:
            yield {"error": f"{len(pending)} more objects were not waited for"}
            return


class _RefusedError(Exception):
    """An object did not come; another may."""


class _BrokenError(_RefusedError):
    """The connection broke."""


class _Count(Callback):  # type: ignore[misc]
    """Counts bytes as they come."""

    bytes = 0

    def relative_update(self, inc: int = 1) -> None:
        """Count."""
        self.bytes += inc


def _bring_one(store: Store, oid: str, limit: int | None, cache: Path, count: _Count) -> None:
    """Bring one object into the cache; it may have as many bytes as dvc.lock states of all that it is a part of."""
    target = cache / dvc_store.place(oid)
    files.sweep(target, owns_folder=False)
    for left in reversed(range(TRIES.get(store.protocol, 1))):
        try:
            with files.scratch(target) as temporary:
                _get(store, oid, limit, temporary, count)
                _check(oid, temporary)
                temporary.chmod(0o444)
                files.sync(temporary)
                temporary.replace(target)
            return
        except _BrokenError:
            if not left:
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
            raise  # no space here is no fault of the remote's
        raise _BrokenError(f"{_object(oid)} did not come: {dvc_store.spell(error)}") from error


def _check(oid: str, file: Path) -> None:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != oid:
        raise ChecksumError(dvc_store.damaged(oid, file.stat().st_size, digest))


def _kept_listing(store: Store, output: Output, cache: Path) -> bytes | None:
    """Return a folder's listing and keep it: DVC needs it to put files in place."""
    listing = store.listing(output, cache)
    kept = cache / dvc_store.place(output.oid)
    if listing is not None and not kept.is_file():
        files.write_bytes(kept, listing)
        kept.chmod(0o444)
    return listing


def _object(oid: str) -> str:
    return f"object files/md5/{dvc_store.place(oid)}"


if __name__ == "__main__":
    main()
