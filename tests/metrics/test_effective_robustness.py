"""Effective robustness: the published triples, and lines that are fitted without who is judged."""

import numpy as np
import pytest

from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.plugins.metrics import effective_robustness as metric
from shiftbench.statistics.rows import Row

DRAWS = np.array([0.01, -0.02])


def row(weights: str, value: float, shift: str = "identity", severity: float = 0.0) -> Row:
    reference = None if shift == "identity" else "scenes/test/identity/0"
    seed = int(weights[-1]) if weights.endswith(("-s0", "-s1")) else None
    who = ("c", "detection", weights, "plain", None, "scenes", "test", reference, shift, severity)
    return Row(*who, None, None, "map", value, value + DRAWS, 10, seed, "key")


def both(weights: str, clean: float, shifted: float) -> list[Row]:
    return [row(weights, clean), row(weights, shifted, "cartoon", 5.0)]


def found(rows: list[Row], **options: object) -> dict[tuple[str, str | None, float | None], Row]:
    made = metric.compute(rows, **{**defaults(metric), "of": "map", **options})  # type: ignore[arg-type]
    return {(one.model, one.shift, one.severity): one for one in made}


@pytest.mark.parametrize(
    ("clean", "shifted", "expected"), [(65.4, 63.7, 34.3), (65.3, 64.0, 34.6), (65.6, 66.4, 36.85), (37.4, 16.4, -0.4)]
)
def test_published_triples(clean: float, shifted: float, expected: float) -> None:
    rows = found(both("coco/net", clean / 100, shifted / 100), slope=0.45, intercept=0.0)
    assert len(rows) == 3  # at the severity, of the shift, over shifts
    for one in rows.values():
        assert 100 * one.value == pytest.approx(expected, abs=0.1)
        # Paired: a draw moves both by as much.
        assert one.resamples - one.value == pytest.approx(0.55 * DRAWS)


def test_a_line_leaves_out_who_is_judged() -> None:
    zoo = {"coco/a": (0.2, 0.1), "coco/b": (0.4, 0.28), "coco/c": (0.5, 0.2)}
    rows = [one for name, pair in zoo.items() for one in both(name, *pair)]
    rows += both("coco/new", 0.6, 0.5)
    made = found(rows, zoo=list(zoo), intercept=0.0)

    def through_origin(*names: str) -> float:
        x, y = np.array([zoo[name] for name in names]).T
        return float((x * y).sum() / (x * x).sum())

    place = ("cartoon", 5.0)
    assert made["coco/new", *place].value == pytest.approx(0.5 - 0.6 * through_origin(*zoo))
    assert made["coco/a", *place].value == pytest.approx(0.1 - 0.2 * through_origin("coco/b", "coco/c"))
    short = found(rows, zoo=["a", "b", "c"])
    steep, low = np.polyfit(*np.array(list(zoo.values())).T, 1)
    assert short["coco/new", *place].value == pytest.approx(0.5 - (low + steep * 0.6))
    # One point has no line; a seed is left out with its family.
    assert np.isnan(found(rows, zoo=["coco/a"])["coco/new", *place].value)
    seeds = rows + both("coco/a-s0", 0.2, 0.1) + both("coco/a-s1", 0.2, 0.1)
    assert found(seeds, zoo=list(zoo), intercept=0.0)["coco/a-s0", *place].value == made["coco/a", *place].value


def test_one_severity_of_several() -> None:
    rows = [*both("coco/a", 0.4, 0.1), row("coco/a", 0.3, "cartoon", 1.0), row("coco/a", 0.2, "fog", 5.0)]
    made = found(rows, slope=0.5, intercept=0.0, severity=5.0)
    assert {place[1:] for place in made} == {
        *(("cartoon", 5.0), ("cartoon", None), ("fog", 5.0), ("fog", None)),
        (None, None),
    }
    assert made["coco/a", None, None].value == pytest.approx((0.1 + 0.2) / 2 - 0.2)
    whole = found(rows, slope=0.5, intercept=0.0)["coco/a", "cartoon", None]
    assert whole.value == pytest.approx(0.2 - 0.2)


def test_the_rank_of_severity() -> None:
    from shiftbench.plugins.metrics.severity import severity_rank

    rows = both("coco/a", 0.4, 0.1)
    rows += [row("coco/a", value, "cartoon", level) for level, value in ((1.0, 0.3), (3.0, 0.35))]
    (made,) = severity_rank.compute(rows, "map", falling=False)
    # Falling but for one pair of neighbours: 0.4 0.3 0.35 0.1 have ranks 4 2 3 1, 1 - 6 (9 + 0 + 0 + 9) / 60.
    assert made.value == pytest.approx(-0.8)
    assert (made.shift, made.severity) == ("cartoon", None)
    assert made.resamples == pytest.approx([-0.8, -0.8])


def test_logits() -> None:
    zoo = {"coco/a": (0.2, 0.1), "coco/b": (0.4, 0.28), "coco/c": (0.5, 0.2)}
    rows = [one for name, pair in zoo.items() for one in both(name, *pair)] + both("n", 0.9, 0.7)
    x, y = np.log(np.array(list(zoo.values())).T) - np.log(1 - np.array(list(zoo.values())).T)
    steep, low = np.polyfit(x, y, 1)
    expected = 0.7 - 1 / (1 + np.exp(-(low + steep * np.log(9))))
    made = found(rows, zoo=list(zoo), scale="logit")["n", "cartoon", 5.0]
    assert made.value == pytest.approx(expected)


def test_lines_that_cannot_be_are_told() -> None:
    rows = both("coco/a", 0.2, 0.1)
    with pytest.raises(ParamsError, match="give slope and intercept, or a zoo"):
        found(rows, slope=0.45)
    with pytest.raises(ParamsError, match="scale: 'log' .did you mean logit"):
        found(rows, scale="log", zoo=["a"])
    with pytest.raises(ParamsError, match="zoo: 'b' has no rows in this benchmark"):
        found(rows, zoo=["b"])
