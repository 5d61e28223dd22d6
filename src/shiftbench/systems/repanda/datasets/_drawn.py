"""Claims drawn from a table: forms that are true, and the same forms with another entity or number that are false."""

from collections.abc import Sequence
from typing import NamedTuple

from shiftbench.base.rng import RandomStream
from shiftbench.data.tables import Column, Table, number, typed_columns
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.datasets._forms import Form

LONGEST = 60
"""Characters of a cell that a claim may name."""
TRIES = 40
DIGITS = 3


class Drawn(NamedTuple):
    """A form, and whether it is true."""

    form: Form
    true: bool


class Drawer:
    """Draws forms about one table, with words of a stream.

    Args:
        table: what they are about.
        rng: of the table.
    """

    def __init__(self, table: Table, rng: RandomStream) -> None:
        self.columns = typed_columns(table)
        cells = list(zip(*table["rows"], strict=True))
        self.cells = {
            column.name: _cell_texts(column, values) for column, values in zip(self.columns, cells, strict=True)
        }
        self.keys = [column.name for column in self.columns if self._names_rows(column)][:1]
        self.rng = rng

    def _names_rows(self, column: Column) -> bool:
        values = column.values
        return column.kind == "text" and len(set(values)) == len(values) and all(map(_short, values))

    def drawn(self, count: int, operations: Sequence[str]) -> list[Drawn]:
        """Up to `count` different forms, true and false ones in turn, each operation as often as possible."""
        forms: dict[Form, bool] = {}
        for turn in range(count * TRIES):
            if len(forms) == count:
                break
            operation = operations[turn % len(operations)]
            form = self._form(operation)
            true = len(forms) % 2 == 0
            candidate = form if form is None or true else self._alternative(form)
            if candidate is not None and _forms.holds(candidate, self.columns) is true:
                forms.setdefault(candidate, true)
        return [Drawn(form, true) for form, true in forms.items()]

    def _form(self, operation: str) -> Form | None:
        """A form that is true of the table, if there is one."""
        numeric = operation in _forms.NUMERIC
        names = [typed_column.name for typed_column in self.columns if not numeric or typed_column.kind != "text"]
        column, key = self._one(names), self._one(self.keys)
        if not column or (operation in KEYED and key in ("", column)):
            return None
        form = getattr(self, f"_{operation}")(Form(operation, column, key=key))
        return form if form is not None and _forms.holds(form, self.columns) else None

    def _one(self, names: Sequence[str]) -> str:
        """One of several; empty where there is none."""
        return names[int(self.rng.integers(0, len(names)))] if names else ""

    def _cell(self, column: str) -> str:
        """A cell of a column that can be named; empty where there is none."""
        return self._one([cell for cell in self.cells[column] if _short(cell)])

    def _value_of(self, form: Form, entity: str) -> str:
        """The cell of a row in the column that a form is about; empty where it is missing."""
        return dict(zip(self.cells[form.key], self.cells[form.column], strict=True))[entity]

    def _lookup(self, form: Form) -> Form | None:
        entity = self._cell(form.key)
        value = self._value_of(form, entity)
        return form._replace(entity=entity, value=value) if _short(value) else None

    def _not_lookup(self, form: Form) -> Form | None:
        entity, value = self._cell(form.key), self._cell(form.column)
        return form._replace(entity=entity, value=value) if value else None

    def _count(self, form: Form) -> Form | None:
        entity = self._cell(form.column)
        if not entity:
            return None
        column = next(candidate for candidate in self.columns if candidate.name == form.column)
        value = entity if column.kind == "text" else number(entity)
        return form._replace(entity=entity, key="", value=str(column.values.count(value)))

    def _none(self, form: Form) -> Form | None:
        """Name what is not there: a cell of another column of texts, or a number above all."""
        kinds = {one.name: one.kind for one in self.columns}
        if kinds[form.column] != "text":
            return form._replace(key="", value=_rounded(2 * abs(self._numbers(form)[-1][0]) + 1))
        others = [name for name, kind in kinds.items() if kind == "text" and name != form.column]
        value = self._cell(self._one(others) or form.column)
        return form._replace(key="", value=value) if value else None

    def _numbers(self, form: Form) -> list[tuple[float, str]]:
        return sorted((float(number(cell)), cell) for cell in self.cells[form.column] if cell)

    def _highest(self, form: Form) -> Form:
        return form._replace(key="", value=self._numbers(form)[-1][1])

    def _lowest(self, form: Form) -> Form:
        return form._replace(key="", value=self._numbers(form)[0][1])

    def _superlative(self, form: Form) -> Form | None:
        best = self._numbers(form)[-1][1]
        rows = zip(self.cells[form.key], self.cells[form.column], strict=True)
        entity = next(name for name, cell in rows if cell == best)
        return form._replace(entity=entity)

    def _mean_above(self, form: Form) -> Form:
        values = [value for value, _ in self._numbers(form)]
        return form._replace(key="", value=_rounded(sum(values) / len(values) * 0.8))

    def _all_above(self, form: Form) -> Form:
        low = self._numbers(form)[0][0]
        return form._replace(key="", value=_rounded(low - abs(low) * 0.2 - 1))

    def _difference(self, form: Form) -> Form | None:
        one, other = self._cell(form.key), self._cell(form.key)
        larger, smaller = self._value_of(form, one), self._value_of(form, other)
        if one == other or not larger or not smaller:
            return None
        difference = float(number(larger)) - float(number(smaller))
        return form._replace(entity=one, other=other, value=_rounded(difference, 9)) if difference > 0 else None

    def _alternative(self, form: Form) -> Form | None:
        """The form with another entity, cell or number; it may still be true."""
        if form.operation in ("lookup", "superlative"):
            return form._replace(entity=self._cell(form.key))
        if form.operation == "not_lookup":
            value = self._value_of(form, form.entity)
            return form._replace(value=value) if _short(value) else None
        if form.operation == "count":
            return form._replace(value=str(int(form.value) + 1 + int(self.rng.integers(0, 3))))
        if form.operation in ("none", "highest", "lowest"):
            return form._replace(value=self._cell(form.column))
        times = 1.5 if form.operation != "difference" else 2.0
        amount = float(number(form.value))
        return form._replace(value=_rounded(amount * times if amount > 0 else amount / times + 3))


KEYED = ("lookup", "not_lookup", "superlative", "difference")


def _cell_texts(column: Column, cells: Sequence[str | None]) -> list[str]:
    """The cells of a column as they stand in its table, without white space; empty where one is missing."""
    pairs = zip(cells, column.values, strict=True)
    return ["" if value is None else (cell or "").strip() for cell, value in pairs]


def _short(cell: object) -> bool:
    return isinstance(cell, str) and 0 < len(cell) <= LONGEST


def _rounded(value: float, digits: int = DIGITS) -> str:
    """A decimal of some digits, without an exponent."""
    return f"{float(f'{value:.{digits}g}'):f}".rstrip("0").rstrip(".")
