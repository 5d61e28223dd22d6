"""Figures as SVG, drawn when the page is made, so that they need no script: on paper, in a mail, in another program.

`figures` describes what a figure shows. Text and lines of the frame have the colour of the text around them, black in
a file of their own. Each series has its key, by which a script can hide it. The element `metadata` has the numbers as
CSV: first a row for each element of the class `at`, in their order.
"""

import csv
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from shiftbench.report import cloud
from shiftbench.report.figures import DASHES, SYMBOLS, Figure

WIDTH = 360
"""Width of a figure that states none, in px; the height of a figure is given."""
_TOP, _RIGHT, _BOTTOM, _LEFT = 30.0, 12.0, 42.0, 52.0
_UNTITLED = 10.0  # px above a figure without a title
_LETTER = 7.1  # width of a letter of 12 px in a wide typeface (DejaVu Sans), about
_BOLD = 7.9  # the same of a bold one
_LINE = 14.0  # px from one label to the next
_NAMES = 0.62  # share of the width that names of rows have at most; a figure with longer ones is wider
_RING = 2.6  # radius of a training seed's ring, px
_HEAD = 7.0  # length of an arrow's head, px
_Place = Callable[[float], float]
_Point = tuple[float, float]
_Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where a value is in the drawing, and the ticks as (place, label)."""

    place: _Place
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The drawing's inner rectangle, in px, with its axes."""

    left: float
    right: float
    top: float
    bottom: float
    x: _Axis
    y: _Axis


def svg(figure: Figure, alt: str) -> Markup:
    """Draw a figure.

    Args:
        figure: as `figures` describes it.
        alt: what it shows, in words; the values at the ends of each series are added.
    """
    width = max(float(figure.get("width", WIDTH)), _names_width(figure) / _NAMES)
    height = float(figure["height"])
    series, strip = figure["series"], figure.get("below")
    frame = _framed(figure, series, width, height)
    values = "; ".join([*_lines(figure), *(_described(figure, one) for one in _named(series))])
    described = ". ".join(part for part in (alt, values) if part)
    drawn = Markup().join([*_axes(figure, frame), *(_series(one, frame) for one in series)])
    labels = Markup().join([*_labels(figure, frame), *_corner(figure, frame)])
    if strip:
        labels += _strip(strip, frame, height)
        height, series = height + strip["height"], [*series, *strip["series"]]
    start = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}" '
        'font-family="system-ui, sans-serif" font-size="12"{}><metadata>{}</metadata>'
    ).format(width, height, described, _data_frame(figure, frame), _csv(figure, series))
    return start + drawn + labels + Markup("</svg>")


def span(values: Iterable[float | None], base: float | None = None) -> tuple[float, float]:
    """What an axis without a range shows: all values, with some room; from `base` on where none is below it."""
    known = [value for value in values if value is not None]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return (base if base is not None and low >= base else low - room), high + room


def ticks(low: float, high: float, count: float) -> tuple[list[float], int]:
    """Round numbers between two ends, about `count` of them, and the decimals that they need.

    Example:
        >>> ticks(0.0, 100.0, 5)
        ([0.0, 20.0, 40.0, 60.0, 80.0, 100.0], 0)
    """
    rough = (high - low) / count
    power = math.floor(math.log10(rough))
    step_of = {1: 1, 2: 2, 5: 5, 10: 10}
    factor = next(one for one in step_of if one * 10.0**power >= rough * (1 - 1e-12))
    step = factor * 10.0**power
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [round(number * step, digits) + 0.0 for number in range(first, last + 1)], digits


# ---------------------------------------------------------------------------------------- the frame


def _framed(figure: Figure, series: Sequence[dict[str, Any]], width: float, height: float) -> _Frame:
    left = max(_LEFT, _names_width(figure))
    ends = [_BOLD * len(one["label"]) + 14 for one in series if one.get("label") and one["kind"] == "line"]
    right = width - max(_RIGHT, *ends, 0.0) if ends else width - _RIGHT
    top = _TOP if figure["title"] else _UNTITLED
    bottom = height - _BOTTOM
    base = 0.0 if any(one["kind"] == "bars" for one in series) else None
    across = figure["x"].get("range") or span(_values(series, "x"))
    up = figure["y"].get("range") or span(_values(series, "y"), base)
    return _Frame(
        left,
        right,
        top,
        bottom,
        _axis(figure["x"], across, left, right, max(3.0, (right - left) / 70)),
        _axis(figure["y"], up, bottom, top, max(3.0, (bottom - top) / 34)),
    )


def _data_frame(figure: Figure, frame: _Frame) -> Markup:
    """The corners of the frame and the values there, by which a script finds the points of a cloud."""
    if not any(one["kind"] == "cloud" for one in figure["series"]):
        return Markup("")
    corners = [_number(end) for end in (frame.left, frame.right, frame.bottom, frame.top)]
    values = [f"{end:g}" for end in (*figure["x"]["range"], *figure["y"]["range"])]
    return Markup(' data-frame="{}"').format(" ".join([*corners, *values]))


def _names_width(figure: Figure) -> float:
    """The room that names of rows need beside the axis."""
    return _LETTER * max((len(name) for name in figure["y"].get("names") or ()), default=0) + 16


def _values(series: Iterable[dict[str, Any]], letter: str) -> Iterator[float | None]:
    for one in series:
        yield from _across(one) if letter == "x" else one["y"]
        for end in one.get(f"{letter}_ends", ()):
            yield from end


def _axis(axis: dict[str, Any], shown: Sequence[float], start: float, end: float, count: float) -> _Axis:
    scaled = cloud.logit if axis.get("scale") == "logit" else float
    low, high = map(scaled, shown)

    def place(value: float) -> float:
        return start + (scaled(value) - low) / (high - low) * (end - start)

    if "ticks" in axis:
        names = axis.get("names") or [f"{tick:g}" for tick in axis["ticks"]]
        return _Axis(place, tuple((place(tick), str(name)) for tick, name in zip(axis["ticks"], names, strict=True)))
    numbers, digits = ticks(min(low, high), max(low, high), count)
    return _Axis(place, tuple((place(number), _minus(f"{number:.{digits}f}")) for number in numbers))


def _axes(figure: Figure, frame: _Frame) -> Iterator[Markup]:
    grid = 'stroke="currentColor" stroke-opacity=".18"'
    lines = [f"M{frame.left:g} {_number(at)}H{_number(frame.right)}" for at, _ in frame.y.ticks]
    lines += [f"M{_number(at)} {frame.top:g}V{_number(frame.bottom)}" for at, _ in frame.x.ticks]
    yield Markup(f'<path class="grid" d="{"".join(lines)}" {grid}/>')
    for at, label in frame.y.ticks:
        yield _text(frame.left - 7, at + 4, label, anchor="end")
    for at, label in frame.x.ticks:
        yield _text(at, frame.bottom + 16, label, anchor="middle")
    middle = (frame.top + frame.bottom) / 2
    yield _text((frame.left + frame.right) / 2, frame.bottom + 35, figure["x"]["title"], anchor="middle")
    if figure["y"]["title"]:
        yield _text(12, middle, figure["y"]["title"], anchor="middle", turn=True)
    if figure["title"]:
        yield _text(6, 17, figure["title"], size=14)
    for number, one in enumerate(figure["series"] if figure.get("legend") else ()):
        y = frame.top + 18 * number
        yield Markup('<rect x="{}" y="{}" width="12" height="12" fill="{}" fill-opacity=".5"/>').format(
            _number(frame.right - 70), _number(y + 4), one["colour"]
        )
        yield _text(frame.right - 52, y + 14, one["name"])


def _text(  # noqa: PLR0913 - what SVG says of a text
    x: float, y: float, text: str, *, anchor: str = "", turn: bool = False, size: int = 0, colour: str = "currentColor"
) -> Markup:
    """A text at a place; `colour` of a label is its series'."""
    more = Markup("")
    if anchor:
        more += Markup(' text-anchor="{}"').format(anchor)
    if turn:
        more += Markup(' transform="rotate(-90 {} {})"').format(_number(x), _number(y))
    if size:
        more += Markup(' font-size="{}"').format(size)
    if colour != "currentColor":  # a label among lines, with a border of the ground's colour
        more += Markup(' font-weight="600" class="label" stroke="#fff" stroke-width="3" paint-order="stroke"')
    return Markup('<text x="{}" y="{}" fill="{}"{}>{}</text>').format(_number(x), _number(y), colour, more, text)


def _strip(strip: Figure, frame: _Frame, top: float) -> Markup:
    """Series under a figure, on its x axis, with a y axis of their own that begins at 0."""
    bottom = top + strip["height"] - 6
    shown = span([0.0, *_values(strip["series"], "y")], 0.0)
    own = replace(frame, top=top, bottom=bottom, y=_axis(strip["y"], shown, bottom, top, 2))
    bare = {**strip, "x": {"title": ""}, "y": {"title": ""}, "title": ""}
    axes = _axes(bare, replace(own, x=_Axis(frame.x.place, ())))
    title = _text(frame.left + 6, top + _LINE, strip["y"]["title"])
    return Markup().join([*axes, *(_series(one, own) for one in strip["series"]), title])


def _lines(figure: Figure) -> list[str]:
    lines: list[str] = figure.get("text", {}).get("lines", [])
    return lines


def _corner(figure: Figure, frame: _Frame) -> Iterator[Markup]:
    """Lines of text in a corner of the frame: `top left` or `bottom right`."""
    lines = _lines(figure)
    for at, line in enumerate(lines):
        if figure["text"]["corner"] == "top left":
            yield _text(frame.left + 6, frame.top + _LINE * (at + 1), line)
        else:
            yield _text(frame.right - 6, frame.bottom - 8 - _LINE * (len(lines) - 1 - at), line, anchor="end")


# --------------------------------------------------------------------------------------- the series


def _series(one: dict[str, Any], frame: _Frame) -> Markup:
    parts: list[Markup] = []
    kind = one["kind"]
    points = [
        (frame.x.place(x), frame.y.place(y), at)
        for at, (x, y) in enumerate(zip(_across(one), one["y"], strict=True))
        if x is not None and y is not None
    ]
    if kind == "bars":
        parts += _bars(one, frame)
    elif kind == "arrow":
        parts += _arrow(one, points)
    elif kind == "cloud":
        parts += cloud.paths(one, points)
    else:
        if kind == "line":
            parts += _band(one, frame)
        if kind in ("line", "rule"):
            parts.append(_stroke(one, points))
        if kind == "points":
            parts += _arms(one, frame)
        parts += _markers(one, points)
    key = one.get("key")
    start = Markup('<g data-key="{}">').format(key) if key else Markup("<g>")
    return start + Markup().join(parts) + Markup("</g>")


def _bars(one: dict[str, Any], frame: _Frame) -> Iterator[Markup]:
    width = max(1.0, abs(frame.x.place(one["dx"]) - frame.x.place(0)))
    for x, y in zip(_across(one), one["y"], strict=True):
        if x is not None and y:
            top = frame.y.place(y)
            yield Markup('<rect class="at" x="{}" y="{}" width="{}" height="{}" fill="{}" fill-opacity=".5"/>').format(
                _number(frame.x.place(x) - width / 2),
                _number(top),
                _number(width),
                _number(max(0.0, frame.bottom - top)),
                one["colour"],
            )


def _arrow(one: dict[str, Any], points: Sequence[tuple[float, float, int]]) -> Iterator[Markup]:
    if len(points) < 2:
        return
    (x1, y1, _), (x2, y2, _) = points[:2]
    length = math.hypot(x2 - x1, y2 - y1)
    if length < 2 * _HEAD:
        return
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    x1, y1, x2, y2 = x1 + 7 * dx, y1 + 7 * dy, x2 - 8 * dx, y2 - 8 * dy  # not under the markers
    sides = [(x2 - _HEAD * dx + s * _HEAD * dy / 2, y2 - _HEAD * dy - s * _HEAD * dx / 2) for s in (1, -1)]
    yield Markup('<path d="{}" fill="none" stroke="{}" stroke-width="1.3"/>').format(
        _path([(x1, y1), (x2, y2)]), one["colour"]
    )
    yield Markup('<path d="{}Z" fill="{}"/>').format(_path([(x2, y2), *sides]), one["colour"])


def _band(one: dict[str, Any], frame: _Frame) -> Iterator[Markup]:
    if "y_ends" not in one:
        return
    low, high = one["y_ends"]
    ends = [
        (frame.x.place(x), frame.y.place(down), frame.y.place(up))
        for x, down, up in zip(_across(one), low, high, strict=True)
        if x is not None and down is not None and up is not None
    ]
    if ends:
        outline = [*((x, up) for x, _, up in ends), *((x, down) for x, down, _ in reversed(ends))]
        yield Markup('<path d="{}Z" fill="{}" fill-opacity=".16"/>').format(_path(outline), one["colour"])


def _stroke(one: dict[str, Any], points: Sequence[tuple[float, float, int]]) -> Markup:
    thin = one["kind"] == "rule"
    dash = DASHES["dot" if thin else one.get("dash", "solid")]
    pattern = Markup(' stroke-dasharray="{}"').format(dash) if dash else Markup("")
    return Markup('<path d="{}" fill="none" stroke="{}" stroke-width="{}" stroke-linejoin="round"{}/>').format(
        _path([(x, y) for x, y, _ in points]), one["colour"], "1.5" if thin else "2", pattern
    )


def _arms(one: dict[str, Any], frame: _Frame) -> Iterator[Markup]:
    """Intervals of points, across and up."""
    lines = [_path(ends) for ends in _arm_ends(one, frame)]
    if lines:
        yield Markup('<path d="{}" fill="none" stroke="{}" stroke-width="1.5" stroke-opacity=".7"/>').format(
            "".join(lines), one["colour"]
        )


def _arm_ends(one: dict[str, Any], frame: _Frame) -> Iterator[tuple[_Point, _Point]]:
    px, py = frame.x.place, frame.y.place
    for at, (x, y) in enumerate(zip(_across(one), one["y"], strict=True)):
        if x is None or y is None:
            continue
        left, right = (_or(end[at], x) for end in one.get("x_ends", ([x] * (at + 1), [x] * (at + 1))))
        low, high = (_or(end[at], y) for end in one.get("y_ends", ([y] * (at + 1), [y] * (at + 1))))
        if left != right:
            yield (px(left), py(y)), (px(right), py(y))
        if low != high:
            yield (px(x), py(high)), (px(x), py(low))


def _markers(one: dict[str, Any], points: Sequence[tuple[float, float, int]]) -> Iterator[Markup]:
    symbol = str(one.get("symbol") or "")
    for x, y, at in points if symbol else ():
        if symbol == "ring":
            yield Markup('<circle class="at" cx="{}" cy="{}" r="{}" fill="none" stroke="{}"/>').format(
                _number(x), _number(y), _RING, one["colour"]
            )
            continue
        size = 1.25 if one["kind"] == "points" else 0.9
        look = Markup('fill="{}"').format(one["colour"])
        if one.get("hollow", [])[at : at + 1] == [True]:
            look = Markup('fill="none" stroke="{}" stroke-width="1.4"').format(one["colour"])
        yield Markup('<path class="at" d="{}" transform="translate({} {}) scale({:g})" {}/>').format(
            SYMBOLS[symbol], _number(x), _number(y), size, look
        )


# ---------------------------------------------------------------------------------------- the labels


def _labels(figure: Figure, frame: _Frame) -> Iterator[Markup]:
    """Names next to lines, at their right end, and next to points, where there is room."""
    lines = [one for one in figure["series"] if one.get("label") and one["kind"] in ("line", "rule")]
    ends: list[tuple[float, float, dict[str, Any]]] = []
    for one in lines:
        x, y = next(
            ((x, y) for x, y in zip(reversed(_across(one)), reversed(one["y"]), strict=True) if y is not None),
            (None, None),
        )
        if x is not None and y is not None:
            ends.append((frame.y.place(y), frame.x.place(x), one))
    for (_, x, one), y in zip(ends, _apart([y for y, _, _ in ends], frame), strict=True):
        if one["kind"] == "rule":
            yield _text(frame.left + 4, y - 5, one["label"])
        else:
            yield Markup('<g data-key="{}">{}</g>').format(
                one.get("key", ""), _text(x + 9, y + 4, one["label"], colour=one["colour"])
            )
    points = [one for one in figure["series"] if one.get("label") and one["kind"] == "points"]
    spots = [
        (frame.x.place(x), frame.y.place(y))
        for one in figure["series"]
        if one["kind"] == "points"
        for x, y in zip(one["x"], one["y"], strict=True)
        if x is not None and y is not None
    ]
    taken: list[_Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots]
    taken += [(x1 - 1, y1 - 1, x2 + 1, y2 + 1) for one in points for (x1, y1), (x2, y2) in _arm_ends(one, frame)]
    for one in points:
        if one["x"][0] is None or one["y"][0] is None:
            continue
        place = frame.x.place(one["x"][0]), frame.y.place(one["y"][0])
        box = _free(place, _BOLD * len(one["label"]), frame, taken)
        taken.append(box)
        yield Markup('<g data-key="{}">{}</g>').format(
            one.get("key", ""), _text(box[0], box[3] - 3, one["label"], colour=one["colour"])
        )


def _apart(places: Sequence[float], frame: _Frame) -> list[float]:
    """Heights of labels, moved until none covers another."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    moved = list(places)
    for before, at in itertools.pairwise(order):
        moved[at] = max(moved[at], moved[before] + _LINE)
    limit = frame.bottom
    for at in reversed(order):
        moved[at] = min(moved[at], limit)
        limit = moved[at] - _LINE
    return moved


def _free(place: _Point, width: float, frame: _Frame, taken: Sequence[_Box]) -> _Box:
    """Box for a label next to a point: the one that covers least, the nearer of two that cover the same."""
    x, y = place
    boxes = []
    for gap in (7.0, 18.0, 32.0):
        for top in (y - gap - _LINE, y - _LINE / 2, y + gap):
            beside = (x + gap, x - gap - width)
            middle = () if top == y - _LINE / 2 else (x - width / 2,)
            boxes += [(left, top, left + width, top + _LINE) for left in (*middle, *beside)]

    def cost(box: _Box) -> float:
        left, top, right, bottom = box
        outside = max(0.0, frame.left - left) + max(0.0, right - frame.right - _RIGHT + 2)
        outside += max(0.0, frame.top - top) + max(0.0, bottom - frame.bottom)
        covered = sum(
            max(0.0, min(right, r) - max(left, a)) * max(0.0, min(bottom, d) - max(top, b)) for a, b, r, d in taken
        )
        away = math.hypot(max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0))
        return covered + 50 * outside + 2 * away

    return min(boxes, key=cost)


# ---------------------------------------------------------------------------------------- the numbers


def _named(series: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return (
        one for one in series if one.get("name") and one["kind"] in ("line", "points") and one.get("symbol") != "ring"
    )


def _described(figure: Figure, one: dict[str, Any]) -> str:
    """A series in words: its first and last value, or each with its row's name."""
    letter = "x" if figure["y"].get("names") else "y"
    digits, across = figure[letter].get("digits", 2), figure["x"].get("digits", 2)
    points = [(x, y) for x, y in zip(_across(one), one["y"], strict=True) if x is not None and y is not None]
    values = [point["xy".index(letter)] for point in points]
    if not values:
        return f"{one['name']}: no value"
    if one["kind"] == "points" and len(values) == 1 and letter == "y":
        return _minus(f"{one['name']}: {points[0][0]:.{across}f}, {values[0]:.{digits}f}")
    ends = values if len(values) == 1 else [values[0], values[-1]]
    return f"{one['name']}: " + " to ".join(_minus(f"{value:.{digits}f}") for value in ends)


def _csv(figure: Figure, series: Iterable[dict[str, Any]]) -> str:
    """The figure's numbers: a row per point, those with a marker in the order of the markers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = [figure[letter]["title"] or letter for letter in "xy"]
    writer.writerow(["series", *titles, "x_low", "x_high", "y_low", "y_high", "n"])
    marked = [one for one in series if one.get("symbol") or one["kind"] == "bars"]
    lines = [one for one in series if one["kind"] == "line" and not one.get("symbol")]
    names = figure["y"].get("names") or []
    for one in (*marked, *lines):
        for at, (x, y) in enumerate(zip(_across(one), one["y"], strict=True)):
            if x is None or y is None or (one["kind"] == "bars" and not y):
                continue
            ends = [
                end[at] if at < len(end) else None for letter in "xy" for end in one.get(f"{letter}_ends", ((), ()))
            ]
            row = names[round(y)] if names and y is not None and 0 <= round(y) < len(names) else y
            counts = one.get("n") or []
            name = one["names"][at] if "names" in one else one.get("name", "")
            writer.writerow([name, x, row, *ends, counts[at] if at < len(counts) else None])
    return text.getvalue()


def _across(one: dict[str, Any]) -> list[float | None]:
    return one["x"] if "x" in one else [one["x0"] + at * one["dx"] for at in range(len(one["y"]))]


def _path(points: Iterable[_Point]) -> str:
    return "".join(f"{'L' if at else 'M'}{_number(x)} {_number(y)}" for at, (x, y) in enumerate(points))


def _number(value: float) -> str:
    """A coordinate with one decimal at most."""
    text = f"{value:.1f}"
    return text.removesuffix(".0").replace("-0", "0") if text == "-0.0" else text.removesuffix(".0")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
