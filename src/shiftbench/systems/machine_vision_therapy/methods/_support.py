"""Inputs of the methods of Machine Vision Therapy: records of the queries and of a labelled support set.

Support images of each class are spread over the vision model's confidence. The vision model's predictions of queries
and support are read from its records (`plain`), the verifier's features from those of the checkpoint `verifier`, of the
same training seed. No network runs.

Labels of support images alone are looked at. Where the dataset has fewer classes than the model, probabilities are over
these (the masks of ImageNet-A, -R and -V); labels here are positions in `allowed`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import RecordsName, Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.systems.machine_vision_therapy.methods import _diagnosis

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Options(declare.Options):
    support: str = Field("support", description="data set of the labelled support set")
    support_split: Literal["train", "val", "test"] = Field("train", description="split of `support` that is drawn from")
    shifted: bool = Field(True, description="whether the support set has the shift and severity of the queries")
    budget: int = Field(10, ge=1, description="support images of each class")
    sampling: Literal["even", "strided"] = Field(
        "even", description="how support images are spread over the model's confidence: evenly, or as the released code"
    )
    verifier: str = Field("", description="checkpoint of the verifier, as DATASET/MODEL-TRAINER")


def needs(params: Mapping[str, Any], *, images: bool = False) -> list[Ref]:
    """Records and features of queries and support, by the vision model and by the verifier.

    Args:
        params: options and context of a method.
        images: the queries are read as they are, so that the verifier's features are not needed.
    """
    own = _points(params)
    vision = Ref("checkpoints", params["checkpoint"])
    inputs = [refs.records(vision, "plain", *own[0]), refs.records(vision, "plain", *own[1])]
    if params.get("retrieval") == "similarity":
        inputs += [refs.features(record) for record in inputs[:2]]
    if not images:
        other = verifier(params)
        for point in own:
            record = refs.records(other, "plain", *point)
            inputs += [record, refs.features(record)]
    _, split, *condition = f"{own[1][0]}/{own[1][1]}".split("/")
    inputs.append(Ref("shards", "/".join((str(params["support"]), split, *condition))))
    return list(dict.fromkeys(inputs))


def verifier(params: Mapping[str, Any]) -> Ref:
    """The verifier's checkpoint.

    Raises:
        ParamsError: none are named.
    """
    dataset, _, name = str(params["verifier"]).partition("/")
    model, _, trainer = name.partition("-")
    if not (dataset and model and trainer):
        raise ParamsError(
            f"verifier is {params['verifier']!r}; expected weights as DATASET/MODEL-TRAINER, of the same seed"
        )
    return refs.checkpoint(dataset, model, trainer, params["seed"])


def _points(params: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    """Stream and step of the queries and of the support set."""
    stream, step = params["stream"], params["step"]
    shift = stream.rpartition("/")[2] if params["shifted"] else "identity"
    support_stream = f"{params['support']}/{params['support_split']}/{shift}"
    return (stream, step), (support_stream, step if params["shifted"] else "0")


@dataclass(frozen=True)
class Outputs:
    """Outputs of a model for samples: keys with rows, logits (n, C), labels (n,), features (n, d) if they were read."""

    keys: dict[str, int]
    logits: NDArray[np.float32]
    labels: Ints
    features: Floats | None

    def rows(self, samples: Sequence[Sample]) -> list[int]:
        """The rows of samples."""
        return [self.keys[sample.key] for sample in samples]


@dataclass(frozen=True)
class Ward:
    """Queries and support set of one condition.

    Attributes:
        queries, seen: what the vision model said of the queries; of queries by the verifier (None: it is not asked).
        allowed: classes of the model that the dataset has, ascending, (A,).
        names: their names.
        p: probabilities of the support set over `allowed`, (m, A).
        labels: of the support set, positions in `allowed`, (m,).
        keys: of the support set.
        vision_features: features of the support set by the vision model; None where they are not asked for.
        verifier_features: by the verifier, (m, d); None likewise.
        folder: shards of the support set.
    """

    queries: Outputs
    verifier: Outputs | None
    allowed: Ints
    names: list[str]
    p: Floats
    labels: Ints
    keys: list[str]
    vision_features: Floats | None
    verifier_features: Floats | None
    folder: Path

    def probabilities(self, samples: Sequence[Sample]) -> Floats:
        """The vision model's probabilities of queries over `allowed`, (n, A)."""
        return softmax_over(self.queries.logits[self.queries.rows(samples)], self.allowed)

    def images(self) -> list[NDArray[np.uint8]]:
        """The images of the support set."""
        pixels = {one.key: one.fields["image"] for one in shards.read(self.folder) if one.key in set(self.keys)}
        return [pixels[key] for key in self.keys]


def softmax_over(logits: NDArray[np.float32], allowed: Ints) -> Floats:
    """The softmax over some classes, float64 (n, A)."""
    shares: Floats = softmax(logits[:, allowed].astype(np.float64), axis=1)
    return shares


def ward(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Ward:
    """Read what stands at a condition, and draw the support set.

    Args:
        params: of the method: `budget`, `sampling`.
        inputs: where its needs lie at this point; the first are the vision model's weights.

    Raises:
        DataError: no support image has a class of the model.
    """
    vision, (folder, allowed, names) = next(iter(inputs)), classes(params, inputs)
    queries, support = _outputs(inputs, vision, params)
    others = [name for name in _models(inputs) if name != vision.name]
    verifier_queries, verifier_support = (
        _outputs(inputs, Ref("checkpoints", others[0]), params) if others else (None, None)
    )
    some = np.flatnonzero(np.isin(support.labels, allowed))
    if not len(some):
        raise DataError(f"{folder}: none of {len(support.labels)} support images has a class of the model")
    p, labels = softmax_over(support.logits[some], allowed), np.searchsorted(allowed, support.labels[some])
    chosen = _diagnosis.support(p, labels, params["budget"], params["sampling"])
    keys = np.array(list(support.keys))[some][chosen]
    return Ward(
        queries=queries,
        verifier=verifier_queries,
        allowed=allowed,
        names=names,
        p=p[chosen],
        labels=labels[chosen],
        keys=keys.tolist(),
        vision_features=None if support.features is None else support.features[some][chosen],
        verifier_features=None
        if verifier_support is None or verifier_support.features is None
        else verifier_support.features[[verifier_support.keys[k] for k in keys]],
        folder=folder,
    )


def classes(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> tuple[Path, Ints, list[str]]:
    """The folder of the support shards, and which classes of the model their dataset has, with names."""
    folder = next(path.parent for ref, path in inputs.items() if _is_support(ref, params))
    model, dataset = nets.classes_of(inputs[next(iter(inputs))]), shards.manifest(folder)["classes"]
    allowed = LabelSpace(tuple(model), tuple(dataset)).allowed.astype(np.int64)
    return folder, allowed, [model[at] for at in allowed]


def _is_support(ref: Ref, params: Mapping[str, Any]) -> bool:
    return ref.kind == "shards" and ref.parts[0] == params["support"] and ref.parts[1] == params["support_split"]


def _models(inputs: Mapping[Ref, Path]) -> list[str]:
    return list(dict.fromkeys(RecordsName.of(ref).checkpoint.name for ref in inputs if ref.kind == "records"))


def _outputs(inputs: Mapping[Ref, Path], of: Ref, params: Mapping[str, Any]) -> tuple[Outputs, Outputs]:
    """Records of the queries and of the support set under a model."""
    records = [ref for ref in inputs if ref.kind == "records" and RecordsName.of(ref).checkpoint.name == of.name]
    prefix = f"{params['support']}/{params['support_split']}/"
    support = next(ref for ref in records if RecordsName.of(ref).stream.startswith(prefix))
    queries = next((ref for ref in records if ref != support), support)
    return _read(inputs, queries), _read(inputs, support)


def _read(inputs: Mapping[Ref, Path], record: Ref) -> Outputs:
    table = schema.read(inputs[record])
    if "logits" not in table.column_names:
        raise ParamsError(f"{record.name} holds the 20 largest logits only; set evaluate.outputs: full")
    keys = table.column("key").to_pylist()
    flat = table.column("logits").combine_chunks().flatten().to_numpy()
    file = inputs.get(refs.features(record))
    features = None if file is None else np.load(file).astype(np.float64)
    labels = table.column("label").to_numpy().astype(np.int64)
    return Outputs({key: at for at, key in enumerate(keys)}, flat.reshape(len(keys), -1), labels, features)
