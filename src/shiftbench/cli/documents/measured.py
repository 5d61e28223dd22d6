"""`systems/SLUG_/measured.json`: the results of the `embedded` run of a system, in the folder of its card.

tables of claims of a run -> measured.json -> README.md of the system, docs/systems.md

Numbers are rounded as on the page, and keys are sorted, so that the same tables give the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from shiftbench.base import files
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import claim_formats, schema
from shiftbench.data.formats import Format
from shiftbench.provenance import recipe
from shiftbench.report.system import System
from shiftbench.statistics.claims import sentences
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.cards import Card

FILE = "measured.json"
PRINTED = ("what", "metric", "paper", "where", "beside")
"""A number of the paper: setting, metric, value as printed, place, and the value here that is compared with it."""
NUMBERS = ("value", "ci_low", "ci_high", "confidence")
NOT_RUN = "not run here"
ELSEWHERE = "not run at this scale"
Measured = Mapping[str, Any]


def record(slug: str, minutes: float | None = None, home: Path = Path()) -> Path:
    """Write measured.json of a system from its `embedded` run; returns the file."""
    content = {**results(slug, home), "minutes": minutes}
    file = cards.file(slug).with_name(FILE)
    files.write_bytes(file, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return file


def results(slug: str, home: Path) -> dict[str, Any]:
    """Results of a system's `embedded` run in the folder `home`: verdicts, numbers, and their origin.

    Raises:
        ParamsError: no system of that name.
        DataError: the system was not run, or its card's claims have changed since the run.
    """
    card, root, ref = cards.load(slug), home / configurations.root(slug, configurations.DEFAULT), Ref("claims", slug)
    receipt = recipe.receipt(root, ref)
    if receipt is None:
        raise DataError(f"{slug} was not run here ({root / ref.path} has no receipt); {_advice(slug)}")
    judged_then = judged_contents(receipt["recipe"]["card"])
    if judged_then != judged_contents(card.model_dump(mode="json")):
        raise DataError(f"the card of {slug} has changed its claims or reported numbers since the run; {_advice(slug)}")
    claims = _rows(root, ref, claim_formats.CLAIMS)
    values = {row["number"]: row for row in _rows(root, ref, claim_formats.MEASURED)}
    return {
        "claims": [row for row in claims if row["verdict"] != ELSEWHERE],
        "environment": _environment(recipe.run_path(root, ref)),
        "fingerprint": receipt["fingerprint"],
        "looks": receipt["recipe"]["card"]["looks"],
        "reported": [number | values.get(at, {}) for at, number in enumerate(judged_then["reported"])],
        "row_digests": receipt["rows"],
        "rules": judged_then["rules"],
    }


def load(slug: str) -> Measured | None:
    """Kept results of a system; None if there are none."""
    file = cards.file(slug).with_name(FILE)
    content: Measured | None = json.loads(file.read_text()) if file.is_file() else None
    return content


def judged_contents(card: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a card (as JSON) that results answer: the rules of its claims, and the paper's numbers."""
    numbers = []
    for number in card["reported"]:
        expression = sentences.expression(number["measured"]) if number["measured"] else None
        values = (number["what"], number["metric"], number["value"], number["where"], expression)
        numbers.append(dict(zip(PRINTED, values, strict=True)))
    rules = {name: sentences.sentence(claim) for name, claim in card["claims"].items() if claim["value"]}
    return {"rules": rules, "reported": numbers}


def current(slug: str) -> Measured | None:
    """Kept results of a system that its card still asks for; None if there are none.

    A claim whose rule has changed is NOT_RUN. A number of the paper that has changed has no value here.
    """
    stored = load(slug)
    if stored is None:
        return None
    card = cards.load(slug)
    present = judged_contents(card.model_dump(mode="json"))
    unchanged = [name for name, rule in present["rules"].items() if stored["rules"].get(name) == rule]
    claims = [row for row in stored["claims"] if row["claim"] in unchanged]
    known_numbers = {_printed_values(number): number for number in stored["reported"] if "number" in number}
    numbers = [known_numbers.get(_printed_values(number), {}) | number for number in present["reported"]]
    reported = [number | ({"number": at} if "number" in number else {}) for at, number in enumerate(numbers)]
    return {**stored, "claims": [*claims, *_not_run(card, unchanged)], "reported": reported}


def _printed_values(number: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(number[name] for name in PRINTED)


def _not_run(card: Card, excluded: Iterable[str] = ()) -> list[dict[str, Any]]:
    names = [name for name, claim in card.claims.items() if claim.scale == configurations.DEFAULT]
    empty = dict.fromkeys(column.name for column in claim_formats.CLAIMS.columns)
    return [{**empty, "claim": name, "verdict": NOT_RUN} for name in names if name not in excluded]


def as_system(slug: str, card: Card, measured: Measured | None) -> System:
    """A card with its results, for the page; without results, its claims are NOT_RUN."""
    if measured is None:
        claims, values = _not_run(card), []
    else:
        claims = measured["claims"]
        names = [column.name for column in claim_formats.MEASURED.columns]
        rows = (row for row in measured["reported"] if "number" in row)
        values = [{name: row[name] for name in names} for row in rows]
    return of_claims(slug, card, claims, configurations.DEFAULT, values)


def of_claims(
    slug: str, card: Card, claims: Iterable[Mapping[str, Any]], scale: str, values: Iterable[Mapping[str, Any]] = ()
) -> System:
    """A card with rows of the formats CLAIMS and MEASURED, for the page."""
    about = card.model_dump(mode="json", exclude={"params"})
    return System(
        {"slug": slug, "scale": scale, "order": list(card.claims), **about},
        _frame(claims, claim_formats.CLAIMS),
        _frame(values, claim_formats.MEASURED),
        _frame([], claim_formats.FIGURES),
        {},
    )


def _rows(root: Path, ref: Ref, form: Format) -> list[dict[str, Any]]:
    file = (root / ref.path).with_name(f"{form.name}.parquet")
    rows: list[dict[str, Any]] = schema.read(file, form=form).to_pylist()
    return [{name: _round(name, value) for name, value in row.items()} for row in rows]


def _round(name: str, value: Any) -> Any:
    """Round a number to four digits, as the page does; 0.0 has no sign."""
    return float(f"{value:.4g}") + 0.0 if name in NUMBERS and value is not None else value


def _environment(run: Path) -> dict[str, Any]:
    """Environment of a run, without the facts that identify one machine among equal ones."""
    environment = json.loads(run.read_text())["environment"]
    machine = environment["system"].rpartition(" ")[2].replace("_", "-")
    packages = {name: environment["packages"][name] for name in ("shiftbench", "torch")}
    hardware = {"cores": environment["cores"], "machine": machine, "gpu": environment.get("gpu")}
    return {**hardware, "python": environment["python"], **packages}


def _frame(rows: Iterable[Mapping[str, Any]], form: Format) -> pl.DataFrame:
    frame = pl.from_arrow(schema.table(map(dict, rows), form))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    return frame


def _advice(slug: str) -> str:
    return f"`shiftbench systems {slug}` runs it"
