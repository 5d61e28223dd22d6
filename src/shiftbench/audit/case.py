"""The case that checks read: plan, receipts, run files, published numbers and draws. Each file is read once."""

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
"""State of an output: with its receipt; both missing; its receipt missing or damaged; the output itself missing."""
Pages = Callable[[Path], Mapping[str, str]]
Flaw = tuple[Ref, str, dict[str, Any]]
"""An output, why it fails, and the other fields of the finding."""
_RECEIPT = {"fingerprint", "recipe", "made", "rows", "consumed"}


def upstream(plan: Plan, refs: Iterable[Ref]) -> set[Ref]:
    """Some planned outputs and all outputs that they are made from."""
    known = set(refs)
    todo = list(known)
    while todo:
        new = set(plan.artifacts[todo.pop()].inputs) - known
        known |= new
        todo += new
    return known


def fresh_seed() -> str:
    """128 bits of the system's entropy, hexadecimal: a seed that nobody could know before this audit."""
    return secrets.token_hex(16)


@dataclass(eq=False)
class Case:
    """A checkout and its outputs, under audit.

    Attributes:
        plan: of this checkout's params and code.
        root: the output root.
        level: 0 to 4.
        count: how many are drawn: samples of a folder at level 2, batches of a model at level 3.
        seed: of all draws.
        today: the date of the audit, ISO.
        scratch: an empty folder for rebuilding.
        is_repeated: whether the seed is that of an earlier audit; else it did not exist before this one.
        package: the folder of the audited package: the auditor's own, or that of the checkout (`outside`).
        pages: writes the pages of a repository that follow from its published tables, by their paths.
        results: of the checks so far.
        mismatches: (ref, file, keys or None) of bytes that differ from the recorded ones; `explanation` explains them.
        digests: of the files that were read so far.
        stopped: why no further check runs; empty: all run.
        started: seconds since the epoch.
    """

    plan: Plan
    root: Path
    level: int
    count: int
    seed: str
    today: str
    scratch: Path
    is_repeated: bool = False
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
    def differing_modules(self) -> tuple[str, ...]:
        """Modules of the audited package that differ from the auditor's; if any do, plans may differ too."""
        return outside.differing_modules(self.package) if self.outside else ()

    # ------------------------------------------------------------------ evidence

    @functools.cached_property
    def _objects(self) -> dict[Path, dict[str, Any] | None]:
        """Receipts and run files of the planned outputs."""
        files = [at(self.root, ref) for ref in self.plan.artifacts for at in (recipe.receipt_path, recipe.run_path)]
        return {file: read_object(file) for file in files}

    def receipt(self, ref: Ref) -> dict[str, Any] | None:
        """Receipt of a planned output; None: missing, or not complete."""
        content = self._objects.get(recipe.receipt_path(self.root, ref))
        return content if content and content.keys() >= _RECEIPT else None

    def run_file(self, ref: Ref) -> dict[str, Any] | None:
        """Run file of a planned output; None: missing, or no JSON object."""
        return self._objects.get(recipe.run_path(self.root, ref))

    def state(self, ref: Ref) -> State:
        """State of an output."""
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

    def outputs(self, *kinds: str) -> Iterator[tuple[Ref, Artifact, dict[str, Any]]]:
        """Yield the complete outputs of some kinds, or of all: ref, planned artifact, receipt."""
        for ref, artifact in self.complete.items():
            receipt = self.receipt(ref)
            if receipt and (not kinds or ref.kind in kinds):
                yield ref, artifact, receipt

    def folder(self, ref: Ref) -> Path:
        """Folder of an output."""
        return (self.root / ref.path).parent

    def observed(self, benchmark: str, column: str) -> set[str]:
        """Values of a column (`model`, `metric`) in the observations of a benchmark's analyses."""
        needs = self.plan.artifacts[Ref("tables", benchmark)].inputs
        files = [self.root / need.path for need in needs if need.kind == "analyses"]
        tables = [pl.read_parquet(file, columns=[column]) for file in files if file.is_file()]
        return set().union(*(table[column].unique() for table in tables))

    # ------------------------------------------------------------------ draws

    def draw(self, purpose: str, population: int, count: int) -> list[int]:
        """Draw at most `count` distinct indices, sorted: the same for the same seed, purpose and population.

        `purpose` is what is drawn from (a folder's name), so that draws are independent.
        """
        number = int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:8], "little")
        rng = RandomStream(number, "audit", purpose, str(population))
        return sorted(int(i) for i in rng.choice(population, min(count, population)))

    # ------------------------------------------------------------------ published numbers

    @functools.cached_property
    def _below(self) -> dict[Ref, list[Ref]]:
        """The outputs that are made from each output."""
        below: dict[Ref, list[Ref]] = {}
        for ref, artifact in self.plan.artifacts.items():
            for need in artifact.inputs:
                below.setdefault(need, []).append(ref)
        return below

    def downstream(self, ref: Ref) -> set[Ref]:
        """An output and all outputs that are made from it."""
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
        """Published numbers that depend on some outputs, in words; those that depend directly come first."""
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
                rows = self.plan.rows(self.plan.benchmarks[benchmark])
                rows = [row for row in rows if row["records"] in evaluations or row["scores"] in evaluations]
                numbers += published_numbers.of_evaluations(table, rows)
            elif benchmark in tables or reported:
                numbers += published_numbers.of_table(table)
        return tuple(numbers)

    # ------------------------------------------------------------------ findings

    def finding(self, verdict: Verdict, ref: Ref | str, why: str, **more: Any) -> Finding:
        """A finding about an output, with the published numbers that depend on it, or about another file."""
        place, numbers = (ref, ()) if isinstance(ref, str) else (ref.path, self.numbers(ref))
        return Finding(verdict, more.pop("file", place), why, numbers=numbers, **more)

    def failed(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """A finding: the evidence is missing or contradicts."""
        return self.finding("failed", ref, why, **more)

    def incomplete(self, ref: Ref | str, why: str, **more: Any) -> Finding:
        """A finding: evidence names bytes that are not here."""
        return self.finding("incomplete", ref, why, **more)

    def expect(self, ref: Ref | str, why: str, expected: object, actual: object, **more: Any) -> Iterator[Finding]:
        """Yield a failed finding if two values differ."""
        if actual != expected:
            yield self.failed(ref, why, expected=str(expected), found=str(actual), **more)

    def grouped(self, wrong: Iterable[Flaw]) -> Iterator[Finding]:
        """Yield one failed finding per reason, about its first output; it names some of the others.

        A changed seed, which changes a thousand recipes, is one finding.
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
