"""`shiftbench detect`: OOD detection on your own images."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table

from shiftbench.cli.application import Config, Device, Json, checkpoint_file, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.workflow.tools.detect_image import Answer


@command
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
    """Score images with fitted OOD detectors."""
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
    findings = [{**asdict(finding), "ood": finding.ood, "verdict": finding.verdict} for finding in answer.findings]
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
    for finding in answer.findings:
        style = "bold red" if finding.ood else ""
        numbers = f"{finding.score:.4g}", f"{finding.share:.1%}", f"{finding.threshold:.4g}"
        table.add_row(finding.detector, *numbers, finding.verdict, style=style)
    out.print(table)
    out.print(escaped(answer.summary), soft_wrap=True)
    clean = dict.fromkeys(f"{finding.n:,} of {finding.split}" for finding in answer.findings)
    out.print(f"[dim]ID samples: {', '.join(clean)}[/]")
    unsearched = [finding.detector for finding in answer.findings if finding.searched is False]
    if unsearched:
        out.print(f"[dim]with default options, because no search was run: {', '.join(unsearched)}[/]", soft_wrap=True)
