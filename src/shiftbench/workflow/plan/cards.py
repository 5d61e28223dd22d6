"""Cards: `systems/SLUG_/card.yaml`, the paper, parameters, requirements and claims of a published system.

The slug is the folder's name with `-` for `_`. A user's systems are in `systems/SLUG_/` of a plugin folder, and a
plugin folder with a card is a system itself. A card is data: `statistics/claims/` evaluates its claims from stored
replicates, and `docs/systems.md` lists the cards of the package.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.files import from_yaml
from shiftbench.statistics.claims.statements import Claim, Figure, Name, Reported, Scale, Text
from shiftbench.workflow.plan import params_words

CONFIGURATIONS = ("smoke", "embedded", "full", "released")
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Paper(_Strict):
    """The publication."""

    title: Text
    year: Annotated[int, Field(ge=1990, le=2100)]
    identifier: Text = Field(description="arXiv number, DOI, OpenReview id, ...; `unknown` where there is none")
    venue: str = Field("", description="where it was published, as far as known")
    repository: str = Field("", description="of the official code, as owner/name or a URL; empty: none found")
    licence: Text = Field(description="of the official code; `unknown` where none is stated")


class Needs(_Strict):
    """The plugins that a configuration exercises, by plugin type, with their names in params.yaml."""

    datasets: tuple[Name, ...] = ()
    shifts: tuple[str, ...] = ()
    models: tuple[Name, ...] = ()
    trainers: tuple[Name, ...] = ()
    methods: tuple[Name, ...] = ()
    detectors: tuple[Name, ...] = ()
    metrics: tuple[Name, ...] = ()
    streams: tuple[Name, ...] = ()
    optimizers: tuple[Name, ...] = ()
    losses: tuple[Name, ...] = ()
    analyses: tuple[Name, ...] = ()
    others: tuple[Text, ...] = Field((), description="requirements that are no plugins: a judge, a GPU, an endpoint")


class Resources(_Strict):
    """An estimate of the resources of a configuration that was not run here, and its basis."""

    gpu_gb: Annotated[float, Field(ge=0)] = Field(0.0, description="memory of the GPU; 0: none")
    gpu_hours: Annotated[float, Field(ge=0)] = Field(0.0, description="on one such GPU, all in all")
    cpu_hours: Annotated[float, Field(ge=0)] = Field(0.0, description="of one core, of what does not wait for a GPU")
    memory_gb: Annotated[float, Field(gt=0)] = Field(description="of the largest process")
    disk_gb: Annotated[float, Field(gt=0)] = Field(description="of what is brought and what is made")
    estimated: Text = Field(description="from what: counts, operations at a rate, times that were measured")

    @model_validator(mode="after")
    def _check(self) -> Resources:
        if (self.gpu_gb > 0) != (self.gpu_hours > 0):
            raise ValueError("a GPU has memory and hours: gpu_gb and gpu_hours go together")
        if self.gpu_hours + self.cpu_hours <= 0:
            raise ValueError("hours are missing: gpu_hours, cpu_hours, or both")
        return self

    def sentence(self) -> str:
        """The estimate as a sentence."""
        gpu = f"a GPU of {self.gpu_gb:g} GB for {self.gpu_hours:g} h" if self.gpu_gb else ""
        cpu = f"{self.cpu_hours:g} h of a core" if self.cpu_hours else ""
        space = f"{self.memory_gb:g} GB of memory, {self.disk_gb:g} GB of disk"
        return f"{', '.join(filter(None, (gpu, cpu, space)))}; estimated: {self.estimated.strip()}"


class Card(_Strict):
    """One published system."""

    title: Text = Field(description="short name, as the field uses it")
    status: Literal["planned", "built"]
    family: Text = Field(description="OOD detection, classification, merging, ...")
    summary: Text = Field(description="what it is, in two or three sentences")
    paper: Paper
    needs: dict[Scale, Needs]
    resources: dict[Scale, Resources] = Field(
        {}, description="of configurations that were not run here; a built card has one if it has `full`"
    )
    looks: int = Field(
        1,
        ge=1,
        description="how often the claims of the `embedded` configuration were judged: once, and again each time that "
        "seeds or samples were added after a verdict was seen; looks share the error",
    )
    claims: dict[Name, Claim]
    reported: tuple[Reported, ...]
    figures: tuple[Figure, ...] = ()
    not_exercised: tuple[Text, ...] = Field(description="what the embedded version does not exercise")
    params: dict[Scale, dict[str, Any]] = Field(
        {},
        description="params over params.yaml in each configuration; a built card has them for `embedded` and `smoke`; "
        "those of `released` name the releases from which its claims of that scale are judged",
    )

    @model_validator(mode="after")
    def _check(self) -> Card:
        if self.status == "built":
            missing = [configuration for configuration in ("embedded", "smoke") if configuration not in self.params]
            if missing:
                raise ValueError(f"a built card has params for {missing[0]!r}")
            without_value = [name for name, claim in self.claims.items() if claim.value is None]
            if without_value:
                raise ValueError(f"claim {without_value[0]!r} of a built card has no `value`")
            for scale in ("full", "released"):
                claims = [name for name, claim in self.claims.items() if claim.scale == scale]
                if claims and scale not in self.params:
                    raise ValueError(
                        f"claim {claims[0]!r} has the scale `{scale}`, but there are no params for {scale!r}"
                    )
            expressions = any(number.from_released for number in self.reported)
            if expressions and not self.params.get("released", {}).get("released"):
                raise ValueError("a reported number has `released`, but params.released names no releases")
        return self


def slugs() -> list[str]:
    """The slugs of all cards, sorted: those of shiftbench, and those in the user's plugin folders."""
    return sorted(_slug(home.folder) for home in registry.homes() if _file(home.folder).is_file())


def file(slug: str) -> Path:
    """The file of a card.

    Raises:
        ParamsError: no card has that slug.
    """
    for home in registry.homes():
        if _slug(home.folder) == slug and _file(home.folder).is_file():
            return _file(home.folder)
    for beside in Path().glob(f"*/systems/{slug.replace('-', '_')}/card.yaml"):
        raise ParamsError(
            f"no system is called {slug!r} in the plugin folders; for {beside}, params.yaml needs "
            f"`plugins: [{beside.parts[0]}]`"
        )
    raise ParamsError(f"no system is called {slug!r}; {suggest(slug, slugs())}")


def load(slug: str) -> Card:
    """Read the card of a system.

    Raises:
        ParamsError: no such card, or a wrong key; the message names file and key.
    """
    return read(file(slug))


def read(file: Path) -> Card:
    """Read a card.

    Raises:
        ParamsError: a wrong key; the message names file and key.
    """
    stat = file.stat()
    return _read(file, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _read(file: Path, _mtime: int, _size: int) -> Card:
    try:
        return Card.model_validate(from_yaml(file.read_text()))
    except yaml.YAMLError as error:
        raise ParamsError(f"{file} is not valid YAML: {error}") from None
    except pydantic.ValidationError as error:
        raise ParamsError(params_words.explain(str(file), error, Card)) from None


def _slug(folder: Path) -> str:
    return folder.name.replace("_", "-")


def _file(folder: Path) -> Path:
    return folder / "card.yaml"
