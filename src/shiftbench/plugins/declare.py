"""Decorators that make a function a plugin, so that plugins of one theme share a file.

The function's name is the plugin's name, and its parameters with a default are the plugin's options. The arguments of
the decorator are the constants that a file would define.

    from shiftbench.plugins import declare

    @declare.detection_metric(higher_is_better=True)
    def auroc(sides): ...

A plugin that is a file of its own states its options as a class:

    class Options(declare.Options):
        k: int = Field(50, ge=1, description="rank of the neighbour")

Metrics have the attributes `KIND`, `COLUMNS`, `UNIT`, `RANGE`, `HIGHER_IS_BETTER`; see `plugins/metrics/__init__.py`.
Shifts have `FIELD`, `LEVELS`, `RANGE`, `MOVES` and `apply`; see docs/extending.md.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from shiftbench.base.registry.declared import Plugin
from shiftbench.base.registry.options import Options as Options

if TYPE_CHECKING:
    from shiftbench.plugins.shifts._levels import Direct, Linear

Function = Callable[..., Any]
Loss = TypeVar("Loss", bound=Function)
Bounds = tuple[float | None, float | None]
Facts = Callable[[Mapping[str, Any]], dict[str, object]]
SHARE: Bounds = (0.0, 1.0)


def _metric(kind: str, compute: str, **attributes: object) -> Callable[[Function], Plugin]:
    def declare(function: Function) -> Plugin:
        return Plugin(function, {"KIND": kind, compute: function, **attributes})

    return declare


def sample_metric(  # noqa: PLR0913 - keywords, each of which is an attribute
    *,
    finish: Function,
    columns: Sequence[str] | None = None,
    higher_is_better: bool | None = None,
    unit: str | None = "share",
    bounds: Bounds | None = SHARE,
    biased: bool | None = None,
    facts: Facts | None = None,
) -> Callable[[Function], Plugin]:
    """Metric of the records of one condition: the function maps rows to `Contributions`.

    Args:
        finish: maps the resampled `Sums` and the options to values, float64 (k,).
        columns: of the records that the function reads.
        higher_is_better: direction.
        unit: of the values.
        bounds: smallest and largest value; None: no bound.
        biased: noise makes a metric larger that is never negative, so its intervals are `intervals.biased`.
        facts: maps options to those of the attributes above (`COLUMNS`, `UNIT`, ...) that depend on them.
    """
    return _metric(
        "sample",
        "reduce",
        finish=finish,
        COLUMNS=columns,
        HIGHER_IS_BETTER=higher_is_better,
        UNIT=unit,
        RANGE=bounds,
        BIASED=biased,
        facts=facts,
    )


def resampled_metric(
    *,
    columns: Sequence[str] | None = None,
    higher_is_better: bool,
    unit: str = "share",
    bounds: Bounds = SHARE,
    facts: Facts | None = None,
) -> Callable[[Function], Plugin]:
    """Metric of the records of one condition that is no sum over samples: maps rows and weights to values."""
    return _metric(
        "resampled", "compute", COLUMNS=columns, HIGHER_IS_BETTER=higher_is_better, UNIT=unit, RANGE=bounds, facts=facts
    )


def path_metric(
    *, finish: Function, columns: Sequence[str], higher_is_better: bool, unit: str = "share", bounds: Bounds = SHARE
) -> Callable[[Function], Plugin]:
    """Metric of one shift at rising severity: the function maps a `SeverityPath` to `Contributions`.

    `finish` maps `Sums`, path and options to values by severity; None is the path as a whole.
    """
    return _metric(
        "path", "reduce", finish=finish, COLUMNS=columns, HIGHER_IS_BETTER=higher_is_better, UNIT=unit, RANGE=bounds
    )


def detection_metric(*, higher_is_better: bool, paired_test: str | None = None) -> Callable[[Function], Plugin]:
    """Metric of OOD scores of an ID and an OOD set: maps `Sides`, OOD positive, to shares.

    `paired_test="delong"`: two detectors are compared by DeLong's test.
    """
    return _metric(
        "detection", "compute", HIGHER_IS_BETTER=higher_is_better, UNIT="share", RANGE=SHARE, PAIRED_TEST=paired_test
    )


def failure_metric(*, higher_is_better: bool) -> Callable[[Function], Plugin]:
    """Metric of OOD scores of an ID set against whether predictions are correct.

    The function maps scores float64 (n,), correct bool (n,) and weights uint8 (n, k) to shares.
    """
    return _metric("failure", "compute", HIGHER_IS_BETTER=higher_is_better, UNIT="share", RANGE=SHARE)


def curve_metric(
    *,
    sources: Callable[[Mapping[str, Any]], tuple[str, ...]],
    higher_is_better: bool,
    unit: str = "share",
    bounds: Bounds = SHARE,
) -> Callable[[Function], Plugin]:
    """Metric of rows of other metrics, whose names `sources` gives from the options: maps rows to rows."""
    return _metric("curve", "compute", sources=sources, HIGHER_IS_BETTER=higher_is_better, UNIT=unit, RANGE=bounds)


def _shift(
    field: str, severities: "Linear | Direct", title: str | None, *, moves: bool = False
) -> Callable[[Function], Plugin]:
    def declare(function: Function) -> Plugin:
        apply = severities.applied(function, function.__name__)
        attributes = {"FIELD": field, "LEVELS": severities.levels, "RANGE": severities.range, "apply": apply}
        return Plugin(function, {**attributes, "MOVES": moves or None, "TITLE": title})

    return declare


def image_shift(
    severities: "Linear | Direct", *, moves: bool = False, title: str | None = None
) -> Callable[[Function], Plugin]:
    """Shift of an image: the function maps the image, the constants at a severity and the random stream to an image.

    Args:
        severities: map a severity to constants, for example `_levels.Linear((0.1, 0.2, 0.3, 0.4, 0.5), zero=0.0)`.
        moves: pixels move, so that boxes and joints must move too.
        title: name in reports and on pages.
    """
    return _shift("image", severities, title, moves=moves)


def text_shift(severities: "Linear | Direct", *, title: str | None = None) -> Callable[[Function], Plugin]:
    """Shift of a text: the function maps the text, the constants at a severity and the random stream to a text."""
    return _shift("text", severities, title)


def audio_shift(severities: "Linear | Direct", *, title: str | None = None) -> Callable[[Function], Plugin]:
    """Shift of a wave, int16 (n,): the function maps it, the constants and the random stream to a wave."""
    return _shift("audio", severities, title)


def loss(function: Loss) -> Loss:
    """Loss of a batch: maps tensors to a scalar tensor. The function stays as it is."""
    return function


def importer(*, example: bytes) -> Callable[[Function], Plugin]:
    """Importer of released results: maps the bytes of a file to its lines, `releases.Line`.

    Args:
        example: a small file that it reads with its default options, for the contract tests.
    """
    return lambda function: Plugin(function, {"EXAMPLE": example})
