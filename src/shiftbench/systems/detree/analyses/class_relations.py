"""Relations of classes of texts in embedding space, by their centres on the tested split.

`triplet_satisfaction`, of classes x, y and z whose tree joins x and y below where it joins x and z: 1 where
cos(x, y) > cos(x, z), else 0.

`similarity_to_ai` and `similarity_to_human`, of a text of a class that people and machines wrote together (in the group
of its class): its inner product with the direction of the centre of all texts of machines alone, or of people alone.

The mean of the latter over a class's texts is the inner product of the class's centre with that direction. All models
are measured with the same tree for a seed, and with the same triplets (1,204 classes have 1.7 billion).

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3 (the order that a tree asks for) and appendix (the share of
triplets that holds), section 3 (hybrid texts are nearer to machines).
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.detree.losses._tree import Tree

HUMAN = "human"
Vectors = NDArray[np.float64]


class Options(declare.Options):
    tree_of: str = Field("tree_contrastive", description="trainer whose model contains the tree, of the same seed")
    path: str = Field("", description="file with the tree; empty: the tree of the model of `tree_of`")
    most: int = Field(100_000, ge=1, description="largest number of triplets; of more, so many are drawn")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The tested shards, the checkpoints, those with their trees, and the needs of their models."""
    checkpoints = [Ref("checkpoints", name) for name in params["checkpoints"]]
    trees = [] if params["path"] else [_tree_ref(ref, params["tree_of"]) for ref in checkpoints]
    return list(dict.fromkeys([refs.shards(params["dataset"], params["split"]), *checkpoints, *trees]))


def _tree_ref(checkpoint: Ref, trainer: str) -> Ref:
    name = CheckpointName.of(checkpoint)
    return refs.checkpoint(name.dataset, name.model, trainer, name.seed)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield all three for each of the benchmark's weights that embed."""
    params = job.params
    samples = job.samples(refs.shards(params["dataset"], params["split"]))
    classes = [str(sample.fields["meta"]["group"]) for sample in samples]
    keys = [sample.key for sample in samples]
    for name in params["checkpoints"]:
        ref = Ref("checkpoints", name)
        outputs = _predictor(job, ref)(samples)
        if "features" not in outputs:
            continue
        place = {"model": name, "dataset": params["dataset"], "split": params["split"]}
        vectors = np.asarray(outputs["features"], dtype=np.float64)
        for key, value in triplets(_tree(job, ref), vectors, classes, params["most"], job.seed):
            yield Observation("triplet_satisfaction", key, value, **place)
        for metric, key, group, value in hybrids(vectors, classes, keys):
            yield Observation(metric, key, value, group=group, **place)


def _predictor(job: Measurement, checkpoint: Ref) -> nets.Predictor:
    model, file = job.models[checkpoint.name], job.inputs[checkpoint]
    plugin = registry.find("models", model["use"])
    return plugin.load(file, model["options"], nets.classes_of(file), job.device, job.inputs)  # type: ignore[no-any-return]


def _tree(job: Measurement, checkpoint: Ref) -> Tree:
    if job.params["path"]:
        return Tree.parse(Path(job.params["path"]).expanduser().read_text(encoding="utf-8"))
    file = job.inputs[_tree_ref(checkpoint, job.params["tree_of"])]
    return Tree.parse(nets.read_state(file)["tree"].numpy().tobytes().decode())


def centres(vectors: Vectors, classes: Sequence[str]) -> dict[str, Vectors]:
    """Class -> direction of the mean of its vectors, float64 (d,) of length 1."""
    own = np.asarray(classes)
    means = {name: vectors[own == name].mean(0) for name in sorted(set(classes))}
    return {name: mean / np.linalg.norm(mean) for name, mean in means.items()}


def triplets(
    tree: Tree, vectors: Vectors, classes: Sequence[str], most: int = 100_000, seed: int = 0
) -> Iterator[tuple[str, float]]:
    """Yield `x|y|z` and whether x is nearer to y than to z, for all that the tree has an opinion on.

    Classes that the tree does not know are left out.

    Raises:
        DataError: it knows fewer than three of them.
    """
    directions = centres(vectors, classes)
    names = [name for name in directions if name in tree.leaf_of]
    if len(names) < 3:
        raise DataError(f"the tree knows {len(names)} of the classes {', '.join(directions)}; triplets take three")
    rows = np.stack([directions[name] for name in names])
    alike = rows @ rows.T
    depth = cache(lambda one, other: tree.common_depth(names[one], names[other]))
    for x, y, z in orders(len(names), most, seed):
        if depth(x, y) > depth(x, z):
            yield f"{names[x]}|{names[y]}|{names[z]}", float(alike[x, y] > alike[x, z])


def orders(count: int, most: int, seed: int) -> Iterator[tuple[int, int, int]]:
    """Yield the ordered triplets of so many things: all, or where there are more than `most`, as many distinct ones."""
    total = count * (count - 1) * (count - 2)
    if total <= most:
        yield from permutations(range(count), 3)
        return
    words = RandomStream(seed, "class_relations", "triplets", str(count))
    chosen: set[tuple[int, int, int]] = set()
    while len(chosen) < most:
        x, y, z = words.integers(0, count, 3).tolist()
        if len({x, y, z}) == 3 and (x, y, z) not in chosen:
            chosen.add((x, y, z))
            yield x, y, z


def hybrids(vectors: Vectors, classes: Sequence[str], keys: Sequence[str]) -> Iterator[tuple[str, str, str, float]]:
    """Yield metric, key, class and similarity of each text of a class that people and machines wrote together."""
    sides = ["human" if name == HUMAN else "hybrid" if HUMAN in name else "ai" for name in classes]
    if not {"human", "ai", "hybrid"} <= set(sides):
        return
    towards = centres(vectors, sides)
    for vector, name, key, side in zip(vectors, classes, keys, sides, strict=True):
        if side == "hybrid":
            for other in ("ai", "human"):
                yield f"similarity_to_{other}", key, name, float(vector @ towards[other])
