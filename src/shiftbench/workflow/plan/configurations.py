"""Configurations: the parameters of a run, by one name.

| name | parameters |
| --- | --- |
| none | params.yaml |
| `smoke` | params.yaml with params/smoke.yaml over it |
| `systems/palm` | systems/params.yaml of the package with the `embedded` params of PALM's card over it |
| `systems/palm/smoke` | systems/params.yaml with the `smoke` params of PALM's card over it |

A system has its own output root and its own params. From params.yaml it takes only the places of plugins, source files
and remotes (`plugins`, `fetch`, `shards.stream`), which decide no number.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import cards, loading
from shiftbench.workflow.plan.params import Params

PARAMS = Path("params.yaml")
BASE = registry.SYSTEMS / "params.yaml"
"""The params that those of each card are merged over."""
SYSTEMS = "systems"
DEFAULT = "embedded"
PUBLISHED, PLAIN = "published", "default"
"""The folder of published results, and in it the name of params.yaml alone."""


def load(config: str | None, home: Path = Path()) -> Params:
    """The params of a configuration.

    Args:
        config: its name, as in the table at the top.
        home: the checkout.

    Raises:
        ParamsError: wrong params, or no such configuration.
    """
    if config and config.startswith(f"{SYSTEMS}/"):
        return _system(config, home)
    return loading.load(*files(config, home))


def files(config: str | None, home: Path = Path()) -> list[Path]:
    """The files with the params of a configuration; of a system its card.

    Raises:
        ParamsError: no such configuration.
    """
    if config is None:
        return [home / PARAMS]
    if config.startswith(f"{SYSTEMS}/"):
        return [cards.file(split(config)[0])]
    file = home / "params" / f"{config}.yaml"
    if not file.is_file():
        raise ParamsError(f"no configuration {config!r}: {file} does not exist; {suggest(config, _names(home))}")
    return [home / PARAMS, file]


def split(config: str) -> tuple[str, str]:
    """Slug and configuration of `systems/SLUG` or `systems/SLUG/CONFIGURATION`.

    Raises:
        ParamsError: it has another form.
    """
    parts = PurePosixPath(config).parts
    if len(parts) not in (2, 3) or parts[0] != SYSTEMS:
        raise ParamsError(f"no configuration {config!r}: expected systems/SLUG or systems/SLUG/CONFIGURATION")
    return parts[1], parts[2] if len(parts) == 3 else DEFAULT


def arguments(config: str | None) -> list[str]:
    """Snakemake's arguments for a configuration.

    Example:
        >>> arguments("smoke"), arguments("systems/palm")
        (['--config', 'params=smoke'], ['systems/palm'])
    """
    if config is None:
        return []
    return [config] if config.startswith(f"{SYSTEMS}/") else ["--config", f"params={config}"]


def _system(config: str, home: Path) -> Params:
    slug, name = split(config)
    user_settings = _user_settings(home)
    card = cards.load(slug)
    if card.status != "built":
        raise ParamsError(f"{slug} is planned, not built; `shiftbench list systems` lists the built systems")
    if name not in card.params:
        raise ParamsError(f"{slug} has no configuration {name!r}; {suggest(name, card.params)}")
    system_settings = {"root": root(slug, name), "system": {"slug": slug, "scale": name}}
    content = loading.read(BASE)
    for settings in (user_settings, system_settings, card.params[name]):
        content = loading.merge(content, settings)
    content = _with_default_metrics(content, card.params[name])
    return loading.check(content, f"{cards.file(slug)}, params.{name}", home)


def _with_default_metrics(content: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The content without metrics of BASE that a benchmark would take by default, and whose normaliser it lacks.

    A metric that the card names is kept, so that a wrong normaliser in the card is refused.
    """
    benchmarks = [one for one in (content.get("benchmarks") or {}).values() if isinstance(one, Mapping)]
    named = {*(own.get("metrics") or {}), *(name for one in benchmarks for name in one.get("metrics") or ())}
    normalisers = [
        {None, *(f"{model}-{trainer}" for spec in one.get("models") or () for model, trainer in _arms(spec))}
        for one in benchmarks
        if one.get("metrics") is None and one.get("shifts")
    ]
    metrics = {
        name: options
        for name, options in content["metrics"].items()
        if name in named or all((options or {}).get("normaliser") in known for known in normalisers)
    }
    return {**content, "metrics": metrics}


def _arms(models: object) -> Iterator[tuple[str, str]]:
    """Model and trainer of each arm of an unchecked entry of `models:`."""
    if isinstance(models, Mapping):
        architectures, trainers = models.get("architectures"), models.get("trainers")
        if isinstance(architectures, list) and isinstance(trainers, list):
            yield from itertools.product(architectures, trainers)


def _user_settings(home: Path) -> dict[str, Any]:
    """The places in params.yaml at `home`; its plugin folders are searched from now on."""
    if not (home / PARAMS).is_file():
        return {}
    loading.use_plugins(home / PARAMS)
    content = loading.read(home / PARAMS)
    settings = {key: content[key] for key in ("plugins", "fetch") if content.get(key)}
    stream = (content.get("shards") or {}).get("stream")
    return {**settings, "shards": {"stream": stream}} if stream else settings


def root(slug: str, config: str) -> str:
    """The output root of a system, relative to the checkout."""
    return f"build/{SYSTEMS}/{slug}" if config == DEFAULT else f"build/{SYSTEMS}-{config}/{slug}"


def of_system_path(path: Path) -> str | None:
    """The system whose output root a path is below; None if there is none.

    Args:
        path: relative to the checkout.

    Example:
        >>> of_system_path(Path("build/systems/palm/results")), of_system_path(Path("build/systems-smoke/palm"))
        ('systems/palm', 'systems/palm/smoke')
        >>> of_system_path(Path("results"))
    """
    first, second, slug, *_ = (*path.parts, "", "", "")
    folder, _, name = second.partition("-")
    return "/".join(filter(None, (SYSTEMS, slug, name))) if (first, folder) == ("build", SYSTEMS) and slug else None


def of_path(path: str, home: Path = Path()) -> str | None:
    """The configuration whose output root a path is below; None for that of params.yaml, and for other paths.

    Args:
        path: of an output or a folder, relative to the checkout or absolute.
        home: the checkout.
    """
    top = home.absolute()
    place = top / path
    if not place.is_relative_to(top):
        return None
    system = of_system_path(place.relative_to(top))
    if system:
        return system
    roots = {name: loading.read(home / "params" / f"{name}.yaml").get("root") for name in _names(home)}
    return next((name for name, root in roots.items() if root and place.is_relative_to(top / str(root))), None)


def run_of(config: str | None) -> str:
    """The command that runs a configuration.

    Example:
        >>> run_of(None), run_of("ood"), run_of("systems/palm")
        ('make run', 'snakemake --config params=ood', 'snakemake systems/palm')
    """
    return " ".join(["snakemake", *arguments(config)]) if config else "make run"


def as_typed(text: str, config: str | None) -> str:
    """A message whose commands, between backticks, are those of a configuration.

    A reader can type the commands as they are printed. What writes the message need not know the configuration.

    Example:
        >>> as_typed("`shiftbench prune` moves it to .trash/, `make run` makes others", "smoke")
        '`shiftbench prune --config smoke` moves it to .trash/, `snakemake --config params=smoke` makes others'
        >>> as_typed("`shiftbench fetch wordnet` or `shiftbench pull --config ood`", "smoke")
        '`shiftbench fetch wordnet` or `shiftbench pull --config ood`'
    """
    if config is None:
        return text
    return _COMMAND.sub(rf"`\1 --config {config}`", text).replace("`make run`", f"`{run_of(config)}`")


_WITH_CONFIG = "answers|audit|cite|doctor|make|plan|prune|pull|release|repair|submit|why"
_COMMAND = re.compile(rf"`(shiftbench (?:{_WITH_CONFIG})\b(?![^`]*--config)[^`]*)`")
"""A command between backticks that takes a configuration and has none."""


def published_folder(config: str | None, home: Path = Path()) -> Path:
    """The folder of the published results of a configuration.

    Example:
        >>> published_folder(None).as_posix(), published_folder("systems/palm").as_posix()
        ('published/default', 'published/systems/palm')
    """
    return home / PUBLISHED / (config or PLAIN)


def built_slugs() -> list[str]:
    """The slugs of all systems that are built, sorted."""
    return [slug for slug in cards.slugs() if cards.load(slug).status == "built"]


def own_slugs() -> list[str]:
    """The slugs of the built systems in the user's plugin folders, sorted."""
    return [slug for slug in built_slugs() if not cards.file(slug).is_relative_to(registry.SYSTEMS)]


def completed(home: Path = Path()) -> list[str | None]:
    """The configurations that were run to their end here: params.yaml, those in params/, and built systems."""
    systems = [f"{SYSTEMS}/{slug}" for slug in built_slugs()]
    return [config for config in (None, *_names(home), *systems) if is_completed(config, home)]


def _names(home: Path) -> list[str]:
    return sorted(file.stem for file in (home / "params").glob("*.yaml"))


def is_completed(config: str | None, home: Path = Path()) -> bool:
    """Whether a configuration was run to its end: its report is here.

    A configuration that does not fit the user's params.yaml was not run.
    """
    try:
        root = load(config, home).root
    except ParamsError:
        if config is None:
            raise
        return False
    return (home / root / Ref("report", "index").path).is_file()
