"""`shiftbench release`: the outputs of a run with one Merkle root, signed with your key."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shiftbench.base.errors import DataError
from shiftbench.cli.application import Config, escaped, out
from shiftbench.cli.commands import command

if TYPE_CHECKING:
    from shiftbench.release.verify import Problem

CODES = {"exact": 0, "incomplete": 20, "failed": 30}
_SHOWN = 20


@command
def release(
    name: Annotated[str, typer.Argument(help="name of the release: 1.0, 2026-11, ...")],
    sign: Annotated[str | None, typer.Option(help="SSH key file, or GPG key id; default: git's signing key")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="write the release without a signature")] = False,
    created: Annotated[str | None, typer.Option(help="time of the release; default: SOURCE_DATE_EPOCH, or now")] = None,
    config: Config = None,
    verify: Annotated[bool, typer.Option("--verify", help="check an existing release instead of writing one")] = False,
    signers: Annotated[Path | None, typer.Option(help="file of allowed signers (ssh-keygen), for --verify")] = None,
    prove: Annotated[
        str | None, typer.Option(help="file of the release: print the proof that it belongs to the release, as JSON")
    ] = None,
) -> None:
    """Write a release of a run with a signature, or check one."""
    if prove:
        from shiftbench.release import manifest

        out.print_json(json.dumps(manifest.prove(manifest.read(Path(), name), prove)))
    elif verify:
        _verify(name, signers)
    else:
        _make(name, config, created, None if unsigned else sign, unsigned=unsigned)


def _make(name: str, config: str | None, created: str | None, sign: str | None, *, unsigned: bool) -> None:
    from shiftbench.release import make, signing
    from shiftbench.workflow.plan import plan as plans

    home = Path()
    key = None if unsigned else signing.key_of(home, sign)
    request = make.Request(name, config, make.release_time(created), key)
    planned, root = plans.load(config)
    content = make.make(planned, root, home, request)
    withheld = sum("withheld" in entry for entry in content["artefacts"])
    out.print(f"releases/{name}: {len(content['artefacts'])} artefacts, {withheld} of them as digests only")
    out.print(f"root {content['root']}")
    out.print(f"signed with {escaped(key.value)}" if key else "unsigned; `--sign KEY` signs it", soft_wrap=True)
    out.print(f"commit it: git add releases/{name} && git commit")


def _verify(name: str, signers: Path | None) -> None:
    from shiftbench.release import manifest
    from shiftbench.release import verify as verification

    home = Path()
    problems = verification.verify(_output_root(home, name), home, name, signers=signers)
    for problem in problems[:_SHOWN]:
        out.print(escaped(f"{problem.verdict}: {problem}"), soft_wrap=True)
    if len(problems) > _SHOWN:
        out.print(f"and {len(problems) - _SHOWN} more: {_kind_counts(problems)}")
    signatures = verification.verdicts(home, name, signers)
    for signature, verdict in signatures:
        out.print(escaped(f"{signature}: {verdict.state}; {verdict.words}"), soft_wrap=True)
    if not signatures:
        out.print("unsigned")
    worst = max((problem.verdict for problem in problems), key=CODES.__getitem__, default="exact")
    out.print(f"{worst}: release {name}, {len(manifest.names(home))} release(s) here")
    sys.exit(CODES[worst])


def _kind_counts(problems: list[Problem]) -> str:
    kinds = Counter(problem.kind for problem in problems)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _output_root(home: Path, name: str) -> Path:
    """The output root of a release: that of its configuration."""
    from shiftbench.release import manifest
    from shiftbench.release import verify as verification

    try:
        config = manifest.read(home, name)["scale"]
    except DataError:
        config = None  # the verification reports what is wrong with the manifest
    return verification.output_root(home, config)
