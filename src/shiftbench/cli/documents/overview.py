"""`build/systems/index.html`: the systems that were made here, a row each, compared with the published results.

tables of claims of each system's run -> rows -> the table at the end of `shiftbench systems`, and the page
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base import files
from shiftbench.base.refs import Ref
from shiftbench.cli.documents import measured
from shiftbench.report import html
from shiftbench.report.system import Verdict
from shiftbench.workflow.plan import cards, configurations

COUNTED = ("supported", "refuted", "inconclusive")
PAGE = Path("build") / configurations.SYSTEMS / "index.html"
EQUAL = "equal"


@dataclass(frozen=True, slots=True)
class Row:
    """A system that was made here in the `embedded` configuration.

    Attributes:
        slug, title, family: as its card has them.
        verdicts: of its claims, in the card's order.
        comparison: with the published verdicts: EQUAL, or the difference.
        jobs: number of its jobs.
        seconds: processor time of all jobs together.
    """

    slug: str
    title: str
    family: str
    verdicts: tuple[Verdict, ...]
    comparison: str
    jobs: int
    seconds: float

    @property
    def counts(self) -> tuple[int, ...]:
        """How many claims are supported, refuted, inconclusive."""
        verdicts = [verdict.verdict for verdict in self.verdicts]
        return tuple(verdicts.count(name) for name in COUNTED)

    @property
    def page(self) -> str:
        """Path of its report from PAGE."""
        return f"{self.slug}/results/report/index.html"


def row(slug: str, jobs: int, seconds: float, home: Path = Path()) -> Row:
    """Row of a system that was run in the folder `home`, with its number of jobs and their processor time.

    Raises:
        ParamsError: no system of that name.
        DataError: the system was not run, or its card's claims have changed since the run.
    """
    card, results = cards.load(slug), measured.results(slug, home)
    verdicts = tuple(measured.as_system(slug, card, results).verdicts)
    comparison = compare(results, measured.load(slug))
    return Row(slug, card.title, card.family, verdicts, comparison, jobs, seconds)


def compare(results: measured.Measured, published: measured.Measured | None) -> str:
    """Difference of a run's verdicts and tables of claims from the published ones (None: there are none)."""
    if published is None:
        return "nothing is published"
    if any(results[name] != published[name] for name in ("rules", "row_digests")):
        published_verdicts, verdicts_here = _verdicts(published), _verdicts(results)
        if published_verdicts.keys() != verdicts_here.keys() or results["rules"] != published["rules"]:
            return "other claims are published"
        differences = [
            f"{name} {verdicts_here[name]}, not {published_verdicts[name]}"
            for name in published_verdicts
            if published_verdicts[name] != verdicts_here[name]
        ]
        return "; ".join(differences) or "equal verdicts, other digits"
    return EQUAL


def _verdicts(results: measured.Measured) -> dict[str, str]:
    return {row["claim"]: row["verdict"] for row in results["claims"] if row["part"] is None}


def run_here(home: Path = Path()) -> list[str]:
    """Slugs of the built systems whose `embedded` configuration was run, sorted."""
    roots = {slug: home / configurations.root(slug, configurations.DEFAULT) for slug in configurations.built_slugs()}
    return [slug for slug, root in roots.items() if (root / Ref("claims", slug).path).is_file()]


def write(rows: Sequence[Row], home: Path = Path()) -> Path:
    """Write the page; returns the file."""
    template = html.environment("overview").get_template("index.html")
    text = template.render(
        rows=rows,
        equal=EQUAL,
        planned=[cards.load(slug).title for slug in cards.slugs() if slug not in configurations.built_slugs()],
        style=html.style(),
        policy=html.policy([]),
    )
    files.write_bytes(home / PAGE, text.encode())
    return home / PAGE
