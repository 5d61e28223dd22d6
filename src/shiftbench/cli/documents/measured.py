"""`systems/SLUG_/measured.json`: what a system gave here at embedded scale, kept beside its card.

tables of claims of a run -> measured.json -> README.md of the system, docs/systems.md

Rounded as the page rounds and sorted, so that the same tables give the same bytes.
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
from shiftbench.statistics import sentences
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.cards import Card

FILE = "measured.json"
PRINTED = ("what", "metric", "paper", "where", "beside")
"""Of a number of the paper: setting, metric, value as printed, place, and which value here stands beside it."""
NUMBERS = ("value", "ci_low", "ci_high", "confidence")
NOT_RUN = "not run here"
ELSEWHERE = "not run at this scale"
Measured = Mapping[str, Any]


def record(slug: str, minutes: float | None = None, home: Path = Path()) -> Path:
    """Write measured.json of a system from its run at embedded scale, which took some minutes; returns the file."""
    content = {**judged(slug, home), "minutes": minutes}
    file = cards.file(slug).with_name(FILE)
    files.write_bytes(file, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return file


def judged(slug: str, home: Path) -> dict[str, Any]:
    """Return what a run of a system gave: verdicts, numbers beside the paper's, and where they are from.

    Args:
        slug: of the system.
        home: the folder in which it was run, at embedded scale.

    Raises:
        ParamsError: no system of that name.
        DataError: it was not run, or what its card claims has changed since.
    """
    card, root, ref = (cards.load(slug), home / configurations.root(slug, configurations.DEFAULT), Ref("claims", slug))
    receipt = recipe.receipt(root, ref)
    if receipt is None:
        raise DataError(f"{slug} was not run here ({root / ref.path} has no receipt); {_how(slug)}")
    given = asked(receipt["recipe"]["card"])
    if given != asked(card.model_dump(mode="json")):
        raise DataError(f"the card of {slug} claims or reports something else since; {_how(slug)}")
    claims = _rows(root, ref, claim_formats.CLAIMS)
    beside = {row["number"]: row for row in _rows(root, ref, claim_formats.MEASURED)}
    return {
        "claims": [row for row in claims if row["verdict"] != ELSEWHERE],
        "environment": _environment(recipe.run_path(root, ref)),
        "fingerprint": receipt["fingerprint"],
        "looks": receipt["recipe"]["card"]["looks"],
        "reported": [one | beside.get(at, {}) for at, one in enumerate(given["reported"])],
        "row_digests": receipt["rows"],
        "rules": given["rules"],
    }


def load(slug: str) -> Measured | None:
    """Return what was measured of a system; None where nothing is kept."""
    file = cards.file(slug).with_name(FILE)
    content: Measured | None = json.loads(file.read_text()) if file.is_file() else None
    return content


def asked(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what verdicts and numbers answer: the rules of claims, and the paper's numbers with what stands beside.

    Args:
        card: as JSON has it.
    """
    numbers = []
    for one in card["reported"]:
        beside = sentences.expression(one["measured"]) if one["measured"] else None
        given = (one["what"], one["metric"], one["value"], one["where"], beside)
        numbers.append(dict(zip(PRINTED, given, strict=True)))
    rules = {name: sentences.sentence(claim) for name, claim in card["claims"].items() if claim["value"]}
    return {"rules": rules, "reported": numbers}


def current(slug: str) -> Measured | None:
    """Return what was measured of a system, as far as its card still asks for it; None where nothing is kept.

    A claim whose rule has changed since is NOT_RUN; next to a number of the paper that has changed stands nothing.
    """
    found = load(slug)
    if found is None:
        return None
    card = cards.load(slug)
    now = asked(card.model_dump(mode="json"))
    kept = [name for name, rule in now["rules"].items() if found["rules"].get(name) == rule]
    claims = [row for row in found["claims"] if row["claim"] in kept]
    known = {_printed(one): one for one in found["reported"] if "number" in one}
    beside = [known.get(_printed(one), {}) | one for one in now["reported"]]
    reported = [one | ({"number": at} if "number" in one else {}) for at, one in enumerate(beside)]
    return {**found, "claims": [*claims, *_not_run(card, kept)], "reported": reported}


def _printed(number: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(number[name] for name in PRINTED)


def _not_run(card: Card, but: Iterable[str] = ()) -> list[dict[str, Any]]:
    here = [name for name, claim in card.claims.items() if claim.scale == configurations.DEFAULT]
    empty = dict.fromkeys(column.name for column in claim_formats.CLAIMS.columns)
    return [{**empty, "claim": name, "verdict": NOT_RUN} for name in here if name not in but]


def as_system(slug: str, card: Card, measured: Measured | None) -> System:
    """Return a card with what was measured, as the page takes it; without, its claims are NOT_RUN."""
    if measured is None:
        claims, beside = _not_run(card), []
    else:
        claims = measured["claims"]
        names = [column.name for column in claim_formats.MEASURED.columns]
        found = [one for one in measured["reported"] if "number" in one]
        beside = [{name: one[name] for name in names} for one in found]
    about = card.model_dump(mode="json", exclude={"params"})
    return System(
        {"slug": slug, "scale": configurations.DEFAULT, "order": list(card.claims), **about},
        _frame(claims, claim_formats.CLAIMS),
        _frame(beside, claim_formats.MEASURED),
        _frame([], claim_formats.FIGURES),
        {},
    )


def _rows(root: Path, ref: Ref, form: Format) -> list[dict[str, Any]]:
    file = (root / ref.path).with_name(f"{form.name}.parquet")
    rows: list[dict[str, Any]] = schema.read(file, form=form).to_pylist()
    return [{name: _rounded(name, value) for name, value in row.items()} for row in rows]


def _rounded(name: str, value: Any) -> Any:
    """Round a number to four digits, as the page does; 0.0 has no sign."""
    return float(f"{value:.4g}") + 0.0 if name in NUMBERS and value is not None else value


def _environment(run: Path) -> dict[str, Any]:
    """Return where a run was made, without what tells one machine of a kind from another."""
    found = json.loads(run.read_text())["environment"]
    machine = found["system"].rpartition(" ")[2].replace("_", "-")
    packages = {name: found["packages"][name] for name in ("shiftbench", "torch")}
    kept = {"cores": found["cores"], "machine": machine, "gpu": found.get("gpu")}
    return {**kept, "python": found["python"], **packages}


def _frame(rows: list[dict[str, Any]], form: Format) -> pl.DataFrame:
    frame = pl.from_arrow(schema.table(rows, form))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes a frame; tells mypy
    return frame


def _how(slug: str) -> str:
    return f"`make systems ARGS={slug}` runs it"
