"""Plugins as params ask for them: file, options, what they need, and the source files that decide what they do."""

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
class Used:
    """A plugin as params ask for it."""

    modules: tuple[ModuleType, ...]  # the plugin's own, then those that its `uses` names
    content: Content
    needs: list[Ref]

    @property
    def module(self) -> ModuleType:
        """The plugin's own file."""
        return self.modules[0]

    @property
    def sources(self) -> list[Ref]:
        """The originals that it reads."""
        return [refs.sources(name) for name in getattr(self.module, "SOURCES", ())]


@dataclass(frozen=True, slots=True)
class Plugins:
    """The plugins that params ask for."""

    params: Params
    _found: dict[tuple[str, str], tuple[ModuleType, Content]] = field(default_factory=dict)

    def module(self, family: str, name: str) -> ModuleType:
        """The file behind a name in params.

        Raises:
            PluginError: there is none of that name.
        """
        return self._of(family, name)[0]

    def used(self, family: str, name: str, context: Content) -> Used:
        """A plugin as params ask for it.

        Args:
            family: where it is.
            name: its entry in params, or its file.
            context: what a job adds to its options: `dataset`, `seed` and others (docs/extending.md).

        Raises:
            PluginError: there is none of that name.
        """
        module, stated = self._of(family, name)
        options = _resolved(stated, context)
        content = {"name": name, "use": self.params.use(family, name), "options": plain(options)}
        if options.get("path"):
            content["pinned"] = pins.digest(str(options["path"]), f"{family}.{name}.path")
        uses: Callable[[Content], list[tuple[str, str]]] = getattr(module, "uses", _nothing)
        others = tuple(self.module(other, known) for other, known in uses(options))
        needs: Callable[[Content], list[Ref]] = getattr(module, "needs", _nothing)
        return Used((module, *others), content, list(needs({**options, **context})))

    def _of(self, family: str, name: str) -> tuple[ModuleType, Content]:
        """What no context changes: the file, and the options that params give it."""
        if (family, name) not in self._found:
            module = registry.read(family, self.params.use(family, name))
            self._found[family, name] = module, self.params.options(family, name)
        return self._found[family, name]


def _nothing(_: Content) -> list[Any]:
    return []


def code_of(stage: str, *used: Used) -> tuple[Location, ...]:
    """Where a stage is written, and the plugins that it uses."""
    modules = (module for one in used for module in one.modules)
    return (Location(code_digest.stage(stage)), *map(registry.location, modules))


def code_in_torch(shift: Used) -> tuple[Location, ...]:
    """The source files that apply a shift in torch; only the caller where it has no torch implementation."""
    from shiftbench.evaluation.apply_shift import TORCH

    name, caller = name_in_torch(shift), code_digest.stage("evaluation.apply_torch")
    return (Location(caller), *([registry.locate(TORCH, name)] if name else []))


def name_in_torch(shift: Used) -> str | None:
    """The name of a shift's torch implementation; None: it has none."""
    from shiftbench.evaluation import apply_shift  # imports NumPy, which most plans do without

    return apply_shift.name_in_torch(shift.module)


def plain(options: Content) -> Content:
    """Options as a recipe holds them: lists, not tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}


def _resolved(options: Content, context: Content) -> Content:
    """The options with `{seed}`, `{model}`, `{dataset}` in the path replaced by their values."""
    path = str(options.get("path") or "")
    for name in {"seed", "model", "dataset"} & context.keys():
        path = path.replace(f"{{{name}}}", str(context[name]))
    return {**options, "path": path} if path else options


def reads(model: Used) -> bool:
    """Whether a model reads its originals again whenever it is loaded; a net has all it needs in its weights."""
    return registry.defines(model.module, "load")


def read_again(model: Used) -> list[Ref]:
    """What a model reads beside its weights whenever it is loaded."""
    return model.needs if reads(model) else []
