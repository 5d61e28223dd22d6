"""Results of checks: findings with the expected and the actual value, notes, and verdicts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Verdict = Literal["exact", "statistical", "incomplete", "failed"]
"""From best to worst: all is as stated; equal within a stated tolerance, with the reason; evidence names bytes that are
not here; the evidence is missing or contradicts."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
EXIT_CODES: dict[Verdict, int] = {"exact": 0, "statistical": 10, "incomplete": 20, "failed": 30}


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference, or missing evidence.

    Attributes:
        verdict: `statistical`, `incomplete` or `failed`.
        file: path of the file, relative to the output root.
        why: what is wrong, and what to do.
        sample: key of the sample, if it is about one.
        expected, found: the stated and the actual value.
        numbers: published numbers that depend on the file, in words.
        explanation: of other bytes: member, sample, pixels, largest difference, differences of the environment.
    """

    verdict: Verdict
    file: str
    why: str
    sample: str | None = None
    expected: str = ""
    found: str = ""
    numbers: tuple[str, ...] = ()
    explanation: dict[str, Any] | None = None

    def __str__(self) -> str:
        """The finding in a few lines for a terminal."""
        place = f"{self.file}: sample {self.sample!r}" if self.sample else self.file
        lines = [f"{self.verdict}: {place}: {self.why}"]
        if self.expected or self.found:
            lines.append(f"  expected {self.expected}, found {self.found}")
        lines += [f"  {name}: {value}" for name, value in (self.explanation or {}).items()]
        if self.numbers:
            lines.append(f"  touches {some(self.numbers, separator='; ')}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Note:
    """What was checked, or why nothing was, in one sentence. A note changes no verdict; it may limit it."""

    text: str
    limits: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check.

    Attributes:
        number, name: `A10` and `digests`: its file.
        level: 0 to 4.
        title: first line of its docstring.
        verdict: the worst of its findings; `not run` above the level that was asked for.
        limits: the notes that limit the verdict.
    """

    number: str
    name: str
    level: int
    title: str
    verdict: Verdict | Literal["not run"]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished audit.

    Attributes:
        verdict: the worst of all results.
        results: one per check, in the order of their numbers.
        about: seed, level, dates, the auditor's environment, the Merkle root.
    """

    verdict: Verdict
    results: tuple[Result, ...]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 exact, 10 statistical, 20 incomplete, 30 failed."""
        return EXIT_CODES[self.verdict]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        results = [asdict(result) for result in self.results]
        head = {"verdict": self.verdict, "exit_code": self.exit_code}
        return {**head, "about": self.about, "results": results}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Worst of some verdicts; `exact` if there are none.

    Example:
        >>> worst(["exact", "incomplete", "statistical"])
        'incomplete'
    """
    return max(verdicts, key=VERDICTS.index, default="exact")


def some(names: Iterable[object], limit: int = 3, *, separator: str = ", ") -> str:
    """Join the first names, and count the others.

    Example:
        >>> some(["a", "b", "c"], 2), some("ab")
        ('a, b and 1 more', 'a, b')
    """
    whole = list(map(str, names))
    rest = f" and {len(whole) - limit} more" if len(whole) > limit else ""
    return separator.join(whole[:limit]) + rest
