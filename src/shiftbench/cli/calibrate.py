"""`shiftbench calibrate`: the severities at which shifts cost a model the same accuracy."""

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
from shiftbench.cli.application import Config, Device, checkpoint_file, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from shiftbench.evaluation.apply_shift import Shifter
    from shiftbench.provenance.recipe import Artifact
    from shiftbench.workflow.plan.params import Params
    from shiftbench.workflow.tools.calibrate import Calibrated, Interval


@command
def calibrate(
    shifts: Annotated[list[str], typer.Argument(help="names under `shifts:` in params.yaml, or plugins")],
    model: Annotated[str, typer.Option("--model", help="model of a run: fashion_mnist/convnet-erm-s0")],
    drop: Annotated[
        list[float] | None, typer.Option(help="loss of accuracy in points; repeat the option for several; default: 10")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="data set of the samples; default: the training data set of the model")
    ] = None,
    split: Annotated[str, typer.Option(help="split of the clean samples")] = "test",
    samples: Annotated[int | None, typer.Option(min=1, help="number of clean samples; default: all")] = None,
    device: Device = "auto",
    config: Config = None,
    file: Annotated[Path | None, typer.Option("--json", help="write JSON into this file; - prints it")] = None,
) -> None:
    """Find the severities at which shifts cost a model the same accuracy."""
    from shiftbench.evaluation import devices
    from shiftbench.workflow.tools import calibrate as calibration

    planned, root = plans.load(config)
    records = _records(planned, root, model, dataset or model.partition("/")[0], split)
    clean = calibration.read(_clean_shards(records, root), samples)
    shifters = [_shifter(planned, root, shift, clean.dataset) for shift in shifts]
    adaptations = [(shifter, calibration.continuous(shifter)) for shifter in shifters]
    for shifter, adapted in adaptations:
        if shifter != adapted:
            err.print(escaped(_note(shifter, adapted)), soft_wrap=True)
    results: list[Calibrated] = []
    with devices.hold(device) as used_device:
        judge = _judge(records, root, clean, used_device)
        for shifter in shifters:
            results += calibration.fit(judge, shifter, drop or [10.0], planned.params.bootstrap.resamples)
    facts = {"model": model, "dataset": clean.dataset, "split": split, "seed": planned.params.seed}
    _print(results, facts, file, planned.params)


def _records(planned: plans.Plan, root: Path, model: str, dataset: str, split: str) -> Artifact:
    """The planned records of the clean samples; their recipe states how the model is loaded."""
    from shiftbench.base.refs import Ref

    checkpoint_file(root, model, planned.config)
    ref = Ref("records", f"{model}/plain/{dataset}/{split}/identity/0")
    return planned.artifacts[planned.add(ref)]


def _clean_shards(records: Artifact, root: Path) -> Path:
    folder = next(root / ref.path for ref in records.inputs if ref.name == records.recipe["data"]).parent
    if not folder.is_dir():
        raise DataError(f"no clean samples in {folder}; run the benchmark, or download them with `shiftbench pull`")
    return folder


def _shifter(planned: plans.Plan, root: Path, shift: str, dataset: str) -> Shifter:
    """A shift with the options of params and the source files that are here."""
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


def _judge(records: Artifact, root: Path, clean: Any, device: str) -> Any:
    """The model of a run with the clean samples, loaded as in the evaluate stage."""
    import torch

    from shiftbench.base import registry
    from shiftbench.evaluation import nets
    from shiftbench.workflow.tools import calibrate as calibration

    spec = records.recipe
    torch.set_num_threads(spec["threads"])
    file = root / records.inputs[0].path
    classes = nets.classes_of(file)
    predictor = nets.load_predictor(
        registry.find("models", spec["model"]["use"]),
        file,
        spec["model"]["options"],
        classes,
        device,
        precision=spec["precision"],
        inputs={ref: root / ref.path for ref in records.inputs},
    )
    return calibration.Judge(predictor, clean, tuple(classes), spec["batch_size"])


def _note(shifter: Shifter, adapted: Shifter) -> str:
    changed = {key: value for key, value in adapted.options.items() if value != shifter.options.get(key)}
    return (
        f"{shifter.name}: damage does not grow with its published levels; calibrated with {_yaml_line(changed)}, "
        "which allows every severity"
    )


def _print(results: list[Calibrated], facts: dict[str, Any], file: Path | None, params: Params) -> None:
    """Print a table and the lines for params.yaml, or JSON."""
    if file:
        text = json.dumps({**facts, "found": [asdict(result) for result in results]}, indent=1)
        if str(file) == "-":
            sys.stdout.write(text + "\n")
            return
        with writable(file):
            file.write_text(text + "\n")
    out.print(_table(results, facts))
    out.print("for params.yaml:\n[bold]shifts:[/]")
    for line in _params_lines(results, params):
        out.print(f"  {escaped(line)}", soft_wrap=True)


def _table(results: list[Calibrated], facts: dict[str, Any]) -> Table:
    about = f"{facts['model']} on {facts['dataset']}/{facts['split']}"
    title = f"{about}: {results[0].clean:.1%} of {results[0].n} samples correct"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    for heading in ("shift", "drop", "severity", "95% interval", "measured drop", "95% interval"):
        table.add_column(heading, no_wrap=True)
    for result in results:
        end = f">{result.measured[-1][0]:g}"
        severity = end if result.severity is None else f"{result.severity:.3g}"
        ends = _interval_text(result.severity_ci, ".3g", end), _interval_text(result.fall_ci, ".1f", "-")
        table.add_row(result.shift, f"{result.drop:g}", severity, ends[0], f"{result.fall:.1f}", ends[1])
    return table


def _interval_text(interval: Interval, form: str, beyond: str) -> str:
    low, high = (beyond if end is None else format(end, form) for end in interval)
    return low if low == high else f"{low} to {high}"


def _params_lines(results: list[Calibrated], params: Params) -> list[str]:
    """The lines for params.yaml, one per shift whose drops are reached."""
    lines = []
    for name in dict.fromkeys(result.shift for result in results):
        reached = [result for result in results if result.shift == name and result.severity is not None]
        use = params.component("shifts", name).use
        if reached:
            severities = [result.severity for result in reached]
            options = {**({"use": use} if use else {}), **reached[0].options, "severities": severities}
            lines.append(f"{name}: {_yaml_line(options)}")
    return lines


def _yaml_line(options: dict[str, Any]) -> str:
    """YAML on one line."""
    text: str = yaml.safe_dump(options, default_flow_style=True, sort_keys=False, width=10_000)
    return text.strip()
