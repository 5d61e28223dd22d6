"""The contract tests of plugins and systems: the project runs them on all plugins, `shiftbench test` on yours.

A module for each plugin type has tests with the parameter `name` (of systems: `slug`). `tests/contracts/` imports them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, ShiftbenchError, suggest
from shiftbench.workflow.plan import cards

if TYPE_CHECKING:
    import pytest

TYPES = ("datasets detectors importers methods metrics models optimizers shifts streams trainers").split()
SYSTEMS = "systems"


class Chosen:
    """What this process tests: names by plugin type, and slugs under `systems`. None: everything.

    Attributes:
        names: plugin type -> names.
    """

    names: ClassVar[Mapping[str, frozenset[str]] | None] = None


def names(plugin_type: str) -> list[str]:
    """The names to test, of a plugin type or of `systems`; sorted."""
    if Chosen.names is not None:
        return sorted(Chosen.names.get(plugin_type, ()))
    return cards.slugs() if plugin_type == SYSTEMS else registry.names(plugin_type)


def of_user(target: str | None) -> dict[str, frozenset[str]]:
    """The user's plugins and systems by type, or those of one name.

    Args:
        target: the name of a plugin or the slug of a system; None: everything in the user's plugin folders.

    Raises:
        ParamsError: none of the user's plugins with contract tests has that name, or there are none at all.
    """
    yours: dict[str, set[str]] = {}
    for plugin_type in TYPES:
        packaged = registry.packaged_names(plugin_type)
        yours[plugin_type] = {name for name in registry.names(plugin_type) if name not in packaged}
    yours[SYSTEMS] = {slug for slug in cards.slugs() if not cards.file(slug).is_relative_to(registry.SYSTEMS)}
    known = set().union(*yours.values())
    folders = ", ".join(map(str, registry.Folders.extra)) or "no folder"
    if not known:
        raise ParamsError(
            f"no plugin or system of yours to test in {folders}. Name the folder (`shiftbench test mine`), or the "
            "configuration with `plugins:` (`--config NAME`). `shiftbench new shifts NAME` writes a plugin. "
            f"These types have contract tests: {', '.join((*TYPES, SYSTEMS))}"
        )
    if target is None:
        return {kind: frozenset(found) for kind, found in yours.items() if found}
    if target not in known:
        raise ParamsError(f"no plugin or system of yours is called {target!r} in {folders}; {suggest(target, known)}")
    return {kind: frozenset({target}) for kind, found in yours.items() if target in found}


def run(chosen: Mapping[str, Iterable[str]], options: Iterable[str] = ()) -> int:
    """Run the contract tests on some plugins; returns pytest's exit status.

    Args:
        chosen: plugin type, or `systems` -> names.
        options: more arguments of pytest.

    Raises:
        ShiftbenchError: pytest or hypothesis is not installed.
    """
    missing = [package for package in ("pytest", "hypothesis") if importlib.util.find_spec(package) is None]
    if missing:
        raise ShiftbenchError(
            f"{' and '.join(missing)} not installed, which the contract tests need; `pip install 'shiftbench[test]'`"
        )
    import pytest

    Chosen.names = {plugin_type: frozenset(found) for plugin_type, found in chosen.items()}
    files = [str(Path(__file__).parent / f"{plugin_type}.py") for plugin_type in chosen]
    own_settings = ("-c", str(Path(__file__).parent / "pytest.ini"), "--rootdir", str(Path.cwd()))
    flags = ("-q", "--import-mode=importlib", "-p", "no:cacheprovider")
    return int(pytest.main([*files, *own_settings, *flags, *options], plugins=[_OnlyChosen()]))


class _OnlyChosen:
    """A plugin of pytest that keeps the tests of chosen plugins."""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect what is not about a chosen plugin: tests of the package itself, and empty parameter sets."""
        chosen = frozenset().union(*(Chosen.names or {}).values())
        kept = [item for item in items if not chosen.isdisjoint(_parameters(item))]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _parameters(item: pytest.Item) -> list[str]:
    callspec = getattr(item, "callspec", None)
    return [str(callspec.params.get(key)) for key in ("name", "slug")] if callspec else []
