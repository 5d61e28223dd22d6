"""Looking: what there is, how a shift looks, what this machine can do, whom to cite."""

import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import writable
from shiftbench.cli.application import Config, Hanging, Json, app, err, escaped, out, plural, root, use_plugin_folders
from shiftbench.plugins.streams._steps import told
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.params import Params

PANEL = "Looking"


@app.command("list", rich_help_panel=PANEL)
def list_(
    plugin_type: Annotated[
        str | None, typer.Argument(help="shifts, models, ..., systems; default: all but systems")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the plugins of a family, or of all; or the published systems (`systems`)."""
    if plugin_type == "systems":
        _list_systems(as_json=as_json)
        return
    plugin_types = registry.FAMILIES if plugin_type is None else [plural(plugin_type)]
    use_plugin_folders()
    found = {name: registry.names(name) for name in plugin_types}
    if as_json:
        out.print_json(json.dumps(found))
        return
    for name, members in found.items():
        out.print(f"[bold]{name}[/] ({len(members)})")
        for member in members:
            line = f"{member:24} {escaped(_first_line(name, member))}"
            out.print(Hanging(line, indent=2, further=25))


def _list_systems(*, as_json: bool) -> None:
    from shiftbench.cli import systems

    if as_json:
        out.print_json(json.dumps(systems.listed()))
    else:
        systems.show_all()


def _first_line(plugin_type: str, name: str) -> str:
    lines = (registry.find(plugin_type, name).__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


@app.command(rich_help_panel=PANEL)
def describe(
    plugin_type: Annotated[str, typer.Argument(help="shift, model, ..., system")],
    name: Annotated[str, typer.Argument(help="as `list` shows it")],
    config: Config = None,
) -> None:
    """Show what a plugin is, its source, its options and its file; or a system's card (`describe system palm`).

    A stream's schedule is shown, too; with a scale, that of the stream which
    its params call NAME.
    """
    if plugin_type in ("system", "systems"):
        from shiftbench.cli import systems

        systems.show(name)
        return
    plugin_type = plural(plugin_type)
    use_plugin_folders()
    params = plans.load(config)[0].params if config else None
    file = params.use(plugin_type, name) if params else name
    module = registry.find(plugin_type, file)
    options = params.options(plugin_type, name) if params else getattr(module, "PARAMS", {})
    out.print(escaped(_reflowed(inspect.getdoc(module) or "")))
    for option, value in options.items():
        out.print(f"  {option} = {value!r}")
    if plugin_type == "streams":
        for line in told(module.steps(options)):
            out.print(escaped(line), soft_wrap=True)
    entry = getattr(module, "ENTRY", None)
    if entry is not None:
        out.print(f"[dim]{escaped(entry.where)}[/]", soft_wrap=True)
    out.print(f"[dim]{registry.file(plugin_type, file)}[/]")


def _reflowed(text: str) -> str:
    """Return a docstring with a line for each paragraph, which a terminal wraps; lists and what is indented stay."""
    return "\n\n".join(
        part if re.search(r"^[ |*-]", part, re.M) else " ".join(part.split()) for part in text.split("\n\n")
    )


@app.command(rich_help_panel=PANEL)
def preview(
    shift: Annotated[str | None, typer.Argument(help="default: all, on an image of ours")] = None,
    image: Annotated[Path | None, typer.Option(help="an image of yours")] = None,
    sound: Annotated[Path | None, typer.Option(help="a WAV of yours, for shifts of audio")] = None,
    dataset: Annotated[str | None, typer.Option(help="test samples of a dataset")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="default: SHIFT.png")] = None,
    count: Annotated[int, typer.Option(help="how many samples of the dataset")] = 4,
) -> None:
    """Draw a shift at rising severity, on an image or a sound of yours, a dataset, or what is ours."""
    from shiftbench.workflow.tools import preview as previews

    use_plugin_folders()
    if shift is None:
        target = file or Path("shifts.png")
        with writable(target):
            names, lacking = previews.pictured()
            previews.overview(names, previews.our_square()).save(target)
        out.print(f"wrote {target}: {len(names)} shifts")
        if lacking:
            out.print(f"for the others: `shiftbench fetch {' '.join(lacking)}`", soft_wrap=True)
        return
    if sum(map(bool, (image, sound, dataset))) > 1:
        raise ParamsError("give one of --image, --sound and --dataset")
    module = registry.find("shifts", shift)
    if getattr(module, "FIELD", None) == "text":
        for line in previews.texts(shift):
            out.print(escaped(line), soft_wrap=True)
        return
    samples = previews.chosen(module, image, sound)
    if dataset:
        samples = previews.from_dataset(dataset, root(), count)
    target = file or Path(f"{shift}.png")
    with writable(target):
        previews.sheet(shift, samples).save(target)
    out.print(f"wrote {target}")


@app.command(rich_help_panel=PANEL)
def doctor(
    config: Config = None,
    remotes: Annotated[bool, typer.Option("--remotes", help="only these, and what of dvc.lock each holds")] = False,
    unlock: Annotated[bool, typer.Option("--unlock", help="clear locks and scratch files of killed processes")] = False,
    as_json: Json = False,
) -> None:
    """Tell what this machine brings to a run: devices, disk, clients, remotes, originals, versions, locks."""
    from shiftbench.provenance import locks
    from shiftbench.workflow.tools import doctor as doctors

    planned, folder = _planned(config)
    if unlock:
        for lock in locks.clear(folder):
            err.print(f"cleared {lock.what} {lock.path}", soft_wrap=True)
    if remotes:
        _tell_remotes(doctors.remotes_held(folder), as_json=as_json)
        return
    found = doctors.examine(planned, folder)
    problems = doctors.problems(found)
    if as_json:
        out.print_json(json.dumps({**found, "problems": problems}))
        return
    _tell_found({**found, "sandbox": found["sandbox"] or "ready"})
    for problem in problems:
        out.print(f"[bold red]![/] {escaped(problem)}", soft_wrap=True)
    if not problems:
        out.print("nothing is in the way of a run")


def _tell_found(found: dict[str, Any]) -> None:
    for heading, value in found.items():
        out.print(f"[bold]{heading}[/]")
        for line in _lines(value):
            out.print(f"  {escaped(line)}", soft_wrap=True)


def _planned(config: str | None) -> tuple[plans.Plan, Path]:
    """Return the plan and its root; of nothing, where there is no params.yaml: a machine is looked at anywhere."""
    if config or Path("params.yaml").is_file():
        return plans.load(config)
    err.print("no params.yaml here, so nothing of a benchmark; `shiftbench init DIR` makes one")
    return plans.Plan(Params(benchmarks={})), Path()


def _tell_remotes(found: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print what each remote holds; exit code 3 when none answers."""
    if as_json:
        out.print_json(json.dumps(found))
    for one in [] if as_json else found:
        state = f"alive, {one['seconds']} s" if one["error"] is None else f"dead: {one['error']}"
        known = {True: "read-only", False: "writable", None: "writable or not is unknown"}
        held = f"; {one['there']} of {one['objects']} objects" if "there" in one else ""
        note = f"; {known[one['read_only']]}" if one["error"] is None else ""
        out.print(escaped(f"{one['name']} ({one['url']}): {state}{held}{note}"), soft_wrap=True)
        for line in [*one.get("wrong", ()), *(f"{m} is missing" for m in one.get("missing", ()))]:
            out.print(f"  [bold red]![/] {escaped(line)}", soft_wrap=True)
    if all(one["error"] for one in found):
        raise DataError("no remote answers; name one with `dvc remote add`, or see above")


def _lines(value: object) -> list[str]:
    """Spell a part of the doctor's findings; where nothing is found, it is a dash."""
    if isinstance(value, dict):
        return [f"{key:14} {_named(item)}" for key, item in value.items()]
    return [_spelled(item) for item in value or [None]] if isinstance(value, list) else [_spelled(value)]


def _named(item: object) -> str:
    """Spell a finding on one line: of a mapping each value after its name."""
    if isinstance(item, dict) and not any(isinstance(value, dict) for value in item.values()):
        return ", ".join(f"{name} {_spelled(value)}" for name, value in item.items()) or "-"
    return _spelled(item)


def _spelled(item: object) -> str:
    """Spell a finding on one line: of a row what there is, in columns."""
    if isinstance(item, list):
        return ", ".join(map(str, item))
    if isinstance(item, dict):
        parts = (_spelled(part) for part in item.values() if part is not None)
        return "  ".join(f"{part:18}" for part in parts).rstrip()
    return str(item or "-")


@app.command(rich_help_panel=PANEL)
def cite(
    config: Config = None, bibtex: Annotated[bool, typer.Option("--bibtex", help="as BibTeX entries")] = False
) -> None:
    """Print whom to cite for what params use."""
    from shiftbench.workflow.tools import cite as citations

    entries = citations.bibliography(plans.load(config)[0])
    if bibtex:
        for entry in entries:
            out.print(escaped(entry.bibtex), soft_wrap=True)
        return
    for plugin_type in dict.fromkeys(entry.plugin_type for entry in entries):
        out.print(f"[bold]{plugin_type}[/]")
        for entry in (entry for entry in entries if entry.plugin_type == plugin_type):
            out.print(f"  {entry.name:24} {escaped(entry.text)}", soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def docs(
    measured: Annotated[
        list[str] | None, typer.Option(metavar="SLUG", help="first keep what this system gave, run at embedded scale")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="only what the documentation site takes beside docs/, into this folder")
    ] = None,
) -> None:
    """Generate docs/, params/schema.json and the systems' pages from the code, where they differ."""
    from shiftbench.cli.documents import measured as kept
    from shiftbench.cli.documents import pages as documents
    from shiftbench.cli.documents import shift_pages
    from shiftbench.workflow.engine import running

    if site:
        out.print(f"wrote {site}: {len(shift_pages.write(site))} shifts")
        return
    for slug in measured or ():
        took = running.made(f"{configurations.SYSTEMS}/{slug}", 0.0)
        out.print(f"wrote {kept.record(slug, round(took.seconds / 60, 1))}")
    for path in documents.write(Path()):
        out.print(f"wrote {path}")
