"""`shiftbench calibrate`: the severity of a shift at which a model's accuracy falls by a given amount.

Levels of different shifts are not comparable: level 3 of fog may cost a model 30 points and level 3 of contrast 5. At
the severities found here shifts cost the same, so that models and methods are compared at equal damage.

All severities have the same samples and random numbers, as in the shift stage, so that a curve shows one nuisance that
grows. `severity_fit.Curve` finds a severity and its interval.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.progress import track
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.evaluation.batching import Halving, Predictor, batches, predict_batches
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.severity_fit import Curve
from shiftbench.workflow.stages.evaluate import as_predictor

Interval = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The severity at which accuracy falls by a given amount.

    Attributes:
        shift: its name.
        options: those that differ from the shift's defaults.
        drop: the requested fall of accuracy, in percentage points.
        severity: to three digits; None: not reached within the shift's range.
        severity_ci: 95% interval; an end beyond the range is None.
        fall: the measured fall at `severity`, or at the end of the range, in percentage points.
        fall_ci: its 95% interval.
        measured: all measured (severity, accuracy), accuracy as a share.
        n: number of samples.
    """

    shift: str
    options: dict[str, Any]
    drop: float
    severity: float | None
    severity_ci: Interval
    fall: float
    fall_ci: Interval
    measured: tuple[tuple[float, float], ...]
    n: int

    @property
    def clean(self) -> float:
        """Accuracy at severity 0, a share."""
        return self.measured[0][1]


@dataclass(frozen=True, slots=True)
class Clean:
    """Clean samples of a dataset, in memory and in key order."""

    dataset: str
    split: str
    task: ModuleType
    classes: tuple[str, ...]
    samples: list[Sample]


def read(folder: Path | str, samples: int | None = None) -> Clean:
    """Read clean shards.

    Args:
        folder: shards of `identity`.
        samples: their number, chosen by the hashes of keys; default: all.

    Raises:
        DataError: the shards are shifted ones.
        ChecksumError: damaged shards.
    """
    about = shards.manifest(Path(folder))
    if about["shift"] != "identity":
        raise DataError(f"{folder} has shifted samples ({about['shift']}); name clean shards")
    stream = track(shards.read(Path(folder)), f"reading {about['dataset']}", about["samples"])
    chosen_samples = [sample for sample in splits.subset(stream, samples) if isinstance(sample, Sample)]
    task = registry.find("tasks", about["task"])
    return Clean(about["dataset"], about["split"], task, tuple(about["classes"]), chosen_samples)


@dataclass(frozen=True, slots=True)
class Judge:
    """A model and clean samples: the correctness of its predictions, with or without a shift.

    Attributes:
        predictor: samples -> outputs of the task.
        clean: the samples.
        classes: the model's class names in the order of its logits.
        batch_size: samples per call.
    """

    predictor: Predictor
    clean: Clean
    classes: tuple[str, ...]
    batch_size: int = 256
    _clean_table: dict[str, pa.Table] = field(default_factory=dict, repr=False)

    def __call__(self, shifter: Shifter) -> pa.Table:
        """Key, cluster and correctness of each shifted sample; at severity 0 of the clean samples."""
        if shifter.severity:
            return self._judge(map(shifter, self.clean.samples), shifter)
        if not self._clean_table:
            self._clean_table["clean"] = self._judge(self.clean.samples, shifter)
        return self._clean_table["clean"]

    def _judge(self, samples: Iterable[Sample], shifter: Shifter) -> pa.Table:
        space = LabelSpace(self.classes, self.clean.classes)
        guard = Halving(self.predictor, self.batch_size, allowed=True)
        predictions = predict_batches(guard, batches(samples, self.batch_size))
        total = -(-len(self.clean.samples) // self.batch_size)
        title = f"{shifter.name} at {shifter.severity:.3g}"
        tables = [
            self.clean.task.rows(batch, outputs, space, "full") for batch, outputs in track(predictions, title, total)
        ]
        if not tables:
            raise DataError(f"{self.clean.dataset}/{self.clean.split} has no samples")
        return pa.concat_tables(tables).select(["key", "cluster", "correct"])


def fit(judge: Judge, shifter: Shifter, drops: Iterable[float], draws: int = 1000) -> list[Calibrated]:
    """Find the severities at which accuracy falls by each of `drops`.

    Args:
        judge: the model and the samples.
        shifter: the shift at any severity; random numbers are equal at all severities (`fresh` is ignored).
        drops: percentage points.
        draws: bootstrap resamples.

    Raises:
        ParamsError: a shift without severities, a drop outside 0 to 100, or a drop below the accuracy of guessing.
    """
    drops = sorted(set(drops))
    _check_shift(shifter)
    shifter = continuous(shifter)
    at_any = replace(shifter, fresh=False)
    end = float(shifter.module.RANGE[1])
    curve = Curve(lambda s: judge(replace(at_any, severity=s)), end, draws, shifter.seed)
    _check_drops(drops, float(curve.accuracy[0.0][0]), len(judge.clean.classes))
    options = {
        key: value for key, value in shifter.options.items() if value != registry.defaults(shifter.module).get(key)
    }
    results = [_calibrated(curve, shifter.name, options, drop) for drop in drops]
    measured = tuple((s, float(curve.accuracy[s][0])) for s in sorted(curve.accuracy))
    return [replace(result, measured=measured) for result in results]


def _calibrated(curve: Curve, name: str, options: dict[str, Any], drop: float) -> Calibrated:
    severities = curve.locate(drop / 100)
    reached = bool(np.isfinite(severities[0]))
    severity = float(f"{severities[0]:.3g}") if reached else None
    falls = 100 * curve.measure(curve.end if severity is None else severity)
    return Calibrated(
        name, options, drop, severity, _interval(severities), float(falls[0]), _interval(falls), (), curve.n
    )


def _interval(values: Floats) -> Interval:
    low, high = (float(end) for end in bootstrap.interval(values[1:]))
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def continuous(shifter: Shifter) -> Shifter:
    """The shift with options that allow every severity and make damage grow."""
    continuous_options: Mapping[str, Any] = getattr(shifter.module, "CONTINUOUS", {})
    options = dict(shifter.options)
    for key, value in continuous_options.items():
        present = options.get(key)
        options[key] = {**present, **value} if isinstance(present, dict) else value  # a part of a+b
    return replace(shifter, options=options)


def _check_shift(shifter: Shifter) -> None:
    name, module = shifter.name, shifter.module
    if hasattr(module, "DOMAIN"):
        raise ParamsError(
            f"shift {name!r} is a domain shift: it changes to other data, which have no severity; name another shift"
        )
    if module.RANGE[1] <= 0:
        raise ParamsError(f"shift {name!r} has no severity above 0; name a shift that grows")


def _check_drops(drops: list[float], clean: float, classes: int) -> None:
    if not drops:
        raise ParamsError("no drop is given; give one or several, in percentage points")
    for drop in drops:
        if not 0 < drop < 100:
            raise ParamsError(f"drop is {drop:g}; expected percentage points between 0 and 100")
    largest = 100 * (clean - 1 / classes)
    if drops[-1] > largest:
        raise ParamsError(
            f"the model is too weak for a drop of {drops[-1]:g} points: it gets {clean:.1%} of the clean samples "
            f"right, and guessing among {classes} classes {1 / classes:.1%}; ask for less than {max(largest, 0):.1f}"
        )


def calibrate(  # noqa: PLR0913 - the parameters of a calibration
    model: Any,
    folder: Path | str,
    shift: str,
    drop: float | Iterable[float] = (5, 10, 20),
    *,
    options: Mapping[str, Any] | None = None,
    samples: int | None = None,
    classes: Iterable[str] | None = None,
    seed: int = 0,
    draws: int = 1000,
    batch_size: int = 256,
) -> list[Calibrated]:
    """Find the severities at which the accuracy of your own model falls by given amounts.

    Args:
        model: as in `shiftbench.workflow.stages.evaluate`: a torch module, or a callable on a list of `Sample`.
        folder: clean shards.
        shift: its name, or several joined by `+`.
        drop: percentage points, one or several.
        options: of the shift.
        samples: number of clean samples; default: all.
        classes: the model's class names in the order of its logits; default: the dataset's.
        seed: seed of the benchmark.
        draws: bootstrap resamples.
        batch_size: samples per call.

    Raises:
        ParamsError, DataError: as `fit` and `read`; an unknown option.

    Example::

        calibrate(net, "data/shards/fashion_mnist/test/identity/0", "fog", drop=10)
    """
    clean = read(folder, samples)
    module = registry.find("shifts", shift)
    shift_options = dict(options or {})
    _check_options(shift, shift_options, registry.defaults(module))
    shifter = Shifter(
        module, shift, {**registry.defaults(module), **shift_options}, 0.0, seed, clean.dataset, sources=sources(module)
    )
    judge = Judge(as_predictor(model), clean, tuple(classes or clean.classes), batch_size)
    drops = [float(drop)] if isinstance(drop, int | float) else [float(points) for points in drop]
    return fit(judge, shifter, drops, draws)


def _check_options(shift: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise ParamsError(f"shift {shift!r} has no option {unknown[0]!r} ({suggest(unknown[0], known)})")


def sources(module: ModuleType, root: Path | None = None) -> dict[str, Path]:
    """The existing folders of a shift's sources: of a run, or kept by `fetch`."""
    from shiftbench.data.source_files import original_folder

    folders: dict[str, Path] = {}
    for name in getattr(module, "SOURCES", ()):
        places = [*([root / "data/sources" / name] if root else []), original_folder(name)]
        folders.update((name, place) for place in places[::-1] if place.is_dir())
    return folders
