"""Helpers of all shifts: constants at a continuous severity, and pixel sizes relative to 224 px."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, RangeError, suggest

RANGE = (0.0, 5.0)
REFERENCE_SIDE = 224
Profile = Annotated[
    Literal["published", "continuous"],
    Field(description="constants as published, or such that damage grows between all levels"),
]
Scale = Annotated[
    Literal["image", "none"],
    Field(description="whether sizes in pixels grow with the image, or are as published for 224 px"),
]
SCALES = ("image", "none")


@dataclass(frozen=True)
class Linear:
    """Severities between whose levels the constants of a shift are linear.

    Attributes:
        steps: constants of levels 1 to 5.
        zero: constants at severity 0, where the shift changes nothing.
        range: smallest and largest severity.
    """

    steps: tuple[float | tuple[float, ...], ...]
    zero: float | tuple[float, ...]
    range: tuple[float, float] = RANGE

    @property
    def levels(self) -> dict[int, float | tuple[float, ...]]:
        """The constants of each level."""
        return dict(enumerate(self.steps, start=1))

    def applied(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The `apply` of the shift `name`, made of a function that takes the constants at a severity."""
        return _applied(function, name, lambda severity: at(name, self.levels, severity, self.zero))


@dataclass(frozen=True)
class Direct:
    """Severities that are themselves the constant of a shift; it has no levels.

    Attributes:
        range: smallest and largest severity.
    """

    range: tuple[float, float]

    @property
    def levels(self) -> dict[int, float | tuple[float, ...]]:
        """No levels."""
        return {}

    def applied(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The `apply` of the shift `name`, made of a function that takes the severity."""

        def constants(severity: float) -> tuple[float, ...]:
            check(name, severity, self.range)
            return (severity,)

        return _applied(function, name, constants)


def _applied(
    function: Callable[..., Any], name: str, constants: Callable[[float], tuple[float, ...]]
) -> Callable[..., Any]:
    """The `apply` of a shift; wrong options are told with the shift's name."""

    def apply(value: Any, severity: float, rng: Any, **options: Any) -> Any:
        own = constants(severity)
        try:
            return function(value, *own, rng, **options)
        except ParamsError as error:
            raise ParamsError(f"{name}: {error}") from error

    return apply


def at(
    name: str, levels: Mapping[int, float | tuple[float, ...]], severity: float, zero: float | tuple[float, ...]
) -> tuple[float, ...]:
    """The constants at `severity`, linear between the levels.

    Args:
        name: the module's `__name__`; its last part is the shift's name in messages.
        levels: constants of levels 1 to 5.
        severity: 0 to 5.
        zero: constants at severity 0, where the shift changes nothing.

    Raises:
        RangeError: the severity lies outside 0 to 5, or is not a number.

    Example:
        >>> at("fog", {1: 2.0, 2: 4.0, 3: 5.0, 4: 6.0, 5: 7.0}, 1.5, zero=0.0)
        (3.0,)
    """
    check(name, severity)
    low = min(int(severity), 4)
    part = severity - low
    before = _tuple(zero if low == 0 else levels[low])
    after = _tuple(levels[low + 1])
    return tuple(a + (b - a) * part for a, b in zip(before, after, strict=True))


def published(
    name: str, levels: Mapping[int, float | tuple[float, ...]], severity: float, zero: float | tuple[float, ...]
) -> tuple[float, ...]:
    """The constants of a whole level, for constants that do not grow from level to level.

    Args:
        name: the module's `__name__`.
        levels: constants of levels 1 to 5.
        severity: 0, 1, 2, 3, 4 or 5.
        zero: constants at severity 0.

    Raises:
        RangeError: outside 0 to 5, or between two levels.
    """
    check(name, severity)
    if severity != int(severity):
        raise RangeError(
            f"shift {name.rpartition('.')[2]!r}: severity {severity:g} lies between two published levels, whose "
            "damage does not grow from one to the next; use a whole level, or `profile: continuous`"
        )
    return at(name, levels, severity, zero)


def check(name: str, severity: float, allowed: tuple[float, float] = RANGE) -> None:
    """Refuse a severity outside `allowed`.

    Raises:
        RangeError: it lies outside, or is not a number.
    """
    low, high = allowed
    if not low <= severity <= high:
        raise RangeError(
            f"shift {name.rpartition('.')[2]!r}: severity {severity:g} lies outside {low:g} to {high:g}; "
            "set it within that range"
        )


def scale(shape: tuple[int, ...], how: str = "image") -> float:
    """The size of one reference pixel (of a 224 px image) in this image's pixels; 1 where `how` is `none`.

    Raises:
        ParamsError: `how` is none of SCALES.
    """
    if how not in SCALES:
        raise ParamsError(f"scale is {how!r}; {suggest(how, SCALES)}")
    return min(shape[:2]) / REFERENCE_SIDE if how == "image" else 1.0


def _tuple(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
