"""Numbers of the page Field as text: percent, percentage points, and intervals."""

from __future__ import annotations

from collections.abc import Sequence

MINUS = "\N{MINUS SIGN}"
Ends = tuple[float, float, float]
"""A value, and the ends of its 95% interval."""

DATASETS = {
    "imagenet": "ImageNet",
    "imagenet_v2": "ImageNet-V2",
    "imagenet_sketch": "ImageNet-Sketch",
    "imagenet_a": "ImageNet-A",
    "imagenet_r": "ImageNet-R",
    "objectnet": "ObjectNet",
}
"""Titles of data sets, the clean one first."""


def percent(share: float, digits: int = 1) -> str:
    """A share in percent, without its sign.

    Example:
        >>> percent(0.8123)
        '81.2'
    """
    return _minus(f"{100 * share:.{digits}f}")


def points(value: float, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign.

    Example:
        >>> points(0.1, 1), points(-0.00001, 1)
        ('+10.0', '0.0')
    """
    text = f"{100 * value:+.{digits}f}"
    return text.lstrip("+-") if not float(text) else _minus(text)


def difference(ends: Sequence[float], digits: int = 1) -> str:
    """A difference with its interval.

    Example:
        >>> difference((0.1, 0.05, 0.15))
        '+10.0 pp [+5.0, +15.0]'
    """
    value, low, high = (points(end, digits) for end in ends)
    return f"{value} pp [{low}, {high}]"


def interval(ends: Sequence[float], digits: int = 2) -> str:
    """A number with its interval.

    Example:
        >>> interval((0.5, 0.25, 0.75))
        '0.50 [0.25, 0.75]'
    """
    value, low, high = (_minus(f"{end:.{digits}f}") for end in ends)
    return f"{value} [{low}, {high}]"


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence, joined.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a"])
        ('a, b and c', 'a')
    """
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
