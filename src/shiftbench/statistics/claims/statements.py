"""Claims, reported numbers and figures of a card, and the grammar of their expressions over metric rows.

A selector is a mapping of columns with `metric` (`{metric: auroc, model: palm}`). A combination has one key, its name,
and may have `over` (`{mean: SELECTOR, over: seed}`, `{difference: [SELECTOR, SELECTOR]}`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shiftbench.base.errors import suggest

Scale = Literal["smoke", "embedded", "full", "released"]
Unit = Literal["key", "seed", "model", "dataset", "shift"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Column = Literal[
    "benchmark", "model", "method", "detector", "dataset", "split", "reference", "shift", "severity",
    "group", "step", "metric",
]  # fmt: skip

ONE = ("mean", "max", "min", "median", "abs", "area", "slope", "cvar", "count")
"""Combinations of one operand."""
TWO = ("difference", "ratio", "spearman", "kendall")
"""Combinations of two operands."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reported(_Strict):
    """A number of the paper."""

    what: Text = Field(description="system and setting: `PALM + SSD+, CIFAR-100, ResNet-34, mean of 5 OOD sets`")
    metric: Text
    value: float | str = Field(description="as printed; a text where it is not one number")
    unit: Literal["percent"] | None = Field(
        None, description="percent: the paper prints a share as percent; the value here is printed so, too"
    )
    where: Text = Field(description="table, figure or section, or the repository's page")
    measured: dict[str, Any] | None = Field(
        None, description="expression whose value is shown beside it, of the same quantity"
    )
    scale: Scale = Field("embedded", description="at which `measured` can be evaluated")
    released: dict[str, Any] | tuple[dict[str, Any] | None, ...] | None = Field(
        None,
        description="expression over released rows that gives the number again; of a `value` with several numbers a "
        "list of them in their order, null where no file covers one",
    )

    @model_validator(mode="after")
    def _check(self) -> Reported:
        if self.measured is not None:
            check_expression(self.measured, "measured")
        for number, expression in enumerate(self.from_released):
            if expression is not None:
                check_expression(expression, f"released[{number}]")
        return self

    @property
    def from_released(self) -> tuple[dict[str, Any] | None, ...]:
        """Expressions over released rows, one for each of the first numbers of `value`."""
        if self.released is None:
            return ()
        return (self.released,) if isinstance(self.released, dict) else self.released


class Figure(_Strict):
    """A chart of metric rows with their intervals.

    Rows are means over training seeds; rows with equal `x` and `colour` must be one row.
    """

    title: Text
    note: str = Field("", description="how to read it")
    rows: dict[str, Any] = Field(description="an expression that leaves rows open, mostly a selector")
    x: Column = Field(description="column along the axis")
    colour: Column | None = Field(None, description="column whose values are drawn apart")
    kind: Literal["lines", "bars", "scatter"] = Field(
        "bars",
        description="lines: x is a number, or stands in `labels` in order; scatter: `rows` over `against`, by colour",
    )
    against: dict[str, Any] | None = Field(
        None, description="of a scatter: an expression for the places along the axis, one per colour"
    )
    slope: float | None = Field(None, description="of a scatter: a line through the origin is drawn beside the points")
    labels: dict[str, str | float] = Field(
        {},
        description="value of x or colour -> what is written instead; a number is a place on the axis; "
        "of `lines` the name of the column x -> title of the axis",
    )

    @model_validator(mode="after")
    def _check(self) -> Figure:
        check_expression(self.rows, "rows")
        if (self.kind == "scatter") != (self.against is not None):
            raise ValueError("a scatter, and nothing else, says `against`")
        if self.against is not None:
            if self.colour is None:
                raise ValueError("a scatter says by which column (`colour`) its points are told apart")
            check_expression(self.against, "against")
        return self


class Claim(_Strict):
    """A statement about metric rows, with the rule by which it is judged.

    `value` is an expression: a selector of rows (`{metric: auroc, model: palm, detector: ssd_plus}`), or one of
    the combinations with its operand(s): `{difference: [SELECTOR, SELECTOR]}`, `{mean: SELECTOR}`.
    """

    says: Text = Field(description="the claim in words, with its numbers")
    scale: Scale = "embedded"
    value: dict[str, Any] | None = Field(None, description="None: not yet an expression (`planned` cards only)")
    kind: Literal["superiority", "equivalence", "report"] = "superiority"
    margin: float = Field(0.0, description="superiority: value > margin; equivalence: |value| < margin")
    unit: Unit = Field(
        "key",
        description="what is resampled: samples, or training seeds too; or models, data sets or shifts, for others "
        "like them",
    )
    over: str | None = Field(None, description="column whose values are quantified over: seed, dataset, shift, ...")
    quantifier: Literal["all", "exists"] | Annotated[int, Field(ge=1)] = Field(
        "all", description="with `over`: of all values, of one, or of so many"
    )
    gate: dict[str, Any] | None = Field(None, description="{value, above}: must hold before the claim is judged")
    against: bool = Field(False, description="a claim that speaks against the system, which a fair card makes too")

    @model_validator(mode="after")
    def _check(self) -> Claim:
        if self.value is not None:
            check_expression(self.value, "value")
        if self.gate is not None:
            if set(self.gate) != {"value", "above"}:
                raise ValueError("gate has the keys `value` and `above`")
            check_expression(self.gate["value"], "gate.value")
        if self.kind == "equivalence" and self.margin <= 0:
            raise ValueError("equivalence needs a margin above 0")
        return self


def parts(combination: Mapping[str, Any]) -> tuple[str, Any, str | None]:
    """Name of a combination, its operand(s), and the column that it combines over (None: all rows)."""
    ((name, operand),) = ((key, value) for key, value in combination.items() if key != "over")
    return name, operand, combination.get("over")


def check_expression(value: object, where: str) -> None:
    """Check that a value is an expression.

    Raises:
        ValueError: it is not; the message says where.
    """
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{where}: expected a selector or a combination, found {value!r}")
    if "metric" in value:
        _check_columns(value, where)
        return
    if len(value.keys() - {"over"}) != 1:
        raise ValueError(f"{where}: a combination is one key, a selector has `metric`; found {', '.join(value)}")
    name, operand, over = parts(value)
    if name in ONE:
        check_expression(operand, f"{where}.{name}")
    elif name in TWO and over is None:
        _check_two(operand, f"{where}.{name}")
    else:
        raise ValueError(f"{where}: no combination is called {name!r} ({suggest(str(name), (*ONE, *TWO))})")


def _check_columns(selector: Mapping[Any, Any], where: str) -> None:
    for name in selector.keys() - {*get_args(Column), "seed"}:
        raise ValueError(f"{where}: metric rows have no column {name!r} ({suggest(str(name), get_args(Column))})")


def _check_two(operands: object, where: str) -> None:
    if not isinstance(operands, list) or len(operands) != 2:
        raise ValueError(f"{where}: expected a list of two operands")
    if operands[0] == operands[1]:
        raise ValueError(f"{where}: both operands are the same")
    for number, side in enumerate(operands):
        check_expression(side, f"{where}[{number}]")
