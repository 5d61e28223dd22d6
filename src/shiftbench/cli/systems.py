"""The published systems: a list, and the card of one."""

from rich import box
from rich.table import Table

from shiftbench.base.errors import ParamsError
from shiftbench.cli.application import escaped, out, use_plugin_folders
from shiftbench.workflow.plan import cards
from shiftbench.workflow.plan.cards import Card


def rows_of_cards() -> list[dict[str, object]]:
    """The rows of `shiftbench list systems`, one per card."""
    use_plugin_folders()
    rows: list[dict[str, object]] = []
    for slug in cards.slugs():
        try:
            card = cards.load(slug)
        except ParamsError as error:
            message = " ".join(str(error).split())
            rows.append({"slug": slug, "title": message, "family": "", "status": "broken", "claims": 0})
            continue
        about = {"slug": slug, "title": card.title, "family": card.family, "status": card.status}
        rows.append({**about, "claims": len(card.claims)})
    return rows


def show_all() -> None:
    """Print one line per card, with its status."""
    rows = rows_of_cards()
    built = sum(row["status"] == "built" for row in rows)
    table = Table(title=f"{len(rows)} systems, {built} built", box=box.SIMPLE, pad_edge=False)
    for heading in ("slug", "status", "field", "claims", "title"):
        table.add_column(heading, no_wrap=heading in ("slug", "status"))
    for row in rows:
        style = {"built": "", "broken": "red"}.get(str(row["status"]), "dim")
        cells = [escaped(str(row[name])) for name in ("slug", "status", "family", "claims", "title")]
        table.add_row(*cells, style=style)
    out.print(table)


def show(slug: str) -> None:
    """Print the card of a system."""
    use_plugin_folders()
    card = cards.load(slug)
    paper = card.paper
    out.print(f"[bold]{escaped(card.title)}[/] ({card.status}): {escaped(card.family)}")
    out.print(escaped(card.summary.strip()), soft_wrap=True)
    publication = ", ".join(filter(None, (paper.venue, str(paper.year), paper.identifier)))
    code = f"; code {paper.repository} ({paper.licence})" if paper.repository else ""
    out.print(escaped(f'"{paper.title}", {publication}{code}'), soft_wrap=True)
    for config, needs in card.needs.items():
        parts = [f"{name} {', '.join(names)}" for name, names in needs if names]
        out.print(f"[bold]{config}[/] {escaped('; '.join(parts))}", soft_wrap=True)
    for config, resources in card.resources.items():
        out.print(f"[bold]{config} needs[/] {escaped(resources.sentence())}", soft_wrap=True)
    _claims(card)
    for number in card.reported:
        line = f"{number.what}: {number.metric} {number.value} ({number.where})"
        out.print("reported  " + escaped(line), soft_wrap=True)
    for item in card.not_exercised:
        out.print("not exercised  " + escaped(item), soft_wrap=True)


def _claims(card: Card) -> None:
    for name, claim in card.claims.items():
        marks = ["against"] if claim.against else []
        marks += ["not yet an expression"] if claim.value is None else []
        head = ", ".join((claim.scale, claim.kind, *marks))
        out.print(f"claim [bold]{name}[/] ({head}): {escaped(claim.says)}", soft_wrap=True)
