"""Commands of the store: pull and record outputs, repair damaged ones, pin your own files."""

from pathlib import Path
from typing import Annotated

import typer

from shiftbench.cli.application import Config, configuration, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans

_SHOWN = 5  # damaged samples per output in a message


@command
def pull(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="systems/SLUG; records, manifests, fashion_mnist/test/fog/3, ...; default: all that may be shared"
        ),
    ] = None,
    remote: Annotated[
        str | None, typer.Option(help="name of a DVC remote; default: all remotes, DVC's default remote first")
    ] = None,
    config: Config = None,
) -> None:
    """Download outputs and verify their checksums."""
    from shiftbench.workflow.storage import pull

    words = list(what or ())
    if config is None and words and words[0].startswith(f"{configurations.SYSTEMS}/"):
        config = configuration(words.pop(0))
    planned, root = plans.load(config)
    result = pull.pull(planned, root, words, remote)
    for line in result.brought.wrong:
        err.print(escaped(line), soft_wrap=True)
    for name, count in result.brought.served.items():
        out.print(escaped(f"remote {name} served {count} objects"), soft_wrap=True)
    out.print(f"{result.checked} outputs pulled and checked against their receipts")
    for line in pull.missing_lines(result.missing):
        out.print(escaped(line), soft_wrap=True)
    if result.manifest_only:
        out.print(
            f"{len(result.manifest_only)} folders of shards have no tars here, as requested: evaluate them with "
            "`shards: {stream: REMOTE}` in params.yaml",
            soft_wrap=True,
        )


@command
def record(
    systems: Annotated[
        list[str] | None, typer.Argument(help="systems/SLUG; default: all systems that were made here")
    ] = None,
) -> None:
    """Record the outputs of systems for `dvc push`."""
    from shiftbench.provenance import trust
    from shiftbench.release import make
    from shiftbench.workflow.storage import recorded_systems

    trust.require("DVC would record its files")
    home = Path()
    completed = [
        name for name in configurations.completed(home) if name and name.startswith(f"{configurations.SYSTEMS}/")
    ]
    for config in systems or completed:
        planned, root = plans.load(config)
        make.check_outputs(planned, root)
        out.print(f"{config}: {recorded_systems.record(planned, root, home, config)}")


@command
def repair(
    path: Annotated[str, typer.Argument(help="path of an output, or of a folder of outputs")], config: Config = None
) -> None:
    """Check the bytes of outputs, and rebuild damaged ones."""
    from shiftbench.provenance import trust
    from shiftbench.workflow.storage import pull
    from shiftbench.workflow.tools import run_local

    trust.require("a repair runs its jobs")
    planned, root = plans.load(configuration(config, path))
    damaged = pull.repair(planned, root, path)
    for name, problems in damaged.items():
        out.print(escaped(f"damaged: {name}"), soft_wrap=True)
        for line in problems[:_SHOWN]:
            out.print(f"  {escaped(line)}", soft_wrap=True)
        if len(problems) > _SHOWN:
            out.print(f"  and {len(problems) - _SHOWN} more")
    manifest_only = [name for name in pull.manifest_only(planned, root) if name not in damaged]
    if manifest_only:
        out.print(f"{len(manifest_only)} folders of shards have no tars here; `shiftbench pull` downloads them")
    if not damaged:
        out.print("all bytes equal their receipts; nothing to repair")
        return
    goals = {artifact.ref for name in damaged for artifact in planned.at(root, name)}
    run_local.make(planned, root, goals)
    out.print(f"repaired {len(damaged)} output(s)")


@command
def pin(
    paths: Annotated[
        list[str], typer.Argument(help="your files: paths, folders, patterns such as images/*.png, or addresses")
    ],
) -> None:
    """Record the checksums of your own files."""
    from shiftbench.data import pins

    out.print(f"pinned {pins.pin(paths)} file(s) in {pins.LOCK}")
