"""Plugins as params name them: modules, options, needed outputs, and the source files that decide their results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import Location
from shiftbench.data import pins
from shiftbench.provenance import code_digest
from shiftbench.workflow.plan.params import Params

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ResolvedPlugin:
    """A plugin as params name it.

    Attributes:
        modules: the plugin's own module, then those that its `uses` names.
        content: its part of recipes: name, plugin, options, and the digest of a pinned file.
        needs: the outputs that it reads.
    """

    modules: tuple[ModuleType, ...]
    content: Content
    needs: list[Ref]

    @property
    def module(self) -> ModuleType:
        """The plugin's own module."""
        return self.modules[0]

    @property
    def sources(self) -> list[Ref]:
        """The source files that it reads."""
        return [refs.sources(name) for name in getattr(self.module, "SOURCES", ())]


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins that params name."""

    params: Params
    _cache: dict[tuple[str, str], tuple[ModuleType, Content]] = field(default_factory=dict)

    def module(self, plugin_type: str, name: str) -> ModuleType:
        """The module behind a name in params.

        Raises:
            PluginError: no plugin has that name.
        """
        return self._module_and_options(plugin_type, name)[0]

    def resolve(self, plugin_type: str, name: str, context: Content) -> ResolvedPlugin:
        """A plugin as params name it.

        Args:
            plugin_type: its type, plural.
            name: its key in params, or the name of the plugin.
            context: the values that a job adds to its options: `dataset`, `seed` and others (docs/extending.md).

        Raises:
            PluginError: no plugin has that name.
        """
        module, options_in_params = self._module_and_options(plugin_type, name)
        options = _with_path(options_in_params, context)
        content = {"name": name, "use": self.params.use(plugin_type, name), "options": with_lists(options)}
        if options.get("path"):
            content["pinned"] = pins.digest(str(options["path"]), f"{plugin_type}.{name}.path")
        uses: Callable[[Content], list[tuple[str, str]]] = getattr(module, "uses", _empty_list)
        used_modules = tuple(self.module(used_type, used_name) for used_type, used_name in uses(options))
        needs: Callable[[Content], list[Ref]] = getattr(module, "needs", _empty_list)
        return ResolvedPlugin((module, *used_modules), content, list(needs({**options, **context})))

    def _module_and_options(self, plugin_type: str, name: str) -> tuple[ModuleType, Content]:
        """The module of a plugin and its options in params, which are the same in every context."""
        if (plugin_type, name) not in self._cache:
            module = registry.read(plugin_type, self.params.use(plugin_type, name))
            self._cache[plugin_type, name] = module, self.params.options(plugin_type, name)
        return self._cache[plugin_type, name]


def _empty_list(_: Content) -> list[Any]:
    return []


def code_of(stage: str, *plugins: ResolvedPlugin) -> tuple[Location, ...]:
    """The source file of a stage, and those of the plugins that it uses."""
    modules = (module for plugin in plugins for module in plugin.modules)
    return (Location(code_digest.stage(stage)), *map(registry.location, modules))


def code_in_torch(shift: ResolvedPlugin) -> tuple[Location, ...]:
    """The source files that apply a shift in torch; only the caller's file if it has no torch implementation."""
    from shiftbench.evaluation.apply_shift import TORCH

    name, caller = name_in_torch(shift), code_digest.stage("evaluation.apply_torch")
    return (Location(caller), *([registry.locate(TORCH, name)] if name else []))


def name_in_torch(shift: ResolvedPlugin) -> str | None:
    """The name of a shift's torch implementation; None if it has none."""
    from shiftbench.evaluation import apply_shift  # imports NumPy, which most plans do without

    return apply_shift.name_in_torch(shift.module)


def with_lists(options: Content) -> Content:
    """Options as they are in a recipe: with lists instead of tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def _with_path(options: Content, context: Content) -> Content:
    """The options with `{seed}`, `{model}`, `{dataset}` in the path replaced by their values."""
    path = str(options.get("path") or "")
    for name in {"seed", "model", "dataset"} & context.keys():
        path = path.replace(f"{{{name}}}", str(context[name]))
    return {**options, "path": path} if path else options


def reads_inputs_on_load(model: ResolvedPlugin) -> bool:
    """Whether a model reads its source files again whenever it is loaded; a trained network reads its checkpoint."""
    return registry.defines(model.module, "load")


def inputs_on_load(model: ResolvedPlugin) -> list[Ref]:
    """What a model reads beside its weights whenever it is loaded."""
    return model.needs if reads_inputs_on_load(model) else []
