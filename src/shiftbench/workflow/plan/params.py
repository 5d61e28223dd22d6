"""params.yaml: every scientific choice of a run, frozen (read by `loading`, checked by `params_check`).

Options of a plugin are checked against the `PARAMS` of its file, so that a wrong key or type is
refused before any job starts. `cli.documents` generates params/schema.json and tables of docs/params.md.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shiftbench.base import registry

SECTIONS = (
    "datasets",
    "shifts",
    "streams",
    "models",
    "trainers",
    "optimizers",
    "methods",
    "detectors",
    "metrics",
    "analyses",
)
"""The sections of params.yaml whose entries are plugins."""

Whole = Annotated[int, Field(strict=True)]
"""A whole number: neither `true` nor a text."""
Real = Annotated[float, Field(strict=True)]
Amount = Annotated[Whole, Field(gt=0)] | Annotated[Real, Field(gt=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Joined = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)*$")]
"""The name of a shift, or of several after one another: `fog+jpeg_compression`."""
OtherSplit = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(/(train|val|test))?$")]


def _distinct(values: Any) -> Any:
    """Refuse a list that names something twice."""
    twice = [value for number, value in enumerate(values or ()) if value in values[:number]]
    if twice:
        raise ValueError(f"{twice[0]!r} stands twice; each may stand once")
    return values


def _some(values: Any) -> Any:
    """Refuse a list with nothing in it; None, where it may stand, is no list."""
    if values is not None and not values:
        raise ValueError("nothing is listed; expected one or more")
    return values


_Distinct, _Some = AfterValidator(_distinct), AfterValidator(_some)


def _each_some(groups: Any) -> Any:
    """Refuse OOD sets of which one stands twice, and groups without one."""
    if isinstance(groups, tuple):
        return _distinct(groups)
    empty = [name for name, members in groups.items() if not members]
    if empty:
        raise ValueError(f"the group {empty[0]!r} is empty; expected one or more datasets")
    return groups


def _shift_and_severity(text: str | None) -> str | None:
    """Refuse a severity that is no number."""
    if text is not None:
        try:
            float(text.rpartition("/")[2])
        except ValueError:
            raise ValueError("expected a shift and its severity: label_noise/0.4") from None
    return text


def _some_text(title: str | None) -> str | None:
    """Refuse a title of white space."""
    if title is not None and not title.strip():
        raise ValueError("expected a text that is not empty")
    return title


Title = Annotated[Annotated[str, Field(strict=True)] | None, AfterValidator(_some_text)]
"""How pages write a name. No recipe but a page's has it."""
Flag = Annotated[bool, Field(strict=True)]
"""True or false; a text that says so is none."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Component(BaseModel):
    """A plugin under your own name: the plugin or variant (`use`, default: the name) and its options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: Joined | None = Field(None, description="name of a plugin; default: the key itself")
    title: Title = Field(
        None, description="how pages write the name; default: as its plugin says, or made from the name"
    )

    @property
    def options(self) -> dict[str, Any]:
        """Options given in params.yaml (not merged with the plugin's defaults)."""
        return dict(self.model_extra or {})


class Subset(_Strict):
    """How much of each split: a number of samples or a fraction; nested and deterministic."""

    train: Amount = Field(1.0, description="a number of samples, or a fraction")
    val: Amount = Field(1.0, description="as for train")
    test: Amount = Field(1.0, description="as for train")


Share = Annotated[Real, Field(ge=0.0, le=1.0)]


class Slice(_Strict):
    """The part of each split, by the hash of the group: two slices that do not overlap share no sample."""

    train: tuple[Share, Share] = Field((0.0, 1.0), description="from, to; shares of the split")
    val: tuple[Share, Share] = Field((0.0, 1.0), description="as for train")
    test: tuple[Share, Share] = Field((0.0, 1.0), description="as for train")

    @pydantic.model_validator(mode="after")
    def _check(self) -> Slice:
        for split, (low, high) in self:
            if low >= high:
                raise ValueError(f"{split} goes from {low:g} to {high:g}; expected a rising pair")
        return self


class Dataset(Component):
    """A dataset, how much of it, and what happens to a sample that cannot be read."""

    slice: Slice = Slice()
    subset: Subset = Subset()
    val_of_train: Literal["apart", "within"] = Field(
        "apart",
        description="where the original has no val: a tenth of train that is no more trained on, or (`within`) that "
        "train keeps, as papers do that train on all of it; nothing may be chosen on it then",
    )
    on_error: Literal["fail", "skip"] = Field(
        "fail", description="a bad sample stops the run, or is skipped, counted and shown in the report"
    )
    redistribute: Flag | None = Field(
        None, description="override of the licence's answer: may shards be pushed to a remote?"
    )


class Shift(Component):
    """A shift and its severities."""

    severities: Annotated[tuple[Annotated[Real, Field(ge=0.0)], ...], _Some] = Field(
        (1, 2, 3, 4, 5), description="continuous, within the shift's RANGE; levels are 1 to 5"
    )
    fresh: Flag = Field(False, description="draw new random numbers for every severity")
    materialise: Flag | None = Field(
        None,
        description="store its shards (true), or apply it while clean shards are read; default: shards.materialise",
    )


class Trainer(Component):
    """A trainer, and its training data if this is a shifted data set."""

    train_on: Annotated[
        Annotated[str, Field(pattern=r"^[a-z][a-z0-9_+]*/[0-9.]+$")] | None, AfterValidator(_shift_and_severity)
    ] = Field(
        None,
        description="`label_noise/0.4`: the train and val shards of its dataset are those of this shift and severity",
    )

    @property
    def shifted(self) -> tuple[str, float] | None:
        """Shift and severity of the training data; None: clean."""
        if self.train_on is None:
            return None
        shift, _, severity = self.train_on.partition("/")
        return shift, float(severity)


class Models(_Strict):
    """The product architectures x trainers x seeds; each is one model."""

    architectures: Annotated[tuple[Name, ...], _Some, _Distinct] = Field(
        description="names under `models:`, or of plugins"
    )
    trainers: Annotated[tuple[Name, ...], _Some, _Distinct] = Field(
        (), description="names under `trainers:`, or of plugins; default: `given`, for models from your own files"
    )
    seeds: Annotated[tuple[Annotated[Whole, Field(ge=0)], ...], _Some, _Distinct] = Field(
        (0,), description="training seeds; part of the model's name"
    )
    dataset: Name | None = Field(None, description="training data set; default: the benchmark's dataset")
    methods: Annotated[tuple[Name, ...] | None, _Some, _Distinct] = Field(
        None, description="methods for these models; default: the benchmark's `methods`"
    )


class Benchmark(_Strict):
    """A benchmark: models with methods on a data set, its shifts and OOD sets."""

    title: Title = Field(None, description="how pages write the name; default: made from the name")
    dataset: Name = Field(description="training data set, and the clean partner of its shifts")
    split: Literal["train", "val", "test"] = Field("test", description="evaluated split")
    models: Annotated[tuple[Models, ...], _Some]
    methods: Annotated[tuple[Name, ...], _Some, _Distinct] = Field(
        ("plain",), description="methods that wrap the models at test time"
    )
    shifts: Annotated[tuple[Joined, ...], _Distinct] = Field(
        (), description="shifts, shifts joined by `+`, and domain shifts of the dataset"
    )
    streams: Annotated[tuple[Name, ...], _Distinct] = Field((), description="ordered lists of conditions")
    ood: Annotated[tuple[Name, ...] | dict[Name, tuple[Name, ...]], AfterValidator(_each_some)] = Field(
        (), description="datasets of other classes, for detectors; or groups of them: {near: [...], far: [...]}"
    )
    val_ood: Annotated[tuple[OtherSplit, ...], _Distinct] = Field(
        (),
        description="OOD data on which detectors' options are searched, as `dataset` (its val split) or "
        "`dataset/split`; no sample of it may be tested on",
    )
    full_spectrum: Flag = Field(
        False, description="detectors also see the shifted sets, which count as ID in rows of their own"
    )
    detectors: Annotated[tuple[Name, ...], _Distinct] = Field(
        (), description="OOD detectors, clean set against `ood`; the first is the baseline"
    )
    metrics: Annotated[tuple[Name, ...] | None, _Some, _Distinct] = Field(
        None, description="default: all under `metrics:`"
    )
    analyses: Annotated[tuple[Name, ...], _Distinct] = Field((), description="measurements that are not model x shards")
    features: Annotated[tuple[Literal["train", "val", "test"], ...], _Distinct] = Field(
        (), description="clean splits whose penultimate features are kept as float32 .npy"
    )

    @property
    def ood_groups(self) -> dict[str, str | None]:
        """The OOD datasets, each with its group, None where there are no groups."""
        if isinstance(self.ood, dict):
            return {name: group for group, names in self.ood.items() for name in names}
        return dict.fromkeys(self.ood)

    @property
    def val_sets(self) -> tuple[tuple[str, str], ...]:
        """The (dataset, split) on which options are searched."""
        return tuple((name, split or "val") for name, _, split in (v.partition("/") for v in self.val_ood))


class Fetch(_Strict):
    """Places of source files before any download."""

    folders: Annotated[tuple[str, ...], _Distinct] = Field(
        (), description="folders with files SOURCE/FILE; they are tried first"
    )
    offline: Flag = Field(False, description="never use the network")


class Shards(_Strict):
    """The size of shards, and whether shifted shards are stored."""

    max_mb: Annotated[Whole, Field(gt=0)] = Field(256, description="largest tar, in 10^6 bytes")
    materialise: Flag = Field(
        True,
        description="store shifted shards; if false, each evaluation applies the shift while it reads clean shards",
    )
    stream: str | None = Field(
        None, description="DVC remote from which jobs read missing tars, without storing them; enters no recipe"
    )


class Evaluate(_Strict):
    """Parameters of a forward pass."""

    batch_size: Annotated[Whole, Field(gt=0)] = Field(256, description="samples per forward pass")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the forward pass; TF32 is off"
    )
    threads: Annotated[Whole, Field(gt=0)] = Field(1, description="torch threads of a job")
    outputs: Literal["full", "top20"] = Field("full", description="logits kept in the records")
    shift_device: Literal["cpu", "auto", "torch"] = Field(
        "cpu",
        description="where shifts that are not stored are applied: `cpu` gives the canonical bytes; `auto` uses "
        "a shift's torch implementation on a GPU, where it has one; `torch` on any device, and refuses a shift "
        "without one",
    )


class Train(_Strict):
    """Parameters of all trainings."""

    threads: Annotated[Whole, Field(gt=0)] = Field(1, description="torch threads of a job; changes the trained weights")


class Bootstrap(_Strict):
    """Parameters of the bootstrap."""

    resamples: Annotated[Whole, Field(ge=0, le=100_000)] = Field(1000, description="bootstrap resamples of each row")


class SystemConfiguration(_Strict):
    """The system and configuration of params from a card."""

    slug: str = Field(description="slug of the system")
    scale: str = Field(description="configuration of the card")


class Params(_Strict):
    """The whole of params.yaml."""

    system: SystemConfiguration | None = Field(
        None, description="set if params come from a system's card, whose claims are judged"
    )
    root: str = Field(".", description="output root, relative to the repository; enters no recipe")
    seed: Annotated[Whole, Field(ge=0)] = Field(0, description="seed of all random numbers and trainings")
    plugins: Annotated[tuple[str, ...], _Distinct] = Field((), description="folders with your own plugins")
    strict: Flag | None = Field(
        None, description="a job fails if it opens a file that nothing names; default: true if the variable CI is set"
    )
    fetch: Fetch = Fetch()
    shards: Shards = Shards()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    bootstrap: Bootstrap = Bootstrap()
    datasets: dict[Name, Dataset] = {}
    shifts: dict[Joined, Shift] = {}
    streams: dict[Name, Component] = {}
    models: dict[Name, Component] = {}
    trainers: dict[Name, Trainer] = {}
    optimizers: dict[Name, Component] = {}
    methods: dict[Name, Component] = {}
    detectors: dict[Name, Component] = {}
    metrics: dict[Name, Component] = {}
    analyses: dict[Name, Component] = {}
    benchmarks: dict[Name, Benchmark]
    released: Annotated[tuple[Name, ...], _Distinct] = Field(
        (), description="numbers that others measured and released; each name has a card, `released/NAME.yaml`"
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, content: Any) -> Any:
        """Give an empty section or plugin (`erm:`) its defaults."""
        filled = {key: _filled(key, value) for key, value in dict(content).items()}
        return {key: value for key, value in filled.items() if value is not None or key not in _GROUPS}

    @pydantic.field_validator("root")
    @classmethod
    def _inside(cls, root: str) -> str:
        """Refuse a root outside of the repository, and one with characters that Snakemake interprets."""
        parts = PurePosixPath(root).parts
        if not root or root.startswith(("/", "~")) or ".." in parts or not root.isprintable():
            raise ValueError("expected a folder inside of the repository, such as build/try")
        if special := set(root).intersection("{}*?"):
            raise ValueError(f"{''.join(sorted(special))} means something else to Snakemake; expected a folder's name")
        return root

    def materialised(self, shift: str) -> bool:
        """Whether the shards of a shift are stored; clean shards always are."""
        own = self.shift(shift).materialise
        return shift == "identity" or (self.shards.materialise if own is None else own)

    def component(self, plugin_type: str, name: str) -> Component:
        """The component `name` of a plugin type; defaults if params do not list it."""
        if plugin_type == "shifts":
            return self.shift(name)
        component: Component | None = getattr(self, plugin_type, {}).get(name)
        return component if component is not None else _DEFAULTS.get(plugin_type, Component)()

    def dataset(self, name: str) -> Dataset:
        """The parameters of a dataset."""
        return self.datasets.get(name) or Dataset()

    def shift(self, name: str) -> Shift:
        """The parameters of a shift; a composition inherits the options and severities of its parts.

        A part's options are those that params have for the shift of that name, and over them those under its name in
        the composition. Without severities of its own a composition has those that all of its parts have.
        """
        own = self.shifts.get(name) or Shift()
        parts = (own.use or name).split(registry.JOIN)
        alone = [self.shifts[part] for part in parts if part in self.shifts and self.shifts[part].use in (None, part)]
        if len(parts) == 1 or not alone:
            return own
        inherited = {part: self.shifts[part].options for part in parts if self.shifts.get(part) in alone}
        options = {part: {**values, **own.options.get(part, {})} for part, values in inherited.items()}
        content = {**own.model_dump(exclude_unset=True), **{part: values for part, values in options.items() if values}}
        common = [level for level in alone[0].severities if all(level in shift.severities for shift in alone)]
        if "severities" not in own.model_fields_set and len(alone) == len(parts) and common:
            content["severities"] = tuple(common)
        return Shift.model_validate(content)

    def trainer(self, name: str) -> Trainer:
        """The parameters of a trainer."""
        return self.trainers.get(name) or Trainer()

    def use(self, plugin_type: str, name: str) -> str:
        """The plugin or variant behind `name`."""
        return self.component(plugin_type, name).use or name

    def options(self, plugin_type: str, name: str) -> dict[str, Any]:
        """The defaults of the plugin with the options in params over them."""
        module = registry.read(plugin_type, self.use(plugin_type, name))
        return {**registry.defaults(module), **self.component(plugin_type, name).options}


_GROUPS = ("fetch", "shards", "train", "evaluate", "bootstrap", *SECTIONS)


def _filled(key: str, value: Any) -> Any:
    if key not in SECTIONS or not isinstance(value, dict):
        return value
    return {name: {} if options is None else options for name, options in value.items()}


_DEFAULTS: dict[str, type[Component]] = {"datasets": Dataset, "shifts": Shift, "trainers": Trainer}


def schema() -> dict[str, Any]:
    """The JSON Schema of params.yaml, without the parameters that a card sets."""
    whole = Params.model_json_schema()
    del whole["properties"]["system"], whole["$defs"]["SystemConfiguration"]
    return whole
