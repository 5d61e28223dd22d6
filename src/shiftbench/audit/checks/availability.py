"""What dvc.lock names can be had elsewhere: each remote answers, and holds the objects with their sizes.

Pass rule: every object that dvc.lock names, and the listing of each folder, is on a remote that answers; its size is
that of the copy here, and the sizes of an output's objects add up to what dvc.lock records. An object that no remote
which answers has is incomplete, as is a record with no remote that answers; another size, or a listing with other
bytes, fails. A remote that is silent while another one has all is a note, and so is one remote alone. Sizes are asked
for, bytes are not read: `shiftbench pull` in a fresh clone reads them all.
"""

from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.workflow.tools import doctor

NUMBER, LEVEL = "A29", 1


def check(case: Case) -> Iterator[Finding | Note]:
    """Ask each remote what it holds."""
    try:
        remotes = doctor.remotes_held(case.root)
    except DataError as error:  # no DVC, or nothing recorded
        yield Note(f"no remote was asked: {error}")
        return
    alive = [one for one in remotes if one["error"] is None]
    for one in remotes:
        if one["error"] is not None:
            yield Note(f"remote {one['name']} ({one['url']}) does not serve: {one['error']}")
        for line in one.get("wrong", ()):
            yield case.failed(_file(line), f"remote {one['name']} contradicts dvc.lock: {line}")
    if not alive:
        why = "no remote answers, so nothing that it names can be had elsewhere; see `shiftbench doctor --remotes`"
        yield case.incomplete("dvc.lock", why)
        return
    yield from _missing(case, alive)
    yield _note(alive)


def _missing(case: Case, alive: list[dict[str, Any]]) -> Iterator[Finding]:
    """Name what none of the remotes that answer has."""
    nowhere = set.intersection(*(set(one["missing"]) for one in alive))
    for line in sorted(nowhere):
        yield case.incomplete(_file(line), f"no remote that answers has {line}; `dvc push` it")


def _file(line: str) -> str:
    """Return the file that an object of a remote belongs to."""
    return line.partition(":")[0]


def _note(alive: list[dict[str, Any]]) -> Note:
    held = "; ".join(f"{one['name']} has {one['there']} of {one['objects']} objects" for one in alive)
    places = len({one["url"] for one in alive})
    return Note(held if places > 1 else f"{held}; one place alone: a second mirror is missing")
