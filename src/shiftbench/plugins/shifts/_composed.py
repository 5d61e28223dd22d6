"""Composed shifts, which apply several shifts after one another: `fog+jpeg_compression` is fog, then JPEG.

Each part draws the words that it draws alone, so that the fog of `fog+jpeg_compression` is the fog of
`fog`. All parts have the same severity. A part's options stand under its name:
`fog+occlusion: {occlusion: {kind: bars}}`. Parts may change different fields of a sample, each its own: the image
and the question of `visual_question` under `gaussian_noise+char_noise`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pydantic
from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref, sources
from shiftbench.base.registry.options import problems
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare


class Composed(ModuleType):
    """A shift made of others; what a shift's file has, it has.

    Args:
        name: names of two or more different shifts, joined by `+`.

    Raises:
        PluginError: a part does not exist.
        ParamsError: a part is a domain shift, or comes twice.
    """

    def __init__(self, name: str) -> None:
        names = name.split(registry.JOIN)
        self._parts = {part: registry.find("shifts", part) for part in names}
        modules = list(self._parts.values())
        self._check(name, names)
        super().__init__(f"shiftbench.plugins.shifts.{name}", f"{', then '.join(names)}.")
        self.__file__ = __file__
        self.FIELDS = {module.FIELD for module in modules}
        self.FIELD = modules[0].FIELD if len(self.FIELDS) == 1 else None  # None: the whole sample
        self.RANGE = (0.0, min(module.RANGE[1] for module in modules))
        self.LEVELS = {level: level for level in (1, 2, 3, 4, 5)}
        self.Options = _options(self._parts)
        self.CONTINUOUS = {
            part: module.CONTINUOUS for part, module in self._parts.items() if hasattr(module, "CONTINUOUS")
        }
        self.MOVES = any(getattr(module, "MOVES", False) for module in modules)
        used = [source for module in modules for source in getattr(module, "SOURCES", ())]
        self.SOURCES = tuple(dict.fromkeys(used))

    def _check(self, name: str, names: list[str]) -> None:
        for part, module in self._parts.items():
            if hasattr(module, "DOMAIN"):
                raise ParamsError(f"shift {name!r}: {part} is a domain shift, other data, which cannot be composed")
        if len(self._parts) < len(names):
            raise ParamsError(f"shift {name!r}: a part comes twice; each draws its words by its name")

    def needs(self, params: dict[str, Any]) -> list[Ref]:
        """Needs of the parts, whose options are checked."""
        needs: list[Ref] = []
        for part, module in self._parts.items():
            options = {**params, **self._values(part, params.get(part, {}))}
            originals = [sources(name) for name in getattr(module, "SOURCES", ())]
            needs += module.needs(options) if hasattr(module, "needs") else originals
        return list(dict.fromkeys(needs))

    def uses(self, _: dict[str, Any]) -> list[tuple[str, str]]:
        """The parts: their code decides, too."""
        return [("shifts", part) for part in self._parts]

    def apply(
        self,
        value: Any,
        severity: float,
        rng: RandomStream,
        *,
        sources: Mapping[str, Path] | None = None,
        **options: Mapping[str, object],
    ) -> Any:
        """The value (a whole sample where a part takes one) after all parts."""
        if self.FIELD is None and self.MOVES and "boxes" in value.fields:
            raise DataError(
                f"{registry.called(self)} moves pixels and takes whole samples, so that boxes would stay behind; "
                "apply its parts as shifts of their own"
            )
        for part, module in self._parts.items():
            values = self._values(part, options.get(part, {}))
            files = {"sources": sources or {}} if getattr(module, "SOURCES", ()) else {}
            own = rng.of(part)
            if self.FIELD is None and module.FIELD is not None:
                if module.FIELD not in value.fields:
                    raise DataError(f"no field {module.FIELD!r}, which {part} changes")
                changed = module.apply(value.fields[module.FIELD], severity, own, **values, **files)
                value = value.with_field(module.FIELD, changed)
            else:
                value = module.apply(value, severity, own, **values, **files)
        return value

    def follow(
        self,
        mask: Any,
        severity: float,
        rng: RandomStream,
        *,
        sources: Mapping[str, Path] | None = None,  # noqa: ARG002 - as `apply` is called
        **options: Mapping[str, object],
    ) -> Any:
        """A mask after the parts that move pixels (`MOVES`); outside of it is black."""
        for part, module in self._parts.items():
            if getattr(module, "MOVES", False):
                values = self._values(part, options.get(part, {}))
                outside = {"border": "constant", "fill": 0}
                values |= {name: value for name, value in outside.items() if name in values}
                mask = module.apply(mask, severity, rng.of(part), **values)
        return mask

    def _values(self, part: str, values: Mapping[str, object]) -> dict[str, object]:
        """Value of each option of a part."""
        defaults = registry.defaults(self._parts[part])
        unknown = values.keys() - defaults.keys()
        if unknown:
            raise ParamsError(f"shift {part!r} has no option {min(unknown)!r} ({suggest(min(unknown), defaults)})")
        return {**defaults, **values}


def _options(parts: Mapping[str, ModuleType]) -> type[declare.Options]:
    """Options of a composed shift: a mapping for each part."""
    fields: dict[str, Any] = {
        part: (_part(module), Field({}, description=f"options of {part}")) for part, module in parts.items()
    }
    return pydantic.create_model("Options", __base__=declare.Options, **fields)


def _part(module: ModuleType) -> Any:
    """Type of the options of a part, which are checked as if it stood alone."""

    def check(values: dict[str, Any]) -> dict[str, Any]:
        wrong = problems(module, values)
        if wrong:
            raise ValueError("; ".join(wrong))
        return values

    return Annotated[dict[str, Any], pydantic.AfterValidator(check)]
