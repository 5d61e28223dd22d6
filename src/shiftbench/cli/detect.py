"""Detection on images of yours: are they like what a net has learnt?"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from shiftbench.cli.application import Config, Device, Json, app, escaped, out, weights_file
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.workflow.tools.detect_image import Answer

PANEL = "Looking"


@app.command(rich_help_panel=PANEL)
def detect(
    weights: Annotated[str, typer.Option("--model", help="that a run made: known_0/convnet-erm-s0")],
    image: Annotated[list[Path], typer.Option(help="PNG, JPEG, ...; may be given several times")],
    detectors: Annotated[
        str | None, typer.Option(help="msp,energy,knn; default: the benchmark's but for those that see the net again")
    ] = None,
    device: Device = "auto",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell whether images are like what a net has learnt, by detectors fitted on what a run kept."""
    from shiftbench.workflow.tools import detect_image as detection

    planned, root = plans.load(config)
    weights_file(root, weights, config)
    names = [name.strip() for name in (detectors or "").split(",") if name.strip()]
    answers = detection.detect(planned, root, weights, image, names, device)
    if as_json:
        facts = {"model": weights, "images": [_plain(answer) for answer in answers]}
        out.print_json(json.dumps(facts))
        return
    for answer in answers:
        _tell(answer)


def _plain(answer: Answer) -> dict[str, Any]:
    findings = [{**asdict(one), "ood": one.ood, "verdict": one.verdict} for one in answer.findings]
    return {
        "file": str(answer.file),
        "prediction": answer.prediction,
        "probability": answer.probability,
        "summary": answer.summary,
        "findings": findings,
    }


def _tell(answer: Answer) -> None:
    """Print what all detectors say of an image, and one sentence."""
    table = Table(title=escaped(str(answer.file)), box=box.SIMPLE, pad_edge=False)
    for heading in ("detector", "score", "ID lower", "threshold"):
        table.add_column(heading, no_wrap=True, justify="left" if heading == "detector" else "right")
    table.add_column("verdict")
    for one in answer.findings:
        style = "bold red" if one.ood else ""
        numbers = f"{one.score:.4g}", f"{one.share:.1%}", f"{one.threshold:.4g}"
        table.add_row(one.detector, *numbers, one.verdict, style=style)
    out.print(table)
    out.print(escaped(answer.summary), soft_wrap=True)
    clean = dict.fromkeys(f"{one.n:,} of {one.split}" for one in answer.findings)
    out.print(f"[dim]ID samples: {', '.join(clean)}[/]")
    unsearched = [one.detector for one in answer.findings if one.searched is False]
    if unsearched:
        out.print(f"[dim]with default options, since no search was run: {', '.join(unsearched)}[/]", soft_wrap=True)
