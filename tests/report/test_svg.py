"""Figures as SVG: well-formed, inside their frame, with all their numbers, whatever names and values they have."""

import csv
import io
import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from makers.synthetic_outputs import NASTY
from shiftbench.report import figures, svg
from shiftbench.report.figures import Figure, Line, Style
from shiftbench.report.measures import Entry, Measure

NAME = "{http://www.w3.org/2000/svg}"
ACCURACY = Measure("accuracy", "share", True)


def drawn(figure: Figure) -> ElementTree.Element:
    """The root of a figure's SVG."""
    return ElementTree.fromstring(str(svg.svg(figure, "A figure")))


def random_entry(rng: np.random.Generator) -> Entry:
    if rng.random() < 0.1:
        return Entry(None, None, None, 5)
    value, width = rng.random(), 0.2 * rng.random()
    has_ends = rng.random() < 0.8
    return Entry(
        value, value - width if has_ends else None, value + width if has_ends else None, int(rng.integers(1, 9999))
    )


def random_lines(rng: np.random.Generator) -> list[Line[float]]:
    names = [f"model {number} {NASTY}" for number in range(rng.integers(1, 12))]
    styles = Style.of(dict(zip(map(str, range(len(names))), names, strict=True)))
    places = tuple(float(one) for one in sorted(rng.choice(6, size=rng.integers(1, 6), replace=False)))
    return [Line(style, places, tuple(random_entry(rng) for _ in places)) for style in styles.values()]


@pytest.mark.parametrize("seed", range(12))
def test_random_figures_are_well_formed_and_have_all_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lines = random_lines(rng)
    pairs = [(line.style, random_entry(rng), random_entry(rng)) for line in lines]
    rows = [Line(line.style, tuple(f"row {at:g} {NASTY}" for at in line.at), line.entries) for line in lines]
    ends = [((pairs[0][1], pairs[0][2]), (pairs[-1][1], pairs[-1][2]))]
    for figure in (
        figures.curves(lines, ACCURACY, NASTY),
        figures.curves(lines, ACCURACY, "", rings=lines[:2]),
        figures.points(rows, ACCURACY, ""),
        figures.scatter(pairs, ACCURACY, ACCURACY, "", rings=pairs[:1], arrows=ends),
        figures.forest([(NASTY, one, True) for _, one, _ in pairs if one.value is not None], ACCURACY, ""),
    ):
        root = drawn(figure)
        assert not root.findall(f".//{NAME}script")
        counted = [one for one in figure["series"] if one["kind"] in ("line", "points")]
        points = [
            (one["name"], x, y)
            for one in counted
            for x, y in zip(one["x"], one["y"], strict=True)
            if x is not None and y is not None
        ]
        header, *table = csv.reader(io.StringIO(root.find(f"{NAME}metadata").text))  # type: ignore[union-attr]
        assert header[0] == "series"
        assert [row[0] for row in table] == [name for name, *_ in points]
        marks = [one for one in root.iter() if one.get("class") == "at"]
        assert len(marks) == len(points)
        for mark in marks:  # inside the drawing
            place = re.findall(r"-?[\d.]+", mark.get("transform") or f"{mark.get('cx')} {mark.get('cy')}")
            assert -1 <= float(place[0]) <= figure.get("width", svg.WIDTH) + 1
            assert -1 <= float(place[1]) <= figure["height"] + 1


def test_a_marker_is_where_its_value_is_on_the_axis() -> None:
    style = Style.of({"a": "a"})["a"]
    entries = tuple(Entry(value, None, None, 1) for value in (0.2, 0.4, 0.9))
    root = drawn(figures.curves([Line(style, (0.0, 1.0, 5.0), entries)], ACCURACY, ""))
    marks = [one.get("transform") or "" for one in root.iter() if one.get("class") == "at"]
    places = [tuple(map(float, re.findall(r"[\d.]+", one)[:2])) for one in marks]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert math.isclose((x1 - x0) / (x2 - x0), 1 / 5, abs_tol=0.01)
    assert math.isclose((y0 - y1) / (y0 - y2), 2 / 7, abs_tol=0.01)


def test_series_can_be_hidden_by_their_key_and_described_by_their_values() -> None:
    styles = Style.of({"one": "First", "two": "Second"})
    lines = [
        Line(style, (0.0, 5.0), (Entry(0.9, 0.8, 1.0, 7), Entry(value, None, None, 7)))
        for style, value in zip(styles.values(), (0.5, 0.25), strict=True)
    ]
    root = drawn(figures.curves(lines, ACCURACY, ""))
    assert [one.get("data-key") for one in root.iter(f"{NAME}g")] == ["one", "two"]
    assert root.get("aria-label") == "A figure. First: 90.0 to 50.0; Second: 90.0 to 25.0"


@pytest.mark.parametrize("seed", range(8))
def test_ticks_are_round_few_and_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        low = float(rng.normal(scale=10.0 ** rng.integers(-4, 5)))
        high = low + float(rng.random() + 1e-3) * 10.0 ** rng.integers(-4, 5)
        numbers, digits = svg.ticks(low, high, 5)
        assert 2 <= len(numbers) <= 12
        room = 1e-6 * (high - low)
        assert all(low - room <= number <= high + room for number in numbers)
        steps = np.diff(numbers)
        assert np.allclose(steps, steps[0], rtol=1e-6)
        assert len({f"{number:.{digits}f}" for number in numbers}) == len(numbers)


def test_labels_of_lines_do_not_cover_each_other() -> None:
    styles = Style.of({str(at): f"model {at}" for at in range(9)})
    lines = [
        Line(style, (0.0, 5.0), (Entry(0.9, None, None, 1), Entry(0.5 + at / 1000, None, None, 1)))
        for at, style in enumerate(styles.values())
    ]
    root = drawn(figures.curves(lines, ACCURACY, "", rings=[]))
    heights = sorted(
        float(one.get("y") or 0) for one in root.iter(f"{NAME}text") if (one.text or "").startswith("model")
    )
    assert len(heights) == 9
    assert min(np.diff(heights)) >= 13


def test_labels_of_points_cover_neither_each_other_nor_their_intervals() -> None:
    """Three models that hardly differ, with names as long as those of real ones."""
    names = [f"EfficientNet-Lite{at} + linear probe" for at in range(3)]
    styles = Style.of(dict(zip("abc", names, strict=True))).values()
    pairs = [
        (style, Entry(at, at - 0.03, at + 0.03, 9), Entry(up, up - 0.06, up + 0.06, 9))
        for style, at, up in zip(styles, (0.72, 0.746, 0.763), (0.635, 0.637, 0.647), strict=True)
    ]
    low = (Style.of({"d": "SqueezeNet"})["d"], Entry(0.6, None, None, 9), Entry(0.4, None, None, 9))
    root = drawn(figures.scatter([*pairs, low], ACCURACY, ACCURACY, "") | {"width": 560, "height": 380})
    boxes = [
        (float(one.attrib["x"]), float(one.attrib["y"]), len(one.text or "") * 6.8)
        for one in root.iter(f"{NAME}text")
        if one.text in names
    ]
    assert len(boxes) == 3
    for (x1, y1, wide1), (x2, y2, wide2) in itertools.combinations(boxes, 2):
        assert abs(y1 - y2) >= 12 or x1 + wide1 <= x2 or x2 + wide2 <= x1


def test_long_names_of_rows_are_not_cut() -> None:
    name = "EfficientNet-Lite0 + fine-tuning \u2212 SqueezeNet 1.1 + linear probe"
    root = drawn(figures.forest([(name, Entry(0.1, 0.05, 0.2, 9), True)], ACCURACY, ""))
    (shown,) = (one for one in root.iter(f"{NAME}text") if one.text == name)
    assert float(shown.attrib["x"]) >= 6.5 * len(name)  # its right end, px


def test_counts_are_in_a_strip_of_their_own() -> None:
    style = Style.of({"a": "A"})["a"]
    bins = figures.Bins((3, 9, 14), (4, 30, 80), (1, 15, 78), (1.1, 19.0, 79.0), 1, 0.0421)
    figure = figures.reliability(bins, style, 15)
    root = drawn(figure)
    height, added = figure["height"], figure["below"]["height"]
    assert float(root.attrib["viewBox"].split()[3]) == height + added
    bars = root.findall(f".//{NAME}rect")
    assert len(bars) == 3
    assert all(height <= float(one.attrib["y"]) <= height + added for one in bars)
    texts = [one.text for one in root.iter(f"{NAME}text")]
    assert {"ECE 4.2%", "4 of 114 not drawn", "samples"} <= set(texts)
    assert "ECE 4.2%; 4 of 114 not drawn" in root.attrib["aria-label"]
    table = root.find(f"{NAME}metadata")
    assert table is not None
    rows = list(csv.reader(io.StringIO(table.text or "")))[1:]
    marks = [one for one in root.iter() if one.get("class") == "at"]
    assert [row[0] for row in rows[: len(marks)]] == ["A"] * 2 + ["samples"] * 3
    assert [row[2] for row in rows[2:5]] == ["4", "30", "80"]
