"""The remotes have all objects that dvc.lock names, with the recorded sizes.

Pass rule: a remote that answers has every object that dvc.lock names, and the listing of each folder. The size of each
object is that of the copy here, and the sizes of an output's objects add up to what dvc.lock records. The check is
incomplete if no remote answers, or if no remote that answers has an object. Another size, or a listing with other
bytes, fails. Two facts are notes: a remote does not answer while another one has everything, and there is only one
remote.

Limits: only sizes are read; `shiftbench pull` in a fresh clone reads all bytes.
"""

from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.workflow.tools import doctor

NUMBER, LEVEL = "A29", 1


def check(case: Case) -> Iterator[Finding | Note]:
    """Ask each remote for its objects."""
    try:
        remotes = doctor.remote_states(case.root)
    except DataError as error:  # no DVC, or nothing recorded
        yield Note(f"no remote was checked: {error}")
        return
    alive = [one for one in remotes if one["error"] is None]
    for one in remotes:
        if one["error"] is not None:
            yield Note(f"remote {one['name']} ({one['url']}) does not serve: {one['error']}")
        for line in one.get("wrong", ()):
            yield case.failed(_file(line), f"remote {one['name']} contradicts dvc.lock: {line}")
    if not alive:
        why = "no remote answers, so that nobody can fetch the recorded files; see `shiftbench doctor --remotes`"
        yield case.incomplete("dvc.lock", why)
        return
    yield from _missing(case, alive)
    yield _note(alive)


def _missing(case: Case, alive: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield the objects that no remote that answers has."""
    nowhere = set.intersection(*(set(one["missing"]) for one in alive))
    for line in sorted(nowhere):
        yield case.incomplete(_file(line), f"no remote that answers has {line}; `dvc push` it")


def _file(line: str) -> str:
    """File that an object of a remote belongs to."""
    return line.partition(":")[0]


def _note(alive: list[dict[str, Any]]) -> Note:
    held = "; ".join(f"{one['name']} has {one['there']} of {one['objects']} objects" for one in alive)
    places = len({one["url"] for one in alive})
    return Note(held if places > 1 else f"{held}; there is only one place: a second mirror is missing")
