"""Refs: the names of all outputs, and the path of each.

A Ref is (kind, name). Its path, relative to the output root, follows from these two alone. Plugins return Refs from
`needs(params)`; `plan` expands them.

| kind     | name                                              | path                                          |
| -------- | ------------------------------------------------- | --------------------------------------------- |
| sources  | `fashion_mnist`                                   | data/sources/NAME/manifest.json               |
| shards   | `fashion_mnist/test/fog/3`                        | data/shards/NAME/manifest.json (data/local/…) |
| checkpoints | `fashion_mnist/convnet-erm-s0`                 | checkpoints/NAME.safetensors                  |
| records  | `fashion_mnist/convnet-erm-s0/plain/fashion_mnist/test/fog/3` | results/records/NAME.parquet      |
| features | as records                                        | results/features/NAME.npy                     |
| scores   | `CHECKPOINT/METHOD/DETECTOR/dataset/split/shift/severity` | results/scores/NAME.parquet              |
| searches | `CHECKPOINT/METHOD/DETECTOR`                         | results/searches/NAME.parquet                 |
| overlaps | `clothes`                                         | results/overlaps/NAME.parquet                 |
| previews | as shards                                         | results/previews/NAME.json (data/local/…)     |
| analyses | `clothes/ns_error`                                | results/analyses/NAME.parquet                 |
| released | `timm`                                            | results/released/NAME.parquet                 |
| tables   | `clothes`                                         | results/tables/NAME/metrics.parquet           |
| claims   | `palm`                                            | results/claims/NAME/claims.parquet            |
| samples  | `clothes`                                         | results/samples/NAME.json                     |
| report   | `index`                                           | results/report/index.html                     |
"""

from __future__ import annotations

from typing import NamedTuple

_PATHS = {
    "sources": "data/sources/{}/manifest.json",
    "shards": "data/shards/{}/manifest.json",
    "checkpoints": "checkpoints/{}.safetensors",
    "records": "results/records/{}.parquet",
    "features": "results/features/{}.npy",
    "scores": "results/scores/{}.parquet",
    "searches": "results/searches/{}.parquet",
    "overlaps": "results/overlaps/{}.parquet",
    "previews": "results/previews/{}.json",
    "analyses": "results/analyses/{}.parquet",
    "released": "results/released/{}.parquet",
    "tables": "results/tables/{}/metrics.parquet",
    "claims": "results/claims/{}/claims.parquet",
    "samples": "results/samples/{}.json",
    "report": "results/report/{}.html",
}
_LOCAL = {"shards": "data/local/{}/manifest.json", "previews": "data/local/{}.json"}


class Ref(NamedTuple):
    """One output: `kind` (a key of the table above) and `name` (the middle of its path).

    `local` marks shards and previews that a licence forbids to redistribute: they are in data/local and never pushed.
    """

    kind: str
    name: str
    local: bool = False

    @property
    def path(self) -> str:
        """Path relative to the output root, with forward slashes."""
        return (_LOCAL if self.local else _PATHS)[self.kind].format(self.name)

    @property
    def owns_folder(self) -> bool:
        """Whether all files in its folder belong to it."""
        return self.kind in ("sources", "shards", "tables", "claims", "report")

    @property
    def parts(self) -> tuple[str, ...]:
        """The name's components."""
        return tuple(self.name.split("/"))


class ShardsName(NamedTuple):
    """Parts of the name of shards or previews."""

    dataset: str
    split: str
    shift: str
    severity: float

    @classmethod
    def of(cls, ref: Ref) -> ShardsName:
        """Split the name of shards or previews."""
        dataset, split, shift, severity = ref.parts
        return cls(dataset, split, shift, float(severity))


class CheckpointName(NamedTuple):
    """Parts of the name of a checkpoint: `fashion_mnist/convnet-erm-s0`."""

    dataset: str
    model: str
    trainer: str
    seed: int

    @classmethod
    def of(cls, ref: Ref) -> CheckpointName:
        """Split the name of a checkpoint."""
        dataset, instance = ref.parts
        model, trainer, seed = instance.split("-")
        return cls(dataset, model, trainer, int(seed.removeprefix("s")))


class RecordsName(NamedTuple):
    """Parts of the name of records or features."""

    checkpoint: Ref
    method: str
    stream: str
    step: str

    @classmethod
    def of(cls, ref: Ref) -> RecordsName:
        """Split the name of records or features."""
        dataset, instance, method, *stream, step = ref.parts
        return cls(Ref("checkpoints", f"{dataset}/{instance}"), method, "/".join(stream), step)

    @property
    def shards(self) -> ShardsName | None:
        """Evaluated shards; None for a stream. A stream's name has no slash, a condition is `dataset/split/shift`."""
        if "/" not in self.stream:
            return None
        dataset, split, shift = self.stream.split("/")
        return ShardsName(dataset, split, shift, float(self.step))


def without_seed(model: str) -> tuple[str, int | None]:
    """The name that training seeds share, and the seed; None if the name has no seed.

    Example:
        >>> without_seed("fashion_mnist/convnet-erm-s2"), without_seed("fashion_mnist/convnet-erm")
        (('fashion_mnist/convnet-erm', 2), ('fashion_mnist/convnet-erm', None))
    """
    head, _, seed = model.rpartition("-s")
    return (head, int(seed)) if head and seed.isdigit() else (model, None)


def number(severity: float) -> str:
    """A severity as a part of a path: `3`, `2.5`.

    Example:
        >>> number(3.0), number(2.5)
        ('3', '2.5')
    """
    return f"{float(severity):g}"


def at(shift: str, severity: float) -> str:
    """The two last parts of a name, shift and severity: `fog/2.5`."""
    return f"{shift}/{number(severity)}"


def sources(name: str) -> Ref:
    """The source files that `sources/<name>.yaml` lists."""
    return Ref("sources", name)


def shards(dataset: str, split: str, shift: str = "identity", severity: float = 0) -> Ref:
    """Shards of one (dataset, split, shift, severity); clean ones are `identity` at severity 0."""
    return Ref("shards", f"{dataset}/{split}/{at(shift, severity)}")


def previews(of: Ref) -> Ref:
    """The first samples of the shards `of`, which need not exist themselves."""
    return Ref("previews", of.name, of.local)


def checkpoint(dataset: str, model: str, trainer: str, seed: int = 0) -> Ref:
    """Checkpoint of a trained model: training set, architecture, trainer and training seed."""
    return Ref("checkpoints", f"{dataset}/{model}-{trainer}-s{seed}")


def records(of: Ref, method: str, stream: str, step: str) -> Ref:
    """Per-sample rows of the checkpoint `of` under `method` at one step of a stream."""
    return Ref("records", f"{of.name}/{method}/{stream}/{step}")


def features(of: Ref) -> Ref:
    """Penultimate features (float32, one row per record, same order) next to the records `of`."""
    return Ref("features", of.name)


def scores(of: Ref, detector: str) -> Ref:
    """OOD scores of the records `of` under `detector`."""
    dataset, model, method, *rest = of.parts
    return Ref("scores", "/".join((dataset, model, method, detector, *rest)))


def records_of(scores: Ref) -> Ref:
    """Inverse of `scores`: the records that a score file is about."""
    dataset, model, method, _, *rest = scores.parts
    return Ref("records", "/".join((dataset, model, method, *rest)))
