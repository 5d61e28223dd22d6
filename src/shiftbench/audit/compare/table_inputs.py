"""Inputs of a row of a metric table in two runs, and the causes of its difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.audit.compare import causes
from shiftbench.audit.compare.causes import Cause, Receipt, Walk
from shiftbench.audit.compare.moved_rows import MovedRow
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM

_CONTRADICTED = "a value moved, and its bootstrap resamples did not move with it: one of them was edited"


@dataclass
class Table:
    """The table of one benchmark in both runs, with the inputs of each row."""

    path: str
    walk: Walk
    here: Receipt | None
    there: Receipt | None

    def __post_init__(self) -> None:
        """Sort the evaluations of both recipes by model, method and detector."""
        self._evaluations = [_by_entry(receipt) for receipt in (self.here, self.there)]
        self._contradiction = list(self._contradictions())

    def causes(self, row: MovedRow) -> tuple[Cause, ...]:
        """Causes of a row's difference, those upstream first."""
        if self.here is None or self.there is None:
            return (self._without_receipt(),)
        sides = [_entering(evaluations, row, self._relative_to(row)) for evaluations in self._evaluations]
        paths_here, paths_there = ({path for evaluation in side for path in _paths(evaluation)} for side in sides)
        row_causes: list[Cause] = []
        if row.here and row.there:
            shared = (paths_here | paths_there) & self.here["consumed"].keys() & self.there["consumed"].keys()
            row_causes += self.walk.inputs(shared, self.here, self.there)
        parts = _part(self.here, row, paths_here - paths_there), _part(self.there, row, paths_there - paths_here)
        row_causes += causes.recipe_causes(self.path, *parts)
        if not row_causes:
            # An environment changes a row whose inputs are equal by rounding only.
            beyond = [Cause("unexplained", self.path, causes.BEYOND_ROUNDING)]
            row_causes = self.walk.environment_causes(self.path) if row.tolerance == "rounding" else beyond
        if row.contradicted:
            row_causes.append(Cause("unexplained", self.path, _CONTRADICTED))
        return causes.ordered([*row_causes, *self._contradiction])

    def _relative_to(self, row: MovedRow) -> list[str]:
        """Models that the row's metric is relative to, in either run."""
        recipes = [receipt["recipe"] for receipt in (self.here, self.there) if receipt]
        metrics = [whole.get("metrics", {}).get(row.key["metric"]) or {} for whole in recipes]
        options = [metric.get("options", {}) for metric in metrics]
        return [one["normaliser"] for one in options if "normaliser" in one]

    def _without_receipt(self) -> Cause:
        sides = (self.walk.here, self.here), (self.walk.there, self.there)
        side = next(side for side, receipt in sides if receipt is None)
        name = Path(self.path).parent.name
        report = side.receipt(Ref("report", "index").path)
        if report and name not in report["recipe"].get("benchmarks", {}):
            return Cause("params", self.path, f"{side.label} has no benchmark {name!r}")
        return Cause("missing", self.path, f"{side.label} has no receipt of this table")

    def _contradictions(self) -> Iterator[Cause]:
        """Yield tables that differ from their receipts."""
        for side, receipt in ((self.walk.here, self.here), (self.walk.there, self.there)):
            if receipt is None:
                continue
            folder = (side.root / self.path).parent
            for name in ("metrics.parquet", "replicates.parquet"):
                file, stated = folder / name, receipt["made"].get(name)
                if file.is_file() and stated != sha256(file):
                    what = f"{name} in {side.label} is not the one that its receipt states"
                    yield Cause("unexplained", self.path, what)
            if recipe.fingerprint(receipt["recipe"]) != receipt["fingerprint"]:
                yield Cause("unexplained", self.path, f"the receipt in {side.label} was edited")


def _part(receipt: Receipt, row: MovedRow, rows: set[str]) -> Receipt:
    """Part of a table's recipe that decides a row; `rows` are inputs of the row in this run only."""
    whole, metric = receipt["recipe"], row.key["metric"]
    names = ("task", "code") if row.value_moved else ("task", "code", "seed", "draws")
    part = {name: whole[name] for name in names if name in whole}
    return {**part, "metrics": {metric: whole.get("metrics", {}).get(metric)}, "rows": sorted(rows)}


def _by_entry(receipt: Receipt | None) -> dict[tuple[Any, ...], list[Receipt]]:
    """Evaluations of a benchmark by (model or its mean over seeds, method, detector)."""
    evaluations: dict[tuple[Any, ...], list[Receipt]] = {}
    for artifact in (receipt or {}).get("recipe", {}).get("rows", ()):
        for name in {artifact["model"], artifact["model"].rsplit("-s", 1)[0]}:
            evaluations.setdefault((name, artifact["method"], artifact["detector"]), []).append(artifact)
    return evaluations


def _entering(artifacts: dict[tuple[Any, ...], list[Receipt]], row: MovedRow, relative_to: list[str]) -> list[Receipt]:
    """Evaluations that enter a row; a null in its key, or the name of a group, matches all."""
    own = artifacts.get((row.key["model"], row.key["method"], row.key["detector"]), [])
    for (model, _, detector), others in artifacts.items():
        if detector is None and {model, model.partition("/")[2]} & set(relative_to):
            own = own + others
    if row.key["shift"] == FULL_SPECTRUM:
        return own
    known = {name: {artifact[name] for artifact in own} for name in ("dataset", "split", "shift")}
    fixed = {name: row.key[name] for name in known if row.key[name] in known[name]}
    severity = row.key["severity"]
    return [
        artifact
        for artifact in own
        if _place(artifact) == row.key["reference"]
        or (all(artifact[name] == value for name, value in fixed.items()) and severity in (None, artifact["severity"]))
    ]


def _place(artifact: Receipt) -> str:
    return f"{artifact['dataset']}/{artifact['split']}/{artifact['shift']}/{artifact['severity'] or 0:g}"


def _paths(artifact: Receipt) -> list[str]:
    return [Ref(kind, artifact[kind]).path for kind in ("records", "scores") if artifact[kind]]
