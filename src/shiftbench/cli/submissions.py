"""Results of others: sent by `submit`, looked at and shown by `review`."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from shiftbench.base.errors import DataError
from shiftbench.cli.application import Config, app, escaped, out
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.audit.finding import Audit
    from shiftbench.release.published import Published

PANEL = "The store"
_SHOWN = 5


@app.command(rich_help_panel=PANEL)
def submit(
    name: Annotated[str, typer.Argument(help="of the submission: letters, digits, `.`, `_`, `-`")],
    created: Annotated[str | None, typer.Option(help="time to state; default: SOURCE_DATE_EPOCH, or now")] = None,
    config: Config = None,
) -> None:
    """Pack rows, receipts, tables and params of a run into NAME.tar.gz, for the maintainers of a leaderboard."""
    from shiftbench.release import make, submission

    planned, root = plans.load(config)
    target = Path(f"{name}.tar.gz")
    about = {"name": name, "scale": config, "created": make.when(created)}
    count = submission.write(planned, root, Path(), about, target)
    out.print(f"{target}: {count} files, {target.stat().st_size / 1e6:.1f} MB; send it")


@app.command(rich_help_panel=PANEL)
def review(
    archive: Annotated[Path, typer.Argument(help="NAME.tar.gz of `shiftbench submit`", exists=True)],
    accept: Annotated[bool, typer.Option("--accept", help="show it on the leaderboard from now on")] = False,
) -> None:
    """Audit a submission from outside, running nothing of it, and say whether its data are the published ones.

    --accept shows the leaderboard that its tables give. It wants exact checks of
    recipes and tables, and digests and rows that lack nothing but unsent data.
    """
    from shiftbench.release import published, submission

    home = Path().resolve()
    with tempfile.TemporaryDirectory(prefix="shiftbench-review-") as scratch:
        folder = Path(scratch)
        about = submission.unpack(archive.resolve(), folder)
        there = published.read(home, about["scale"])
        done, unlike, board, sent = _looked_at(folder, about["scale"], there)
        _tell(done, unlike)
        stated = {**about, "verdict": done.verdict}
        if accept:
            _require(done, unlike)
            place = submission.accept(home, stated, _same_board(board, sent))
            out.print(f"{place}: `shiftbench docs` shows it on docs/leaderboard.html; commit both")


class _LookedAt(NamedTuple):
    """A submission.

    Attributes:
        done: its audit at level 1.
        unlike: what cannot be compared with the published outputs.
        board: the leaderboard that its tables give; or why they give none.
        sent: the leaderboard that came with it.
    """

    done: Audit
    unlike: list[str]
    board: bytes | DataError
    sent: bytes


def _looked_at(folder: Path, config: str | None, there: Published) -> _LookedAt:
    from shiftbench.audit import outside, run
    from shiftbench.audit.recompute import boards
    from shiftbench.provenance import code_digest, table_trial
    from shiftbench.release import published, submission

    with code_digest.from_sources_alone(), outside.looking_at(folder) as package:
        planned, root = plans.load(config)
        table_trial.require(root)
        done = run.run(planned, root, run.AuditRequest(1), package)
        unlike = submission.unlike(planned, root, there)
        file = root / published.LEADERBOARD
        try:
            board: bytes | DataError = boards.made(planned, root)
        except DataError as error:
            board = error
        return _LookedAt(done, unlike, board, file.read_bytes() if file.is_file() else b"")


def _tell(done: Audit, unlike: list[str]) -> None:
    kinds = Counter(result.verdict for result in done.results)
    out.print(", ".join(f"{number} checks {verdict}" for verdict, number in kinds.items()))
    findings = [
        (result, finding) for result in done.results for finding in result.findings if finding.verdict == "failed"
    ]
    for result, finding in findings[:_SHOWN]:
        out.print(f"[bold]{result.number} {result.name}[/] {escaped(str(finding))}", soft_wrap=True)
    if len(findings) > _SHOWN:
        out.print(f"and {len(findings) - _SHOWN} more that failed")
    if not unlike:
        out.print("its shards are the published ones, and its tables are computed alike")
    for path in unlike[:_SHOWN]:
        out.print(f"other than published, or in one of the two only: {escaped(path)}", soft_wrap=True)
    if len(unlike) > _SHOWN:
        out.print(f"and {len(unlike) - _SHOWN} more")


_EXACT = ("coherence", "parameters", "seeds", "selection", "aggregates", "reruns")
"""Checks that must be exact: recipes are those of the params, and tables follow from rows."""
_LACKING = {
    "digests": re.compile(r"\.tar$|(^|/)(checkpoints|data/sources|data/local|results/(previews|features))/"),
    "rows": re.compile(r"(^|/)data/(shards|local)/"),
}
"""Checks that may lack what is never sent, by the file that a finding names; all else must be exact."""


def _require(done: Audit, unlike: list[str]) -> None:
    """Refuse what is not shown.

    Raises:
        DataError: says why.
    """
    if done.verdict == "failed":
        raise DataError("it is not shown: its evidence contradicts itself, as told above")
    if unlike:
        raise DataError(
            f"it is not shown: {len(unlike)} shards or tables are other than the published ones, as told above"
        )
    results = {result.name: result for result in done.results}
    for name in (*_EXACT, *_LACKING):
        lacking = _LACKING.get(name)
        left = [one for one in results[name].findings if not (lacking and lacking.search(one.file))]
        if left or results[name].verdict == "not run":
            why = left[0] if left else "it was not run"
            raise DataError(f"it is not shown: the check `{name}` is not exact: {why}")


def _same_board(board: bytes | DataError, sent: bytes) -> bytes:
    """Return the leaderboard that is shown.

    Raises:
        DataError: tables give none, or another than was sent.
    """
    if isinstance(board, DataError):
        raise board
    if board != sent:
        raise DataError("it is not shown: its leaderboard.csv is not what its tables give; have it made and sent again")
    return board
