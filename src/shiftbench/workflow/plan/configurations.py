"""Scales: what is run, by one name.

| name | what |
| --- | --- |
| none | params.yaml |
| `smoke` | params.yaml with params/smoke.yaml over it |
| `systems/palm` | systems/params.yaml of the package with what the card of PALM states for `embedded` over it |
| `systems/palm/smoke` | the same with what it states for `smoke` |

A system has an output root of its own, so that its datasets and trainings are in nobody's way, and params of its own.
Of params.yaml it takes where things are looked for (`plugins`, `fetch`, `shards.stream`), nothing that decides a
number.

"""

from pathlib import Path, PurePosixPath
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, near
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import cards, loading
from shiftbench.workflow.plan.params import Params

PARAMS = Path("params.yaml")
BASE = registry.SYSTEMS / "params.yaml"
"""What the cards' params are laid over."""
SYSTEMS = "systems"
DEFAULT = "embedded"
PUBLISHED, PLAIN = "published", "default"
"""Folder of what is published, and in it of params.yaml without an overlay."""


def load(config: str | None, home: Path = Path()) -> Params:
    """Return the params of a scale.

    Args:
        config: its name, see above.
        home: the checkout.

    Raises:
        ParamsError: wrong params, or no such scale.
    """
    if config and config.startswith(f"{SYSTEMS}/"):
        return _system(config, home)
    return loading.load(*files(config, home))


def files(config: str | None, home: Path = Path()) -> list[Path]:
    """Return the files that hold the params of a scale; of a system its card.

    Raises:
        ParamsError: no such scale.
    """
    if config is None:
        return [home / PARAMS]
    if config.startswith(f"{SYSTEMS}/"):
        return [cards.file(split(config)[0])]
    file = home / "params" / f"{config}.yaml"
    if not file.is_file():
        raise ParamsError(f"no configuration {config!r}: {file} does not exist; {near(config, _overlays(home))}")
    return [home / PARAMS, file]


def split(config: str) -> tuple[str, str]:
    """Return slug and scale of `systems/SLUG` or `systems/SLUG/SCALE`.

    Raises:
        ParamsError: it is spelled otherwise.
    """
    parts = PurePosixPath(config).parts
    if len(parts) not in (2, 3) or parts[0] != SYSTEMS:
        raise ParamsError(f"no configuration {config!r}: expected systems/SLUG or systems/SLUG/SCALE")
    return parts[1], parts[2] if len(parts) == 3 else DEFAULT


def arguments(config: str | None) -> list[str]:
    """Return what Snakemake is told so that it runs a scale.

    Example:
        >>> arguments("smoke"), arguments("systems/palm")
        (['--config', 'params=smoke'], ['systems/palm'])
    """
    if config is None:
        return []
    return [config] if config.startswith(f"{SYSTEMS}/") else ["--config", f"params={config}"]


def _system(config: str, home: Path) -> Params:
    slug, name = split(config)
    local = _local(home)
    card = cards.load(slug)
    if card.status != "built":
        raise ParamsError(f"{slug} is planned, not built; `shiftbench list systems` shows what is")
    if name not in card.params:
        raise ParamsError(f"{slug} has no configuration {name!r}; {near(name, card.params)}")
    own = {"root": root(slug, name), "system": {"slug": slug, "scale": name}}
    content = loading.read(BASE)
    for over in (local, own, card.params[name]):
        content = loading.merge(content, over)
    return loading.check(content, f"{cards.file(slug)}, params.{name}", home)


def _local(home: Path) -> dict[str, Any]:
    """Return what the benchmark at `home` says of where things are looked for; its plugins are searched from now on."""
    if not (home / PARAMS).is_file():
        return {}
    loading.use_plugins(home / PARAMS)
    content = loading.read(home / PARAMS)
    local = {key: content[key] for key in ("plugins", "fetch") if content.get(key)}
    stream = (content.get("shards") or {}).get("stream")
    return {**local, "shards": {"stream": stream}} if stream else local


def root(slug: str, config: str) -> str:
    """Return the output root of a system, relative to the checkout."""
    return f"build/{SYSTEMS}/{slug}" if config == DEFAULT else f"build/{SYSTEMS}-{config}/{slug}"


def published(config: str | None, home: Path = Path()) -> Path:
    """Return the folder of what is published of a scale.

    Example:
        >>> published(None).as_posix(), published("systems/palm").as_posix()
        ('published/default', 'published/systems/palm')
    """
    return home / PUBLISHED / (config or PLAIN)


def built() -> list[str]:
    """Return the slugs of all systems that are built, sorted."""
    return [slug for slug in cards.slugs() if cards.load(slug).status == "built"]


def made(home: Path = Path()) -> list[str | None]:
    """Return the scales that were made here: params.yaml, its overlays, built systems at the scale by default."""
    systems = [f"{SYSTEMS}/{slug}" for slug in built()]
    return [config for config in (None, *_overlays(home), *systems) if is_made(config, home)]


def _overlays(home: Path) -> list[str]:
    return sorted(file.stem for file in (home / "params").glob("*.yaml"))


def is_made(config: str | None, home: Path = Path()) -> bool:
    """Whether a scale was run to its end: its report is here.

    An overlay of the project that does not go with a user's params.yaml was not.
    """
    try:
        root = load(config, home).root
    except ParamsError:
        if config is None:
            raise
        return False
    return (home / root / Ref("report", "index").path).is_file()
