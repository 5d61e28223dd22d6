"""The case: all that a check may look at, read once: plan, receipts, run files, published numbers, what to draw."""

import functools
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from shiftbench.audit import outside, published_numbers
from shiftbench.audit.evidence.file_digests import Digests
from shiftbench.audit.finding import Finding, Result, Verdict, some
from shiftbench.base import registry
from shiftbench.base.files import read_object
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.workflow.plan.plan import Plan

State = Literal["complete", "absent", "no receipt", "no output"]
"""Of an output: it is here with its receipt; neither is; its receipt is missing or damaged; it is missing itself."""
Pages = Callable[[Path], Mapping[str, str]]
Wrong = tuple[Ref, str, dict[str, Any]]
"""An output, why it fails, and what else the finding says."""
_RECEIPT = {"fingerprint", "recipe", "made", "rows", "consumed"}


def fresh_seed() -> str:
    """Return a seed that nobody could know before this audit: 128 bits of the system's entropy, hexadecimal."""
    return secrets.token_hex(16)


@dataclass(eq=False)
class Case:
    """What is audited.

    Attributes:
        plan: what params and code of this checkout ask for.
        root: the output root.
        level: how deep to look, 0 to 4.
        count: how much is drawn: samples of a folder at level 2, batches of weights at level 3.
        seed: what draws follow from.
        today: the date of the audit, ISO.
        scratch: an empty folder for rebuilding.
        given: whether the seed was given, to repeat an audit; else it did not exist before.
        package: the folder of the audited package: the auditor's own, or that of the checkout (`outside`).
        pages: writes the pages of a repository that follow from its published tables, by their paths.
        results: of the checks that are done, in the order of their numbers.
        mismatches: (ref, file, keys or None) of bytes that are not the recorded ones, for the check that explains.
        digests: of the files that were read so far.
        stopped: why no further check is worth running; empty: all are.
        started: seconds since the epoch.
    """

    plan: Plan
    root: Path
    level: int
    count: int
    seed: str
    today: str
    scratch: Path
    given: bool = False
    package: Path = registry.PACKAGE
    pages: Pages | None = None
    results: list[Result] = field(default_factory=list)
    mismatches: list[tuple[Ref, str, tuple[str, ...] | None]] = field(default_factory=list)
    digests: Digests = field(default_factory=Digests)
    stopped: str = ""
    started: float = field(default_factory=time.time)

    @property
    def outside(self) -> bool:
        """Whether the auditor is another installation than the code that it audits."""
        return self.package != registry.PACKAGE

    @property
    def unlike(self) -> tuple[str, ...]:
        """Modules of the audited package that are not the auditor's: then recipes may be planned otherwise, too."""
        return outside.unlike(self.package) if self.outside else ()

    # ------------------------------------------------------------------ evidence

    @functools.cached_property
    def _receipts(self) -> dict[Ref, dict[str, Any] | None]:
        return {ref: read_object(recipe.receipt_path(self.root, ref)) for ref in self.plan.artifacts}

    @functools.cached_property
    def _runs(self) -> dict[Ref, dict[str, Any] | None]:
        return {ref: read_object(recipe.run_path(self.root, ref)) for ref in self.plan.artifacts}

    def receipt(self, ref: Ref) -> dict[str, Any] | None:
        """Return the receipt of a planned output as it lies there; None: not there, or not complete."""
        content = self._receipts.get(ref)
        return content if content and content.keys() >= _RECEIPT else None

    def run_file(self, ref: Ref) -> dict[str, Any] | None:
        """Return the run file of a planned output; None: not there, or no JSON object."""
        return self._runs.get(ref)

    def state(self, ref: Ref) -> State:
        """Return the state of an output."""
        has_output = (self.root / ref.path).exists()
        has_receipt = recipe.receipt_path(self.root, ref).exists()
        if has_output and self.receipt(ref):
            return "complete"
        if has_receipt and not has_output:
            return "no output"
        return "no receipt" if has_output or has_receipt else "absent"

    @functools.cached_property
    def complete(self) -> dict[Ref, Artifact]:
        """The planned artifacts whose output and receipt are here, in plan order."""
        return {ref: artifact for ref, artifact in self.plan.artifacts.items() if self.state(ref) == "complete"}

    def of(self, *kinds: str) -> Iterator[tuple[Ref, Artifact, dict[str, Any]]]:
        """Yield the complete outputs of some kinds, or of all: ref, planned artifact, receipt."""
        for ref, artifact in self.complete.items():
            receipt = self.receipt(ref)
            if receipt and (not kinds or ref.kind in kinds):
                yield ref, artifact, receipt

    def folder(self, ref: Ref) -> Path:
        """Return the folder that an output lies in."""
        return (self.root / ref.path).parent

    def observed(self, benchmark: str, column: str) -> set[str]:
        """Return the values of a column of what a benchmark's analyses measured (`weights`, `metric`)."""
        needs = self.plan.artifacts[Ref("tables", benchmark)].inputs
        files = [self.root / need.path for need in needs if need.kind == "analyses"]
        tables = [pl.read_parquet(file, columns=[column]) for file in files if file.is_file()]
        return set().union(*(table[column].unique() for table in tables))

    # ------------------------------------------------------------------ draws

    def draw(self, purpose: str, population: int, count: int) -> list[int]:
        """Draw distinct indices, sorted: the same for the same seed, purpose and population.

        Args:
            purpose: what is drawn from (a folder's name), so that draws are independent.
            population: of how many.
            count: how many at most.
        """
        number = int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:8], "little")
        rng = RandomStream(number, "audit", purpose, str(population))
        return sorted(int(i) for i in rng.choice(population, min(count, population)))

    # ------------------------------------------------------------------ published numbers

    @functools.cached_property
    def _below(self) -> dict[Ref, list[Ref]]:
        """What is made from what."""
        below: dict[Ref, list[Ref]] = {}
        for ref, artifact in self.plan.artifacts.items():
            for need in artifact.inputs:
                below.setdefault(need, []).append(ref)
        return below

    def downstream(self, ref: Ref) -> set[Ref]:
        """Return an output and all that is made from it."""
        refs, todo = {ref}, [ref]
        while todo:
            new = [child for child in self._below.get(todo.pop(), ()) if child not in refs]
            refs.update(new)
            todo += new
        return refs

    @functools.cached_property
    def metrics(self) -> dict[str, pl.DataFrame]:
        """The metric rows of each benchmark whose table can be read."""
        tables = {}
        for name in self.plan.benchmarks:
            try:
                tables[name] = pl.read_parquet(self.root / Ref("tables", name).path)
            except (OSError, pl.exceptions.PolarsError):
                continue
        return tables

    def numbers(self, *refs: Ref) -> tuple[str, ...]:
        """Spell the published numbers that rest on some outputs, those that rest on them directly first."""
        below: set[Ref] = set()
        for ref in refs:
            if ref not in below:
                below |= self.downstream(ref)
        evaluations = {child.name for child in below if child.kind in ("records", "scores")}
        tables = {child.name for child in below if child.kind == "tables"}
        reported = any(ref.kind == "report" for ref in refs)
        numbers: list[str] = []
        for benchmark, table in self.metrics.items():
            if evaluations:
                rows = self._rows(benchmark, evaluations)
                numbers += published_numbers.of_evaluations(table, rows)
            elif benchmark in tables or reported:
                numbers += published_numbers.of_table(table)
        return tuple(numbers)

    def _rows(self, benchmark: str, names: set[str]) -> list[dict[str, Any]]:
        rows = self.plan.rows(self.plan.benchmarks[benchmark])
        return [row for row in rows if row["records"] in names or row["scores"] in names]

    # ------------------------------------------------------------------ findings

    def finding(self, verdict: Verdict, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding about an output (with the numbers that it touches) or about another file."""
        place, numbers = (ref, ()) if isinstance(ref, str) else (ref.path, self.numbers(ref))
        return Finding(verdict, more.pop("file", place), why, numbers=numbers, **more)

    def failed(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding: the evidence is missing or contradicts."""
        return self.finding("failed", ref, why, **more)

    def incomplete(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """Make a finding: evidence names bytes that are not here."""
        return self.finding("incomplete", ref, why, **more)

    def expect(self, ref: Ref | str, why: str, expected: object, actual: object, **more: Any) -> Iterator[Finding]:
        """Yield a failed finding where what is found is not what is expected."""
        if actual != expected:
            yield self.failed(ref, why, expected=str(expected), found=str(actual), **more)

    def grouped(self, wrong: Iterable[Wrong]) -> Iterator[Finding]:
        """Yield one failed finding per reason, about the first output of it, that names some others.

        Another seed changes a thousand recipes: it is told once.
        """
        groups: dict[str, list[tuple[Ref, dict[str, Any]]]] = {}
        for ref, why, more in wrong:
            groups.setdefault(why, []).append((ref, more))
        for why, members in groups.items():
            (first, more), *others = members
            likewise = f"; likewise {some(ref.path for ref, _ in others)}" if others else ""
            file = more.pop("file", first.path)
            numbers = self.numbers(*(ref for ref, _ in members))
            yield Finding("failed", file, f"{why}{likewise}", numbers=numbers, **more)
