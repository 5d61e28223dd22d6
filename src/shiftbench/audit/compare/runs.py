"""Comparison of two runs: which published numbers moved, by how much, within which tolerance, and why.

Only the files in the two output roots are used: tables, receipts, run files. Rows are joined by their key. A
row that moved is traced from the receipt of its table to its records and scores, and further upstream
along inputs whose bytes differ (`causes`).

| tolerance     | means                                                                                     |
| ------------- | ----------------------------------------------------------------------------------------- |
| `rounding`    | value, interval and n within 1e-9                                                         |
| `interval`    | the value is equal (within 1e-9), the ends of its interval or n moved                     |
| `within`      | the paired difference's 95% interval holds 0; unpaired: a value lies in the other's interval |
| `significant` | neither                                                                                   |
| `undefined`   | the value is defined in one run only                                                      |
| `only here`, `only there` | the row is in one run only                                                    |

Paired: with the same seed, resample i gives a sample the same weight in both runs. So the difference of the replicates
is that of one resample, even if the runs share a part of the samples only.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from shiftbench.audit.compare import causes, moved_rows, revision
from shiftbench.audit.compare.causes import Side, Walk
from shiftbench.audit.compare.moved_rows import MovedRow
from shiftbench.audit.compare.table_inputs import Table
from shiftbench.audit.finding import EXIT_CODES, Verdict
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, compared.

    Attributes:
        here, there: names of the runs.
        rows: how many rows were compared.
        moved: those that are not equal, the largest movements of each benchmark first.
        about: commit and environment of both, as the run files of their tables say.
    """

    here: str
    there: str
    rows: int
    moved: tuple[MovedRow, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """`exact`: nothing moved; `statistical`: explained; `incomplete`: evidence missing; `failed`: unexplained."""
        kinds = {cause.kind for one in self.moved for cause in one.causes}
        if "unexplained" in kinds:
            return "failed"
        if "missing" in kinds:
            return "incomplete"
        return "statistical" if self.moved else "exact"

    @property
    def exit_code(self) -> int:
        """The exit code of an audit with this verdict."""
        return EXIT_CODES[self.verdict]

    def counts(self) -> dict[tuple[str, str], int]:
        """Number of rows that moved, by cause and tolerance."""
        return dict(sorted(Counter((one.cause, one.tolerance) for one in self.moved).items()))

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        counts: dict[str, dict[str, int]] = {}
        for (cause, tolerance), count in self.counts().items():
            counts.setdefault(cause, {})[tolerance] = count
        head = {"verdict": self.verdict, "exit_code": self.exit_code}
        names = {"here": self.here, "there": self.there, "about": self.about}
        rows = {"rows": self.rows, "equal": self.rows - len(self.moved), "counts": counts}
        moved = [{**asdict(one), "cause": one.cause} for one in self.moved]
        return {**head, **names, **rows, "moved": moved}


@contextmanager
def open_run(root: Path, against: str) -> Iterator[Side]:
    """The run to compare with: a folder (a checkout or an output root), or else a git revision.

    Raises:
        ParamsError: it is neither.
        DataError: it has no results, or these cannot be fetched.
    """
    if Path(against).is_dir():
        yield Side(_output_root(Path(against)), against)
        return
    with revision.checked_out(root, against) as folder:
        yield Side(folder, against)


def _output_root(folder: Path) -> Path:
    """A folder as output root, or the output root that its params name."""
    params = folder / "params.yaml"
    try:
        content = yaml.safe_load(params.read_text()) if params.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{params} cannot be read: {error}; give the output root itself") from error
    named = content.get("root", ".") if isinstance(content, dict) else "."
    return folder / str(named)


def compare(here: Side, there: Side) -> Comparison:
    """Compare all tables of two runs.

    Raises:
        DataError: one of them has no tables, or a table that cannot be read.
    """
    benchmarks = [_benchmarks(side) for side in (here, there)]
    walk, rows, moved = Walk(here, there), 0, list[MovedRow]()
    for name in sorted(benchmarks[0] | benchmarks[1]):
        path = Ref("tables", name).path
        files = [side.root / path for side in (here, there)]
        receipts = [side.receipt(path) for side in (here, there)]
        seeds = [receipt["recipe"].get("seed") for receipt in receipts if receipt]
        count, changed = moved_rows.rows(*files, paired=len(seeds) == 2 and seeds[0] == seeds[1])
        table = Table(path, walk, *receipts)
        moved += [replace(one, causes=table.causes(one)) for one in changed]
        rows += count
    about = {"here": _about(here, benchmarks[0]), "there": _about(there, benchmarks[1])}
    return Comparison(here.label, there.label, rows, tuple(moved), about)


def _benchmarks(side: Side) -> set[str]:
    tables = side.root / "results/tables"
    names = {file.parent.relative_to(tables).as_posix() for file in tables.glob("**/metrics.parquet")}
    if not names:
        raise DataError(f"{side.label} has no results: no {tables}/BENCHMARK/metrics.parquet is there")
    return names


def _about(side: Side, benchmarks: set[str]) -> dict[str, Any]:
    about = {}
    for name in sorted(benchmarks):
        run = side.run_file(Ref("tables", name).path) or {}
        kept = {key: run.get(key) for key in ("commit", "dirty", "finished")}
        about[name] = {**kept, "environment": causes.run_environment(run)}
    return about
