"""Commands that show or generate information: list, describe, preview, doctor, cite and docs."""

import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import writable
from shiftbench.base.registry import options, variants
from shiftbench.cli import commands
from shiftbench.cli.application import Config, Hanging, Json, err, escaped, out, plural, root, use_plugin_folders
from shiftbench.cli.commands import command
from shiftbench.plugins.streams import _steps
from shiftbench.workflow.plan import configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.params import Params


@command
def list_(
    plugin_type: Annotated[
        str | None, typer.Argument(help="shifts, models, ..., or systems; default: all plugin types")
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="only those with this text in name or summary")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(metavar="FIELD", help="only those for this field of a sample: image, text, audio, ...")
    ] = None,
    as_json: Json = False,
) -> None:
    """List plugins or published systems."""
    if plugin_type == "systems":
        if search or modality:
            raise ParamsError("--search and --modality select plugins, not systems; leave them out")
        _list_systems(as_json=as_json)
        return
    plugin_types = registry.PLUGIN_TYPES if plugin_type is None else [plural(plugin_type)]
    use_plugin_folders()
    plugins = {name: _matching(name, search, modality) for name in plugin_types}
    plugins = {name: members for name, members in plugins.items() if members or (search is modality is None)}
    if not plugins:
        wanted = " and ".join(repr(one) for one in (search, modality) if one)
        raise ParamsError(f"no plugin matches {wanted}; `shiftbench list` lists all plugins")
    if as_json:
        out.print_json(json.dumps(plugins))
        return
    for name, members in plugins.items():
        out.print(f"[bold]{name}[/] ({len(members)})")
        for member in members:
            line = f"{member:24} {escaped(_first_line(name, member))}"
            out.print(Hanging(line, indent=2, further=25))


def _matching(plugin_type: str, search: str | None, modality: str | None) -> list[str]:
    """The names of plugins that a search finds."""
    names = registry.names(plugin_type)
    if modality:
        names = [name for name in names if getattr(registry.find(plugin_type, name), "FIELD", None) == modality]
    if search:
        text = search.lower()
        names = [name for name in names if text in f"{name} {_first_line(plugin_type, name)}".lower()]
    return list(names)


def _list_systems(*, as_json: bool) -> None:
    from shiftbench.cli import systems

    if as_json:
        out.print_json(json.dumps(systems.rows_of_cards()))
    else:
        systems.show_all()


def _first_line(plugin_type: str, name: str) -> str:
    lines = (registry.find(plugin_type, name).__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""


@command
def describe(
    plugin_type: Annotated[str, typer.Argument(help="plugin type: shift, model, ..., or system")],
    name: Annotated[str, typer.Argument(help="name of the plugin, as in `shiftbench list`")],
    config: Config = None,
) -> None:
    """Show the options, constants and file of a plugin, or the card of a system.

    For a stream it also shows the schedule. With --config, NAME is a name in the
    params of that configuration.
    """
    if plugin_type in ("system", "systems"):
        from shiftbench.cli import systems

        systems.show(name)
        return
    from shiftbench.cli.documents import plugin_facts

    plugin_type = plural(plugin_type)
    use_plugin_folders()
    params = plans.load(config)[0].params if config else None
    file = params.use(plugin_type, name) if params else name
    module = registry.find(plugin_type, file)
    values = params.options(plugin_type, name) if params else registry.defaults(module)
    fields = options.fields(module)
    out.print(escaped(_reflowed(inspect.getdoc(module) or "")))
    for option in (plugin_facts.option(key, fields[key], value) for key, value in values.items()):
        line = f"{option.name} = {option.default} ({option.type})" + (f": {option.meaning}" if option.meaning else "")
        out.print(Hanging(escaped(line), indent=2))
    for label, text in plugin_facts.declared(plugin_type, module).items():
        out.print(Hanging(escaped(f"{label}: {text.replace('`', '')}")))
    if plugin_type == "streams":
        for line in _steps.describe_steps(module.steps(values)):
            out.print(escaped(line), soft_wrap=True)
    variant = variants.of(module)
    if variant is not None:
        out.print(f"[dim]variant of {variant.use}, {escaped(variant.where)}[/]", soft_wrap=True)
    place = registry.locate(plugin_type, file).link().removeprefix(f"{Path.cwd()}/")
    out.print(f"[dim]{escaped(place)}[/]", soft_wrap=True)


def _reflowed(text: str) -> str:
    """A docstring with one line per paragraph, which a terminal wraps; lists and indented lines stay as they are."""
    return "\n\n".join(
        part if re.search(r"^[ |*-]", part, re.M) else " ".join(part.split()) for part in text.split("\n\n")
    )


@command
def preview(
    shift: Annotated[
        str | None, typer.Argument(help="name of a shift; default: all image shifts, on a built-in image")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="your own image file; default: a built-in image")] = None,
    sound: Annotated[
        Path | None, typer.Option(help="your own WAV file, for audio shifts; default: a built-in sound")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="data set whose test samples are drawn")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="file to write; default: SHIFT.png")] = None,
    count: Annotated[int, typer.Option(help="number of samples of the data set")] = 4,
) -> None:
    """Draw a shift at rising severity."""
    from shiftbench.workflow.tools import preview as previews

    use_plugin_folders()
    if shift is None:
        target = file or Path("shifts.png")
        with writable(target):
            names, missing = previews.drawable_shifts()
            previews.overview(names, previews.built_in_square()).save(target)
        out.print(f"wrote {target}: {len(names)} shifts")
        if missing:
            out.print(f"for the other shifts: `shiftbench fetch {' '.join(missing)}`", soft_wrap=True)
        return
    if sum(map(bool, (image, sound, dataset))) > 1:
        raise ParamsError("give one of --image, --sound and --dataset")
    module = registry.find("shifts", shift)
    if getattr(module, "FIELD", None) == "text":
        for line in previews.texts(shift):
            out.print(escaped(line), soft_wrap=True)
        return
    samples = previews.sample_for(module, image, sound)
    if dataset:
        samples = previews.from_dataset(dataset, root(), count)
    target = file or Path(f"{shift}.png")
    with writable(target):
        previews.sheet(shift, samples).save(target)
    out.print(f"wrote {target}")


@command
def doctor(
    config: Config = None,
    remotes: Annotated[
        bool, typer.Option("--remotes", help="check the remotes only, and the recorded objects that each contains")
    ] = False,
    unlock: Annotated[
        bool, typer.Option("--unlock", help="remove locks and scratch files of killed processes")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine before a run."""
    from shiftbench.provenance import locks
    from shiftbench.workflow.tools import doctor as doctors

    planned, folder = _planned(config)
    if unlock:
        for lock in locks.clear(folder):
            err.print(f"cleared {lock.what} {lock.path}", soft_wrap=True)
    if remotes:
        _print_remotes(doctors.remote_states(folder), as_json=as_json)
        return
    facts = doctors.examine(planned, folder)
    problems = doctors.problems(facts)
    if as_json:
        out.print_json(json.dumps({**facts, "problems": problems}))
        return
    _print_facts({**facts, "sandbox": facts["sandbox"] or "ready"})
    for problem in problems:
        out.print(f"[bold red]![/] {escaped(problem)}", soft_wrap=True)
    if not problems:
        out.print("no problems found: a run can start")


def _print_facts(facts: dict[str, Any]) -> None:
    for heading, value in facts.items():
        out.print(f"[bold]{heading}[/]")
        for line in _lines(value):
            out.print(f"  {escaped(line)}", soft_wrap=True)


def _planned(config: str | None) -> tuple[plans.Plan, Path]:
    """The plan and its root; an empty plan without params.yaml, so that the doctor works in every folder."""
    if config or Path("params.yaml").is_file():
        return plans.load(config)
    err.print("no params.yaml here, so no benchmark is checked; `shiftbench init DIR` makes one")
    return plans.Plan(Params(benchmarks={})), Path()


def _print_remotes(states: list[dict[str, Any]], *, as_json: bool) -> None:
    """Print the state of each remote; exit code 3 if none answers."""
    if as_json:
        out.print_json(json.dumps(states))
    for remote in [] if as_json else states:
        state = f"alive, {remote['seconds']} s" if remote["error"] is None else f"dead: {remote['error']}"
        access = {True: "read-only", False: "writable", None: "unknown whether writable"}
        objects = f"; {remote['there']} of {remote['objects']} objects" if "there" in remote else ""
        note = f"; {access[remote['read_only']]}" if remote["error"] is None else ""
        out.print(escaped(f"{remote['name']} ({remote['url']}): {state}{objects}{note}"), soft_wrap=True)
        for line in [*remote.get("wrong", ()), *(f"{m} is missing" for m in remote.get("missing", ()))]:
            out.print(f"  [bold red]![/] {escaped(line)}", soft_wrap=True)
    if all(remote["error"] for remote in states):
        raise DataError("no remote answers; add one with `dvc remote add`, or see the errors above")


def _lines(value: object) -> list[str]:
    """The lines of a part of the doctor's facts; a dash if it is empty."""
    if isinstance(value, dict):
        return [f"{key:14} {_named_values(item)}" for key, item in value.items()]
    return [_fact_text(item) for item in value or [None]] if isinstance(value, list) else [_fact_text(value)]


def _named_values(item: object) -> str:
    """A fact on one line; a mapping with the name before each value."""
    if isinstance(item, dict) and not any(isinstance(value, dict) for value in item.values()):
        return ", ".join(f"{name} {_fact_text(value)}" for name, value in item.items()) or "-"
    return _fact_text(item)


def _fact_text(item: object) -> str:
    """A fact on one line; a row in columns, without its missing values."""
    if isinstance(item, list):
        return ", ".join(map(str, item))
    if isinstance(item, dict):
        parts = (_fact_text(part) for part in item.values() if part is not None)
        return "  ".join(f"{part:18}" for part in parts).rstrip()
    return str(item or "-")


@command
def cite(
    config: Config = None, bibtex: Annotated[bool, typer.Option("--bibtex", help="print BibTeX entries")] = False
) -> None:
    """Print the works to cite for a configuration."""
    from shiftbench.workflow.tools import cite as citations

    works = citations.bibliography(plans.load(config)[0])
    if bibtex:
        for work in works:
            out.print(escaped(work.bibtex), soft_wrap=True)
        return
    for plugin_type in dict.fromkeys(work.plugin_type for work in works):
        out.print(f"[bold]{plugin_type}[/]")
        for work in (work for work in works if work.plugin_type == plugin_type):
            out.print(f"  {work.name:24} {escaped(work.text)}", soft_wrap=True)


@command
def docs(
    measured: Annotated[
        list[str] | None, typer.Option(metavar="SLUG", help="first store the results of this system's `embedded` run")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(help="write only the further pages of the documentation site, into this folder")
    ] = None,
) -> None:
    """Generate docs/ and params/schema.json from the code (developers)."""
    from shiftbench.cli.documents import measured as measured_results
    from shiftbench.cli.documents import pages as documents
    from shiftbench.cli.documents import reference_pages, shift_pages
    from shiftbench.workflow.engine import running

    if site:
        reference_pages.write_commands(site, typer.main.get_command(commands.app))
        out.print(f"wrote {site}: {len(shift_pages.write(site))} shifts")
        return
    for slug in measured or ():
        result = running.result(f"{configurations.SYSTEMS}/{slug}", 0.0)
        out.print(f"wrote {measured_results.record(slug, round(result.seconds / 60, 1))}")
    for path in documents.write(Path()):
        out.print(f"wrote {path}")
