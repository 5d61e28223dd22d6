"""Paths in weight space from one model to those fine-tuned from it: accuracy, sharpness and straggler layers.

    analyses:
      paths:
        use: interpolation_path
        start: few/strided_convnet-generalist
        sets: [fog/3, edge_sketch/3, other_dataset]

`start` is theta_0. Each model of the benchmark is a theta_1. Both have the same seed, unless `start` ends in `-sN`.
The models of one theta_0 are a *pool*. The analysis goes through a pool in this order:

1. the score of each layer of theta_1, and its straggler layers (`_stragglers`),
2. the sharpness along the path, of the whole model and of its straggler layers (`_sharpness`),
3. the accuracy along the path (`_paths`) on all sets (`_test_sets`), and the members whose path fails,
4. the accuracy of variants of the path.

Rows have the name of theta_0 as model, the trainer of theta_1 as method, and a in hundredths as step (a in `alphas`):

| metric | value for each block of samples |
| --- | --- |
| `path_accuracy`, `path_loss` | accuracy and cross-entropy; group `id`, `val`, `ood`, `ood_finding` |
| | group `ood_VARIANT`, `id_VARIANT`: the same for a variant |
| `sharpness`, `average_sharpness` | of each batch of training images, group `whole_RHO`, `stragglers_RHO` |

Other rows have the method `pool` and theta_1 as the unit:

| `layer_barrier` | score of a layer, whose name is the group; a straggler has a high score |
| `straggler_share` | 1 for a straggler |
| `fails` | 1 if no a between 0 and 1 is better than both ends on `ood_finding` |

**Straggler layers.** `score_on` names another set of the val split, `fog/3`. Without `score_alphas` no layer has a
score. Stragglers are the `stragglers` highest layers, or with 0 those above mean + 1 standard deviation.

**Variants.** `TARGET_SHARE_stragglers`: straggler layers of theta_1 lost a share of their weights, which became those
of theta_0 (`delta`) or zero (`weights`). `TARGET_SHARE_others`: as many random other layers did (reconstructed).
Only members whose path fails have variants, or all members with `sparse_on: all`. `fisher` is the mixture by Fisher
information at `fisher_alphas`, for all members if `fisher_samples` is not 0.

With `norm: recomputed`, running statistics of batch normalisation are estimated again for mixtures.

Source: Abdollahpoorrostam 2024, arXiv:2410.16476, of which the abstract was seen; paths as Wortsman et al. 2022,
arXiv:2109.01903.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _interpolation
from shiftbench.systems.successful_interpolation.analyses import _paths, _sharpness, _stragglers, _test_sets
from shiftbench.systems.successful_interpolation.analyses._paths import FISHER, PLAIN, Path, Pool
from shiftbench.systems.successful_interpolation.analyses._test_sets import Sets, Sums

Share = Annotated[float, Field(ge=0, le=1)]
CHOICES = {
    "norm": ("mixed", "recomputed"),
    "score": _stragglers.SCORES,
    "score_of": _stragglers.MEASURES,
    "sparse_on": ("failures", "all"),
}
PathSums = dict[tuple[str, str, float], Sums]
"""Sums of the model at each (member, variant, a)."""


class Options(declare.Options):
    # paths and the samples that they are evaluated on
    start: str = Field("zero_shot", description="start of the paths, theta_0: TRAINER, or DATASET/MODEL-TRAINER")
    sets: list[str] = Field([], description="OOD sets: SHIFT/SEVERITY, or another data set")
    alphas: list[Share] = Field(
        [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], description="places on a path, with 0 and 1"
    )
    samples: int = Field(500, ge=1, description="test samples of each set")
    val_samples: int = Field(300, ge=1, description="samples of the val split")
    sets_per_sample: int = Field(0, ge=0, description="OOD sets that contain each OOD sample; 0: all")
    block: int = Field(20, ge=1, description="samples whose sums are one row")
    chunk: int = Field(4096, ge=1, description="samples that are in memory at a time")
    batch_size: int = Field(256, ge=1, description="samples that go through a model at once")
    norm: Literal["mixed", "recomputed"] = Field(
        "mixed", description="running statistics of batch norm: mixed, or estimated again"
    )
    # straggler layers
    unit: Literal["block", "matrix"] = Field("block", description="what counts as a layer")
    score: Literal["barrier", "mirror", "kept"] = Field("barrier", description="score of a layer")
    score_of: Literal["loss", "error"] = Field("loss", description="what the score is computed from")
    score_on: str = Field("identity/0", description="set of the val split for the score, SHIFT/SEVERITY")
    score_alphas: list[Share] = Field(
        [0.0, 0.25, 0.5, 0.75, 1.0], description="places on a path for the score; []: no score"
    )
    stragglers: int = Field(
        2, ge=0, description="highest layers that are stragglers; 0: those above mean + 1 standard deviation"
    )
    # sharpness
    sharpness_alphas: list[Share] = Field([], description="places on a path whose sharpness is measured")
    radii: list[float] = Field([0.002, 0.01, 0.05], description="radii rho of the sharpness")
    sharpness_samples: int = Field(1024, ge=1, description="training samples of the sharpness")
    sharpness_batch: int = Field(128, ge=1, description="samples of a batch, whose sharpness is a row")
    iterations: int = Field(20, ge=1, description="steps of the search for the maximum")
    rule: Literal["paper", "released"] = Field("paper", description="rule of this search")
    normalise: bool = Field(True, description="normalise logits")
    average_draws: int = Field(0, ge=0, description="draws of the average sharpness; 0: none")
    average_kind: Literal["uniform", "normal"] = Field("uniform", description="distribution of these draws")
    # variants
    variants: list[str] = Field([], description="variants, TARGET_SHARE_ARM, for example delta_0.3_stragglers")
    sparse_on: Literal["failures", "all"] = Field("failures", description="members that have variants")
    fisher_samples: int = Field(0, ge=0, description="samples of the Fisher information; 0: no such mixture")
    fisher_alphas: list[Share] = Field([0.5], description="places of the mixture by Fisher information")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Both ends of all paths, and the shards of all sets."""
    dataset, split = params["dataset"], params["split"]
    ends = [Ref("checkpoints", name) for name in params["checkpoints"]]
    starts = [start_of(name, params) for name in params["checkpoints"]]
    clean = [refs.shards(dataset, name_of_split) for name_of_split in (split, "val", "train")]
    ood = [_test_sets.shards_of(name, params, split) for name in params["sets"]]
    score_shards = _test_sets.shards_of(params["score_on"], params, "val")
    return list(dict.fromkeys([*ends, *starts, *clean, *ood, score_shards]))


def start_of(name: str, params: Mapping[str, Any]) -> Ref:
    """The theta_0 of a theta_1."""
    checkpoint = CheckpointName.of(Ref("checkpoints", name))
    context = {"dataset": checkpoint.dataset, "model": checkpoint.model, "seed": checkpoint.seed}
    return _interpolation.named(params["start"], context)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the rows of all pools.

    Raises:
        ParamsError: an option has a value that is not among its choices, or an a outside 0 to 1.
        ModelError: a black box, or ends of two architectures.
    """
    check(job.params)
    pools: dict[str, list[str]] = {}
    for name in job.params["checkpoints"]:
        pools.setdefault(start_of(name, job.params).name, []).append(name)
    for start, members in pools.items():
        yield from pool_rows(Pool.load(job, start, members))


def check(params: Mapping[str, Any]) -> None:
    """Check the options."""
    for name, choices in CHOICES.items():
        if params[name] not in choices:
            raise ParamsError(f"interpolation_path: {name} is {params[name]!r}; {suggest(params[name], choices)}")
    for variant in params["variants"]:
        if not _paths.VARIANT.fullmatch(variant):
            raise ParamsError(
                f"interpolation_path: variant {variant!r}; expected TARGET_SHARE_ARM, delta_0.3_stragglers: delta "
                "or weights, a share of 0 to 1, stragglers or others"
            )
    for name in ("alphas", "score_alphas", "sharpness_alphas", "fisher_alphas"):
        if any(not 0 <= a <= 1 for a in params[name]):
            raise ParamsError(f"interpolation_path: {name} is {params[name]}; expected numbers of 0 to 1")
    if not {0.0, 1.0} <= set(params["alphas"]):
        raise ParamsError("interpolation_path: alphas lack 0 or 1, the ends, which all is compared with")


def pool_rows(pool: Pool) -> Iterator[Observation]:
    """Yield the rows of a pool: layers and sharpness of each member, then its paths and their variants."""
    params, stragglers = pool.params, {}
    for member in pool.members:
        theta_1 = pool.tuned(member)
        scores = _stragglers.scores(pool, theta_1)
        stragglers[member] = _stragglers.highest(scores, params["stragglers"])
        yield from layer_rows(pool, member, scores, stragglers[member])
        yield from sharpness_rows(pool, member, theta_1, stragglers[member])
    sets = Sets(pool.job, pool.predictor, pool.classes)
    sums = evaluate(pool, sets, [Path(member, params["alphas"]) for member in pool.members])
    failures = [member for member in pool.members if fails(sets, sums, member, params["alphas"])]
    for member in pool.members:
        yield _member_row(pool, "fails", member, float(member in failures))
    sums |= evaluate(pool, sets, variant_paths(pool, failures, stragglers), ("id", "ood"))
    yield from path_rows(pool, sets, sums)


def layer_rows(
    pool: Pool, member: str, scores: Mapping[str, float], stragglers: Sequence[str]
) -> Iterator[Observation]:
    """Yield the score of each layer, and whether it is a straggler."""
    for layer, score in scores.items():
        yield _member_row(pool, "layer_barrier", member, score, group=layer, split="val")
        is_straggler = float(layer in stragglers)
        yield _member_row(pool, "straggler_share", member, is_straggler, group=layer, split="val")


def sharpness_rows(pool: Pool, member: str, theta_1: State, stragglers: Sequence[str]) -> Iterator[Observation]:
    """Yield the sharpness of the whole model and of its stragglers along the path, for each batch."""
    params = pool.params
    scopes = {"whole": [name for names in pool.layers.values() for name in names]}
    if stragglers:
        scopes["stragglers"] = [name for layer in stragglers for name in pool.layers[layer]]
    for a in params["sharpness_alphas"]:
        state = _interpolation.mixed(pool.first, theta_1, a)
        for scope, names in scopes.items():
            for number, (inputs, labels) in enumerate(pool.batches):
                loss = _sharpness.Loss(pool.predictor.net, state, names, inputs, labels, params["normalise"])
                for rho in params["radii"]:
                    for metric, value in _sharpness_values(pool, loss, rho, number).items():
                        yield Observation(
                            metric,
                            f"{number:03d}",
                            value,
                            pool.start,
                            params["dataset"],
                            "train",
                            member,
                            group=f"{scope}_{rho:g}",
                            step=round(100 * a),
                        )


def _sharpness_values(pool: Pool, loss: _sharpness.Loss, rho: float, batch: int) -> dict[str, float]:
    params = pool.params
    values = {"sharpness": _sharpness.worst(loss, rho, params["iterations"], params["rule"])}
    if params["average_draws"]:
        words = pool.words(f"draws/{batch}")
        count, kind = params["average_draws"], params["average_kind"]
        values["average_sharpness"] = _sharpness.mean(loss, rho, words, count, kind)
    return values


def variant_paths(pool: Pool, failures: Sequence[str], stragglers: Mapping[str, Sequence[str]]) -> list[Path]:
    """The paths to sparse ends, and the mixtures by Fisher information."""
    params = pool.params
    inner = [a for a in params["alphas"] if 0 < a < 1]
    paths = [
        Path(member, inner, variant, stragglers[member])
        for member in (pool.members if params["sparse_on"] == "all" else failures)
        for variant in params["variants"]
    ]
    if params["fisher_samples"]:
        paths += [Path(member, params["fisher_alphas"], FISHER) for member in pool.members]
    return paths


def evaluate(pool: Pool, sets: Sets, paths: Sequence[Path], kinds: Sequence[str] = _test_sets.KINDS) -> PathSums:
    """Sums of the models of all paths on the samples of some kinds, chunk by chunk."""
    sums: PathSums = {}
    if not paths:
        return sums
    class_maps = sets.class_maps()
    for chunk in sets.chunks(kinds):
        for member in pool.members:
            member_paths = [path for path in paths if path.member == member]
            theta_1 = pool.tuned(member) if member_paths else {}
            for path in member_paths:
                for a, state in _paths.states(pool, path, theta_1):
                    answers = _test_sets.answers(pool.logits(state, chunk.inputs), chunk, class_maps)
                    sums.setdefault((member, path.variant, a), Sums()).add(chunk, *answers)
    return sums


def fails(sets: Sets, sums: PathSums, member: str, alphas: Sequence[float]) -> bool:
    """Whether no model between the ends is better than both ends on `ood_finding`."""
    blocks = [number for (kind, _), number in sets.blocks.items() if kind == "ood_finding"]
    if not blocks:
        return False

    def accuracy(a: float) -> float:
        sums_at = sums[member, PLAIN, a]
        return float(sums_at.correct[blocks].sum() / sums_at.count[blocks].sum())

    inner = [accuracy(a) for a in alphas if 0 < a < 1]
    return bool(inner) and max(inner) <= max(accuracy(0.0), accuracy(1.0))


def path_rows(pool: Pool, sets: Sets, sums: PathSums) -> Iterator[Observation]:
    """Yield accuracy and loss of each block."""
    for (member, variant, a), path_sums in sums.items():
        for (kind, block), number in sets.blocks.items():
            if number >= len(path_sums.count) or not path_sums.count[number]:
                continue
            columns = {"path_accuracy": path_sums.correct}
            if variant == PLAIN:
                columns["path_loss"] = path_sums.loss
            for metric, column in columns.items():
                yield Observation(
                    metric,
                    block,
                    float(column[number] / path_sums.count[number]),
                    pool.start,
                    pool.params["dataset"],
                    "val" if kind == "val" else pool.params["split"],
                    member,
                    group=kind if variant == PLAIN else f"{kind}_{variant}",
                    step=round(100 * a),
                )


def _member_row(pool: Pool, metric: str, member: str, value: float, **place: Any) -> Observation:
    return Observation(metric, member, value, pool.start, pool.params["dataset"], method="pool", **place)
