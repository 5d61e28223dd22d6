"""`build/systems/index.html`: the published systems that were made here, a row each, beside what is published of them.

tables of claims of each system's run -> rows -> the table that `shiftbench systems` ends with, and the page
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
    """A system that was made here, at embedded scale.

    Attributes:
        slug, title, family: as its card has them.
        verdicts: of its claims, in the card's order.
        beside: how they stand to the published ones: EQUAL, or what differs.
        jobs: how many it took.
        seconds: of a processor that these took together.
    """

    slug: str
    title: str
    family: str
    verdicts: tuple[Verdict, ...]
    beside: str
    jobs: int
    seconds: float

    @property
    def counts(self) -> tuple[int, ...]:
        """How many claims are supported, refuted, inconclusive."""
        found = [one.verdict for one in self.verdicts]
        return tuple(found.count(name) for name in COUNTED)

    @property
    def page(self) -> str:
        """Where its report lies, seen from PAGE."""
        return f"{self.slug}/results/report/index.html"


def row(slug: str, jobs: int, seconds: float, home: Path = Path()) -> Row:
    """Return the row of a system.

    Args:
        slug: of a system that was run at embedded scale.
        jobs: how many it took.
        seconds: what these took, one after another.
        home: the folder in which it was run.

    Raises:
        ParamsError: no system of that name.
        DataError: it was not run, or what its card claims has changed since.
    """
    card, here = cards.load(slug), measured.judged(slug, home)
    verdicts = tuple(measured.as_system(slug, card, here).verdicts)
    beside = compared(here, measured.load(slug))
    return Row(slug, card.title, card.family, verdicts, beside, jobs, seconds)


def compared(here: measured.Measured, published: measured.Measured | None) -> str:
    """Say how verdicts and tables of claims stand to those that are published.

    Args:
        here: as `measured.judged` gives it.
        published: the same of another run; None: nothing is published.
    """
    if published is None:
        return "nothing is published"
    if any(here[name] != published[name] for name in ("rules", "row_digests")):
        then, now = _verdicts(published), _verdicts(here)
        if then.keys() != now.keys() or here["rules"] != published["rules"]:
            return "published of other claims"
        others = [f"{name} {now[name]}, not {then[name]}" for name in then if then[name] != now[name]]
        return "; ".join(others) or "equal verdicts, other digits"
    return EQUAL


def _verdicts(found: measured.Measured) -> dict[str, str]:
    return {one["claim"]: one["verdict"] for one in found["claims"] if one["part"] is None}


def here(home: Path = Path()) -> list[str]:
    """Return the slugs of the built systems that were run at embedded scale, sorted."""
    roots = {slug: home / configurations.root(slug, configurations.DEFAULT) for slug in configurations.built()}
    return [slug for slug, root in roots.items() if (root / Ref("claims", slug).path).is_file()]


def write(rows: Sequence[Row], home: Path = Path()) -> Path:
    """Write the page; returns the file."""
    template = html.environment("overview").get_template("index.html")
    text = template.render(
        rows=rows,
        equal=EQUAL,
        planned=[cards.load(slug).title for slug in cards.slugs() if slug not in configurations.built()],
        style=html.style(),
        policy=html.policy([]),
    )
    files.write_bytes(home / PAGE, text.encode())
    return home / PAGE
