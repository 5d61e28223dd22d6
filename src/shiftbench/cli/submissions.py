"""`shiftbench submit` and `shiftbench review`: results of other people are packed, then audited and accepted."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from shiftbench.base.errors import DataError
from shiftbench.cli.application import Config, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.audit.finding import Audit
    from shiftbench.release.published import Published

_SHOWN = 5


@command
def submit(
    name: Annotated[str, typer.Argument(help="name of the submission: letters, digits, `.`, `_`, `-`")],
    created: Annotated[
        str | None, typer.Option(help="time of the submission; default: SOURCE_DATE_EPOCH, or now")
    ] = None,
    config: Config = None,
) -> None:
    """Package a run for the leaderboard."""
    from shiftbench.release import make, submission

    planned, root = plans.load(config)
    target = Path(f"{name}.tar.gz")
    about = {"name": name, "scale": config, "created": make.release_time(created)}
    count = submission.write(planned, root, Path(), about, target)
    out.print(f"{target}: {count} files, {target.stat().st_size / 1e6:.1f} MB; send it to the maintainers")


@command
def review(
    archive: Annotated[Path, typer.Argument(help="file NAME.tar.gz that `shiftbench submit NAME` wrote", exists=True)],
    accept: Annotated[bool, typer.Option("--accept", help="add it to the leaderboard")] = False,
) -> None:
    """Check a submission without running its code.

    --accept adds the leaderboard that its tables give. It requires exact checks
    of recipes and tables. Digests and rows may lack only data that is never sent.
    """
    from shiftbench.release import published, submission

    home = Path().resolve()
    with tempfile.TemporaryDirectory(prefix="shiftbench-review-") as scratch:
        folder = Path(scratch)
        about = submission.unpack(archive.resolve(), folder)
        published_results = published.read(home, about["scale"])
        audit, incomparable, board, sent = _audit_submission(folder, about["scale"], published_results)
        _print(audit, incomparable)
        description = {**about, "verdict": audit.verdict}
        if accept:
            _require(audit, incomparable)
            place = submission.accept(home, description, _same_board(board, sent))
            out.print(f"{place}: `shiftbench docs` adds it to docs/leaderboard.md; commit both")


class _Review(NamedTuple):
    """The review of a submission.

    Attributes:
        audit: its audit at level 1.
        incomparable: shards and tables that differ from the published ones, or are in one of the two only.
        board: the leaderboard that its tables give, or the error.
        sent: the leaderboard that came with it.
    """

    audit: Audit
    incomparable: list[str]
    board: bytes | DataError
    sent: bytes


def _audit_submission(folder: Path, config: str | None, published_results: Published) -> _Review:
    from shiftbench.audit import outside, run
    from shiftbench.audit.recompute import rerun
    from shiftbench.provenance import code_digest, table_trial
    from shiftbench.release import published, submission

    with code_digest.from_sources_alone(), outside.enter(folder) as package:
        planned, root = plans.load(config)
        table_trial.require(root)
        audit = run.run(planned, root, run.AuditRequest(1), package)
        incomparable = submission.incomparable_outputs(planned, root, published_results)
        file = root / published.LEADERBOARD
        try:
            board: bytes | DataError = rerun.leaderboard(planned, root)
        except DataError as error:
            board = error
        return _Review(audit, incomparable, board, file.read_bytes() if file.is_file() else b"")


def _print(audit: Audit, incomparable: list[str]) -> None:
    kinds = Counter(result.verdict for result in audit.results)
    out.print(", ".join(f"{number} checks {verdict}" for verdict, number in kinds.items()))
    findings = [
        (result, finding) for result in audit.results for finding in result.findings if finding.verdict == "failed"
    ]
    for result, finding in findings[:_SHOWN]:
        out.print(f"[bold]{result.number} {result.name}[/] {escaped(str(finding))}", soft_wrap=True)
    if len(findings) > _SHOWN:
        out.print(f"and {len(findings) - _SHOWN} more failed findings")
    if not incomparable:
        out.print("its shards equal the published ones, and its tables are computed in the same way")
    for path in incomparable[:_SHOWN]:
        out.print(f"differs from the published one, or is in one of the two only: {escaped(path)}", soft_wrap=True)
    if len(incomparable) > _SHOWN:
        out.print(f"and {len(incomparable) - _SHOWN} more")


_EXACT = ("coherence", "parameters", "seeds", "selection", "aggregates", "reruns")
"""Checks that must be exact: recipes equal those of the params, and tables follow from rows."""
_MAY_LACK = {
    "digests": re.compile(r"\.tar$|(^|/)(checkpoints|data/sources|data/local|results/(previews|features))/"),
    "rows": re.compile(r"(^|/)data/(shards|local)/"),
}
"""Checks that may lack data that is never sent, by the file of a finding; all other findings must be exact."""


def _require(audit: Audit, incomparable: list[str]) -> None:
    """Refuse a submission that cannot be accepted.

    Raises:
        DataError: states the reason.
    """
    if audit.verdict == "failed":
        raise DataError("it is not accepted: its evidence contradicts itself, see the findings above")
    if incomparable:
        raise DataError(
            f"it is not accepted: {len(incomparable)} shards or tables differ from the published ones, see above"
        )
    results = {result.name: result for result in audit.results}
    for name in (*_EXACT, *_MAY_LACK):
        allowed = _MAY_LACK.get(name)
        findings = [finding for finding in results[name].findings if not (allowed and allowed.search(finding.file))]
        if findings or results[name].verdict == "not run":
            reason = findings[0] if findings else "it was not run"
            raise DataError(f"it is not accepted: the check `{name}` is not exact: {reason}")


def _same_board(board: bytes | DataError, sent: bytes) -> bytes:
    """The leaderboard of the tables, which must equal the one that was sent.

    Raises:
        DataError: the tables give none, or a different one.
    """
    if isinstance(board, DataError):
        raise board
    if board != sent:
        raise DataError(
            "it is not accepted: its leaderboard.csv differs from the one that its tables give; make and send it again"
        )
    return board
