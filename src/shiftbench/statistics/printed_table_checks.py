"""Checks of a printed table of results: where its numbers contradict each other, without the data behind them.

Each check knows a relation that printed numbers keep: a mean is that of its terms, a share of n samples is a multiple
of 1/n, two rows do not agree in many digits by chance. It reports rows that break a relation which other rows keep, or
a coincidence that is too unlikely. A finding is no verdict: a rule that the table does not state may explain it.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.statistics import odd_cells
from shiftbench.statistics.printed_tables import Column, Labels, Number, Table

_MEAN = re.compile(
    r"(avg|average|mean|total|overall)\b.*|.*\b(avg|average|mean|total)|(near|far)[ _-]?ood", re.IGNORECASE
)
_SHARE = re.compile(r".*(acc|top-?[15]|auroc|aupr|auc|fpr|tpr|precision|recall|f1).*", re.IGNORECASE)
_ENOUGH = 3
"""Rows, or numbers, below which a coincidence says nothing."""
_SCREENED = 24
"""Rows from which it is seen whether three columns may be a difference."""
_LOOSE = 1e-6
_RARE = 0.01
_UNLIKELY = 1e-4
"""Expected number of coincidences in a table, below which one is reported."""


Series = Iterable[Sequence[tuple[bool, int, Number | None]]]
"""Terms and means in their order: whether it is a mean, its row, the number."""


class Finding(NamedTuple):
    """What a check saw.

    Attributes:
        check: name of the check.
        rows: the rows that it is about, from 1 without the header.
        column: the column that it is about; empty: several.
        what: what was seen, and what was expected.
    """

    check: str
    rows: tuple[int, ...]
    column: str
    what: str


def findings(table: Table) -> list[Finding]:
    """What the checks of one table see, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(table)]


def copies(tables: Mapping[str, Table]) -> Iterator[tuple[str, str]]:
    """Pairs of tables with the same numbers in the same order: six numbers or more, of three digits or more.

    Args:
        tables: name -> table.
    """
    alike: dict[tuple[Labels, ...], list[str]] = defaultdict(list)
    for name, table in tables.items():
        texts = tuple(tuple(map(_text, cells)) for cells in table.numbers.values())
        if len({text for cells in texts for text in cells if _digits(text) >= _ENOUGH}) >= 2 * _ENOUGH:
            alike[texts].append(name)
    return itertools.chain.from_iterable(itertools.combinations(names, 2) for names in alike.values())


def outliers(table: Table, columns: Sequence[str]) -> Iterator[Finding]:
    """Cells far from what their row has in other columns, see `odd_cells`; on logits, where all are shares or percent.

    One clean table in a hundred has such a cell, where the rest of a table is normal.

    Args:
        table: of methods, say.
        columns: of one metric, such as AUROC on several data sets.

    Raises:
        ParamsError: a column is not there, or holds no numbers.
        DataError: too few rows or columns.
    """
    for name in columns:
        if name not in table.numbers:
            raise ParamsError(f"no column of numbers is called {name!r}; {suggest(name, table.numbers)}")
    cells = np.array([[cell.value if cell else np.nan for cell in table.numbers[name]] for name in columns]).T
    whole = 1.0 if np.nanmax(cells, initial=0.0) <= 1 else 100.0
    on_logits = bool(((cells > 0) & (cells < whole))[np.isfinite(cells)].all())
    scaled = np.log(cells / (whole - cells)) if on_logits else cells
    found = odd_cells.find(scaled, error=_RARE)
    for row, column in np.argwhere(found.odd):
        rest = float(scaled[row, column] - found.residuals[row, column])
        expected = whole / (1 + math.exp(-rest)) if on_logits else rest
        told = f"is {cells[row, column]:g}; the effects of its row and its column give {expected:.4g}"
        yield Finding("outliers", _from_1([int(row)]), columns[column], told)


# ------------------------------------------------------------------ the checks


def means(table: Table) -> Iterator[Finding]:
    """A printed mean is that of its terms: a row `average` that of rows before it, a column that of other columns.

    The terms are those since the mean before, all others, or all that follow, whichever rule holds in most rows. It
    must hold in two rows and a fifth of them, else no rule is known and nothing is said.
    """
    for label, cells in table.labels.items():
        if any(map(_MEAN.fullmatch, cells)):
            groups: dict[Labels, list[int]] = defaultdict(list)
            for row, name in enumerate(table.names(without=[label])):
                groups[name].append(row)
            for column, numbers in table.values():
                series = [[(bool(_MEAN.fullmatch(cells[r])), r, numbers[r]) for r in rows] for rows in groups.values()]
                yield from _wrong_means(column, series)
    columns = dict(table.values())
    if any(map(_MEAN.fullmatch, columns)):
        for column in filter(_MEAN.fullmatch, columns):
            across = [
                [(name == column, row, cells[row]) for name, cells in columns.items()
                 if name == column or not _MEAN.fullmatch(name)]
                for row in range(table.rows)
            ]  # fmt: skip
            yield from _wrong_means(column, across)


def differences(table: Table) -> Iterator[Finding]:
    """A column of differences is a - b in all rows, and not b - a in some of them.

    A column without negative numbers may hold distances, which have no sign.
    """
    for three in _related(table.values()):
        relations = [_Difference.of(*(three[at] for at in order)) for order in ((1, 2, 0), (0, 2, 1), (0, 1, 2))]
        relation = max(relations, key=lambda one: len(one.kept))  # of equal ones the last: a difference stands behind
        if relation.holds:
            yield from relation.exceptions()


def _related(columns: Iterable[Column]) -> Iterator[tuple[Column, Column, Column]]:
    """Triples of columns of which one is the difference of the others in half of some rows, spread over the table.

    A table of 200 columns has a million triples, and nearly none of them is a relation.
    """
    every = list(columns)
    rows = sorted({int(row) for row in np.linspace(0, len(every[0][1]) - 1, _SCREENED)}) if every else []
    cells = [[column[1][row] for row in rows] for column in every]
    values = np.array([[cell.value if cell else np.nan for cell in own] for own in cells])
    halves = np.array([[cell.half if cell else 0.0 for cell in own] for own in cells])
    for one, two in itertools.combinations(range(len(every)), 2):
        third, slack = np.abs(values[two + 1 :]), halves[two + 1 :] + halves[one] + halves[two]
        sizes = np.abs(values[one] - values[two]), np.abs(values[one] + values[two])  # x is y - z, y + z or z - y
        off = np.minimum(*(np.abs(third - size) for size in sizes)) - slack
        told = np.isfinite(off).sum(axis=1)
        kept = (np.nan_to_num(off, nan=1.0) <= _LOOSE).sum(axis=1)
        for more in np.flatnonzero(2 * kept >= told):
            yield every[one], every[two], every[two + 1 + int(more)]


@dataclass(frozen=True, slots=True)
class _Difference:
    """That a column is the difference of two others, up to its sign.

    Attributes:
        first: name of the first of the two.
        second: name of the second.
        name: name of the column.
        rows: row -> first less second, the number of the column, the slack of both.
        kept: the rows in which they have the same size.
    """

    first: str
    second: str
    name: str
    rows: dict[int, tuple[float, Number, float]]
    kept: set[int]

    @classmethod
    def of(cls, first: Column, second: Column, name: Column) -> _Difference:
        """The relation of three columns, each a name and its numbers."""
        rows = {
            row: (x.value - y.value, z, x.half + y.half + z.half)
            for row, (x, y, z) in enumerate(zip(first[1], second[1], name[1], strict=True))
            if x and y and z
        }
        kept = {row for row, (found, z, slack) in rows.items() if _near(abs(found), abs(z.value), slack)}
        return cls(first[0], second[0], name[0], rows, kept)

    @property
    def holds(self) -> bool:
        """Whether it holds in nine of ten rows, and in three of three digits or more."""
        telling = [row for row in self.kept if _digits(self.rows[row][1].text) >= _ENOUGH]
        return len(self.kept) >= 0.9 * len(self.rows) and len(telling) >= _ENOUGH

    def exceptions(self) -> Iterator[Finding]:
        """The rows with the other sign, and those with another size."""
        signs = {row: found * z.value for row, (found, z, slack) in self.rows.items() if abs(found) > slack}
        plus, minus = ([row for row in self.kept & set(signs) if signs[row] * side > 0] for side in (1, -1))
        if plus and minus and min(z.value for _, z, _ in self.rows.values()) < 0:
            fewer = min(plus, minus, key=len)
            order = f"{self.second} - {self.first}" if fewer is minus else f"{self.first} - {self.second}"
            told = f"is {order} here, and the opposite in other rows"
            yield Finding("differences", _from_1(fewer), self.name, told)
        for row in sorted(set(self.rows) - self.kept):
            found, z, _ = self.rows[row]
            told = f"is {z.text}, but {self.first} and {self.second} differ by {abs(found):.6g}"
            yield Finding("differences", _from_1([row]), self.name, told)


def complements(table: Table) -> Iterator[Finding]:
    """Two columns that add up to 1 or 100 in nine rows of ten (accuracy and error) do so in all rows."""
    for (first, a), (second, b) in itertools.combinations(table.numbers.items(), 2):
        pairs = [(row, x, y) for row, (x, y) in enumerate(zip(a, b, strict=True)) if x and y]
        for whole in (1.0, 100.0):
            off = [(row, x, y) for row, x, y in pairs if not _near(x.value + y.value, whole, x.half + y.half)]
            if off and len(pairs) >= 10 * len(off) and len({x.value for _, x, _ in pairs}) >= _ENOUGH:
                for row, x, y in off:
                    told = f"{first} {x.text} and {second} {y.text} do not add up to {whole:g}, as in the other rows"
                    yield Finding("complements", _from_1([row]), second, told)


def shares(table: Table) -> Iterator[Finding]:
    """A share lies in 0 to 1 or 0 to 100, and of n samples it is k/n.

    The second part is the GRIM test (Brown and Heathers, Social Psychological and Personality Science 2017). Its slack
    is a tenth wider than half a unit, since values of timm were rounded to four digits before they were to three.
    """
    for column, cells in table.values():
        if not _SHARE.fullmatch(column) or column.casefold().endswith("diff"):
            continue
        present = [(row, cell) for row, cell in enumerate(cells) if cell]
        whole = 1.0 if all(-1 <= cell.value <= 1 for _, cell in present) else 100.0
        inside = [(row, cell) for row, cell in present if 0 <= cell.value <= whole]
        if len(inside) >= max(_ENOUGH, 0.9 * len(present)):  # else it is no share: a gain, say
            for row, cell in sorted(set(present) - set(inside)):
                told = f"is {cell.text}, outside of 0 to {whole:g}"
                yield Finding("shares", _from_1([row]), column, told)
        n = table.n
        for row, cell in inside:
            if n is None:
                break
            nearest = round(cell.value / whole * n) / n * whole
            if not _near(nearest, cell.value, 1.1 * cell.half):
                told = f"is {cell.text}, which no share of {n} samples rounds to; the nearest is {nearest:.6g}"
                yield Finding("shares", _from_1([row]), column, told)


def constants(table: Table) -> Iterator[Finding]:
    """An outcome for each item (0 or 1) varies over twenty rows."""
    for column, cells in table.values():
        values = {cell.value for cell in cells if cell}
        if len(values) == 1 and values <= {0.0, 1.0} and sum(cell is not None for cell in cells) >= 20:
            told = f"is {values.pop():g} in all {table.rows} rows, so it tells no row from another"
            yield Finding("constants", (), column, told)


def repeats(table: Table) -> Iterator[Finding]:
    """The labels of a row are its own: two rows of one name are several runs, or one of them has a wrong name."""
    places: dict[Labels, list[int]] = defaultdict(list)
    for row, name in enumerate(table.names()):
        places[name].append(row)
    if len(places) < table.rows / 2 or not table.labels:  # the labels name groups, not rows
        return
    for name, rows in places.items():
        if len(rows) > 1:
            numbers = {tuple(_text(cells[row]) for cells in table.numbers.values()) for row in rows}
            told = "with different numbers" if len(numbers) > 1 else "with equal numbers"
            yield Finding("repeats", _from_1(rows), "", f"are all called {' '.join(name)!r}, {told}")


def blocks(table: Table) -> Iterator[Finding]:
    """Two blocks of rows which differ in one label (two models on the same tasks) have not all numbers in common."""
    for inner in table.labels:
        outer = [name for name in table.labels if name != inner]
        grouped: dict[Labels, dict[str, Labels]] = defaultdict(dict)
        rows: dict[Labels, list[int]] = defaultdict(list)
        for row, name in enumerate(table.names(without=[inner])):
            grouped[name][table.labels[inner][row]] = tuple(_text(cells[row]) for cells in table.numbers.values())
            rows[name].append(row)
        alike: dict[frozenset[tuple[str, Labels]], list[Labels]] = defaultdict(list)
        for name, cells in grouped.items():
            if len(cells) >= _ENOUGH:
                alike[frozenset(cells.items())].append(name)
        for one, other in itertools.chain.from_iterable(itertools.combinations(names, 2) for names in alike.values()):
            differing = [at for at, (x, y) in enumerate(zip(one, other, strict=True)) if x != y]
            if len(differing) != 1:
                continue
            told = {text for cells in grouped[one].values() for text in cells if _digits(text) >= _ENOUGH}
            if len(told) >= 2 * _ENOUGH:
                names = f"{outer[differing[0]]} {one[differing[0]]!r} and {other[differing[0]]!r}"
                what = f"{names} have the same {len(told)} numbers at every {inner}"
                yield Finding("blocks", _from_1([*rows[one], *rows[other]]), "", what)


def doubled(table: Table) -> Iterator[Finding]:
    """Two rows do not agree in all digits of a cell with three numbers or more, such as `90.49±1.67/70.78±1.37`.

    The expected number of such pairs takes the columns as independent, each with the larger of two chances to agree:
    that of two normal values of the column's deviation, rounded, and the share of pairs which agree in this column.
    """
    for column, parts in table.groups.items():
        if len(parts) < _ENOUGH:
            continue
        complete = [row for row in range(table.rows) if all(table.numbers[part][row] for part in parts)]
        pairs = len(complete) * (len(complete) - 1) / 2
        same: dict[Labels, list[int]] = defaultdict(list)
        for row in complete:
            same[tuple(_text(table.numbers[part][row]) for part in parts)].append(row)
        twice = [rows for rows in same.values() if len(rows) > 1]
        if not twice or len(complete) < 2 * _ENOUGH:
            continue
        expected = pairs * math.prod(_chance([table.numbers[part][row] for row in complete]) for part in parts)
        if expected < _UNLIKELY:
            for rows in twice:
                told = f"have the same {len(parts)} numbers; {expected:.1g} such pairs are expected by chance"
                yield Finding("doubled", _from_1(rows), column, told)


CHECKS: tuple[Callable[[Table], Iterator[Finding]], ...] = (
    means, differences, complements, shares, constants, repeats, blocks, doubled,
)  # fmt: skip
"""The checks of one table."""


# ------------------------------------------------------------------ helpers


def _wrong_means(column: str, series: Series) -> Iterator[Finding]:
    """Findings of a column of means.

    Args:
        column: its name.
        series: terms and means.
    """
    rules: dict[str, list[tuple[int, Number, float, float]]] = defaultdict(list)
    for rule, row, printed, cells in _rules(series):
        given = [cell for cell in cells if cell]
        if printed and len(given) == len(cells) > 1:
            mean, slack = (
                math.fsum(part) / len(given) for part in zip(*((c.value, c.half) for c in given), strict=True)
            )
            rules[rule].append((row, printed, mean, slack))
    kept = {r: sum(_near(mean, p.value, p.half + s) for _, p, mean, s in cases) for r, cases in rules.items()}
    rule = max(kept, key=kept.__getitem__, default="")
    if not rule or kept[rule] < max(2, 0.2 * len(rules[rule])):
        return
    for row, printed, mean, slack in rules[rule]:
        if not _near(mean, printed.value, printed.half + slack):
            told = f"is {printed.text}, but {rule} is {mean:.6g}; the rule holds in {kept[rule]} of {len(rules[rule])}"
            yield Finding("means", _from_1([row]), column, told)


def _rules(series: Series) -> Iterator[tuple[str, int, Number | None, list[Number | None]]]:
    """Each rule for each mean: what it is a mean of, its row, the printed mean, the terms."""
    for places in series:
        since: list[Number | None] = []
        for at, (is_mean, row, printed) in enumerate(places):
            if not is_mean:
                since.append(printed)
                continue
            yield "the mean of those since the mean before", row, printed, since
            since = []
            yield "the mean of all others", row, printed, [cell for mean, _, cell in places if not mean]
            yield "the mean of all that follow", row, printed, [c for mean, _, c in places[at + 1 :] if not mean]


def _near(found: float, printed: float, slack: float) -> bool:
    return abs(found - printed) <= slack + 1e-9 * max(1.0, abs(printed))


def _digits(text: str) -> int:
    """The number of digits from the first that is not 0."""
    return len(text.casefold().partition("e")[0].lstrip("+-0.").replace(".", ""))


def _text(cell: Number | None) -> str:
    return cell.text if cell else ""


def _from_1(rows: Iterable[int]) -> tuple[int, ...]:
    return tuple(row + 1 for row in sorted(rows))


def _chance(cells: Sequence[Number | None]) -> float:
    """The chance that two rows agree in a column."""
    values = [cell.value for cell in cells if cell]
    unit = 2 * max((cell.half or 0.5) for cell in cells if cell)
    deviation = statistics.pstdev(values)
    rounded = min(1.0, unit / (2 * math.sqrt(math.pi) * deviation)) if deviation else 1.0
    pairs = len(values) * (len(values) - 1) / 2
    agreeing = sum(k * (k - 1) / 2 for k in (values.count(value) for value in set(values)))
    return max(rounded, agreeing / pairs)
