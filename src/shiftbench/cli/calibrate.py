"""Calibration: at which severity shifts cost a model as much as one another."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich import box
from rich.table import Table

from shiftbench.base.errors import DataError
from shiftbench.base.files import writable
from shiftbench.cli.application import Config, Device, app, err, escaped, out, weights_file
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.evaluation.apply_shift import Shifter
    from shiftbench.provenance.recipe import Artifact
    from shiftbench.workflow.plan.params import Params
    from shiftbench.workflow.tools.calibrate import Calibrated, Interval

PANEL = "Looking"


@app.command(rich_help_panel=PANEL)
def calibrate(
    shifts: Annotated[list[str], typer.Argument(help="names under `shifts:`, or plugin files")],
    weights: Annotated[str, typer.Option("--model", help="that a run made: fashion_mnist/convnet-erm-s0")],
    drop: Annotated[list[float] | None, typer.Option(help="points of accuracy; may be given several times")] = None,
    dataset: Annotated[str | None, typer.Option(help="default: what the model learnt")] = None,
    split: Annotated[str, typer.Option(help="clean samples of this split")] = "test",
    samples: Annotated[int | None, typer.Option(min=1, help="how many; default: all")] = None,
    device: Device = "auto",
    config: Config = None,
    file: Annotated[
        Path | None, typer.Option("--json", help="JSON for a program into a file, or - to print it")
    ] = None,
) -> None:
    """Find the severities at which shifts cost a model the same accuracy (default: 10 points)."""
    from shiftbench.evaluation import devices
    from shiftbench.workflow.tools import calibrate as calibration

    planned, root = plans.load(config)
    of = _cell(planned, root, weights, dataset or weights.partition("/")[0], split)
    clean = calibration.read(_clean_shards(of, root), samples)
    shifters = [_shifter(planned, root, shift, clean.dataset) for shift in shifts]
    changed = [(before, calibration.continuous(before)) for before in shifters]
    for before, after in changed:
        if before != after:
            err.print(escaped(_note(before, after)), soft_wrap=True)
    found: list[Calibrated] = []
    with devices.hold(device) as held:
        judge = _judge(of, root, clean, held)
        for shifter in shifters:
            found += calibration.fit(judge, shifter, drop or [10.0], planned.params.bootstrap.resamples)
    facts = {"model": weights, "dataset": clean.dataset, "split": split, "seed": planned.params.seed}
    _tell(found, facts, file, planned.params)


def _cell(planned: plans.Plan, root: Path, weights: str, dataset: str, split: str) -> Artifact:
    """Return the artifact of the clean records, which says how the model is loaded and what it reads."""
    from shiftbench.base.refs import Ref

    weights_file(root, weights, planned.config)
    ref = Ref("records", f"{weights}/plain/{dataset}/{split}/identity/0")
    return planned.artifacts[planned.want(ref)]


def _clean_shards(of: Artifact, root: Path) -> Path:
    folder = next(root / ref.path for ref in of.inputs if ref.name == of.recipe["data"]).parent
    if not folder.is_dir():
        raise DataError(f"no clean samples in {folder}; run the benchmark, or `shiftbench pull` them")
    return folder


def _shifter(planned: plans.Plan, root: Path, shift: str, dataset: str) -> Shifter:
    """Return a shift as the shift stage would apply it, with the originals that are here."""
    from shiftbench.base import registry
    from shiftbench.evaluation.apply_shift import Shifter
    from shiftbench.workflow.tools import calibrate as calibration

    module = registry.find("shifts", planned.params.use("shifts", shift))
    return Shifter(
        module,
        shift,
        planned.params.options("shifts", shift),
        0.0,
        planned.params.seed,
        dataset,
        sources=calibration.sources(module, root),
    )


def _judge(of: Artifact, root: Path, clean: Any, device: str) -> Any:
    """Return the model of a run's weights, as the evaluate stage loads it, before clean samples."""
    import torch

    from shiftbench.base import registry
    from shiftbench.evaluation import nets
    from shiftbench.workflow.tools import calibrate as calibration

    spec = of.recipe
    torch.set_num_threads(spec["threads"])
    file = root / of.inputs[0].path
    classes = nets.classes_of(file)
    predictor = nets.load_predictor(
        registry.find("models", spec["model"]["use"]),
        file,
        spec["model"]["options"],
        classes,
        device,
        precision=spec["precision"],
        inputs={ref: root / ref.path for ref in of.inputs},
    )
    return calibration.Judge(predictor, clean, tuple(classes), spec["batch_size"])


def _note(before: Shifter, after: Shifter) -> str:
    changed = {key: value for key, value in after.options.items() if value != before.options.get(key)}
    return (
        f"{before.name}: its published levels do not grow; calibrated with {_flow(changed)}, "
        "under which every severity is allowed"
    )


def _tell(found: list[Calibrated], facts: dict[str, Any], file: Path | None, params: Params) -> None:
    """Print a table and what to write into params.yaml, or JSON for a program."""
    if file:
        text = json.dumps({**facts, "found": [asdict(one) for one in found]}, indent=1)
        if str(file) == "-":
            sys.stdout.write(text + "\n")
            return
        with writable(file):
            file.write_text(text + "\n")
    out.print(_table(found, facts))
    out.print("in params.yaml:\n[bold]shifts:[/]")
    for line in _lines(found, params):
        out.print(f"  {escaped(line)}", soft_wrap=True)


def _table(found: list[Calibrated], facts: dict[str, Any]) -> Table:
    about = f"{facts['model']} on {facts['dataset']}/{facts['split']}"
    title = f"{about}: {found[0].clean:.1%} of {found[0].n} right"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    for heading in ("shift", "drop", "severity", "95%", "drop there", "95%"):
        table.add_column(heading, no_wrap=True)
    for one in found:
        end = f">{one.measured[-1][0]:g}"
        severity = end if one.severity is None else f"{one.severity:.3g}"
        ends = _spelled(one.severity_ci, ".3g", end), _spelled(one.fall_ci, ".1f", "-")
        table.add_row(one.shift, f"{one.drop:g}", severity, ends[0], f"{one.fall:.1f}", ends[1])
    return table


def _spelled(interval: Interval, form: str, beyond: str) -> str:
    low, high = (beyond if end is None else format(end, form) for end in interval)
    return low if low == high else f"{low} to {high}"


def _lines(found: list[Calibrated], params: Params) -> list[str]:
    """Return the entries of params.yaml, one per shift; a shift whose falls are not reached has none."""
    lines = []
    for name in dict.fromkeys(one.shift for one in found):
        mine = [one for one in found if one.shift == name and one.severity is not None]
        use = params.component("shifts", name).use
        if mine:
            severities = [one.severity for one in mine]
            entry = {**({"use": use} if use else {}), **mine[0].options, "severities": severities}
            lines.append(f"{name}: {_flow(entry)}")
    return lines


def _flow(entry: dict[str, Any]) -> str:
    """Return YAML on one line."""
    text: str = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, width=10_000)
    return text.strip()
