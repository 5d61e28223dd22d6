"""OOD detection on your own images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from shiftbench.cli.application import Config, Device, Json, app, checkpoint_file, escaped, out
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.workflow.tools.detect_image import Answer

PANEL = "Inspect"


@app.command(rich_help_panel=PANEL)
def detect(
    model: Annotated[str, typer.Option("--model", help="model of a run, as DATASET/MODEL: known_0/convnet-erm-s0")],
    image: Annotated[list[Path], typer.Option(help="image file (PNG, JPEG, ...); repeat the option for several")],
    detectors: Annotated[
        str | None,
        typer.Option(
            help="names joined by commas: msp,energy,knn; default: those of the benchmark that need no second pass"
        ),
    ] = None,
    device: Device = "auto",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Compare images with the training data of a model, by OOD detectors that are fitted on a run's records."""
    from shiftbench.workflow.tools import detect_image as detection

    planned, root = plans.load(config)
    checkpoint_file(root, model, config)
    names = [name.strip() for name in (detectors or "").split(",") if name.strip()]
    answers = detection.detect(planned, root, model, image, names, device)
    if as_json:
        facts = {"model": model, "images": [_plain(answer) for answer in answers]}
        out.print_json(json.dumps(facts))
        return
    for answer in answers:
        _print(answer)


def _plain(answer: Answer) -> dict[str, Any]:
    findings = [{**asdict(one), "ood": one.ood, "verdict": one.verdict} for one in answer.findings]
    return {
        "file": str(answer.file),
        "prediction": answer.prediction,
        "probability": answer.probability,
        "summary": answer.summary,
        "findings": findings,
    }


def _print(answer: Answer) -> None:
    """Print the verdicts of all detectors on an image, and a summary."""
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
        out.print(f"[dim]with default options, because no search was run: {', '.join(unsearched)}[/]", soft_wrap=True)
