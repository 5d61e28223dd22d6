"""Paths of weights from a pretrained to a fine-tuned network, and statistics over a pool of such networks.

Rows of single networks: `model` is the network that all of a pool were fine-tuned from, `method` the fine-tuned one,
`step` the place a on its path, in hundredths. Statistics over a pool resample networks; see `_pool.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.base.refs import without_seed
from shiftbench.plugins import declare, fields
from shiftbench.plugins.metrics.severity import source
from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.successful_interpolation.metrics import _pool
from shiftbench.systems.successful_interpolation.metrics._pool import Line

ACCURACY, LOSS = "path_accuracy", "path_loss"
BARRIER, GAIN = "barrier", "interpolation_gain"
END = 100
OOD = ("ood", "ood_finding")
Groups = Annotated[Sequence[str], Field(description="groups of samples; `ood` means all OOD images")]
BarrierGroups = Annotated[Sequence[str], Field(description="groups of samples")]
Group = Annotated[str, Field(description="group of samples whose gain counts")]
Seed = Annotated[int, Field(ge=0, description="seed of the resamples")]
"""All OOD images: those that judge, and those that were looked at before."""


def _accuracy(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (ACCURACY,)


def _loss_and_accuracy(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (LOSS, ACCURACY)


def _gain(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (GAIN,)


def _barrier_and_gain(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (BARRIER, GAIN)


def _and_accuracy(options: Mapping[str, Any]) -> tuple[str, ...]:
    return (*source(options), ACCURACY)


# ------------------------------------------------------------------ accuracy and loss along paths


@declare.curve_metric(sources=_accuracy, higher_is_better=True)
def pool_accuracy(rows: list[Row], groups: Groups = ("id", "ood", "val"), seed: Seed = 0) -> list[Row]:
    """Accuracy along paths of weights, mean over a pool of networks, at each a (step, in hundredths) for each group.

    Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, figure 1 (accuracy in and out of distribution along the path).
    """
    results, templates = [], _pool.templates(rows, ACCURACY)
    for group in groups:
        paths = _pool.lines(rows, ACCURACY, OOD if group == "ood" else (group,))
        for step in _pool.steps(paths):
            values = _pool.at(paths, step)
            results += _pool.pooled(templates, values, _pool.average, seed, group=group, step=step)
    return results


@declare.curve_metric(sources=_loss_and_accuracy, higher_is_better=False, unit="nat or share", bounds=(0.0, None))
def barrier(rows: list[Row], groups: BarrierGroups = ("id", "val", "ood", "ood_finding")) -> list[Row]:
    """Instability of a path of weights: how far its worst place is above the mean of its ends, LII.

        LII = sup_a L(theta_a) - (L(theta_0) + L(theta_1)) / 2

    It is taken over every a that was evaluated, including the ends, so that it is at least half the difference of the
    ends. Rows are of single networks. The group is that of the samples, `ood`, `id`, for the cross-entropy, and
    `ood_error` for the error.

    Source: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, arXiv:1912.05671,
    section 2 (error barrier of a path).
    """
    paths: dict[tuple[object, ...], dict[int, Row]] = {}
    for row in rows:
        if row.metric in (LOSS, ACCURACY) and row.group in groups:
            key = (row.metric, row.model, row.method, row.dataset, row.split, row.group)
            paths.setdefault(key, {})[row.step or 0] = row
    results = []
    for (metric, *_), path in paths.items():
        if {0, END} <= set(path):
            own = list(path.values())
            line = {at: row.all if metric == LOSS else 1 - row.all for at, row in path.items()}
            worst = np.max(list(line.values()), axis=0)
            group = own[0].group if metric == LOSS else f"{own[0].group}_error"
            results.append(own[0].derived(own, worst - (line[0] + line[END]) / 2, group=group, step=None))
    return results


# ------------------------------------------------------------------ gain over both ends


@declare.curve_metric(sources=_accuracy, higher_is_better=True, bounds=(-1.0, 1.0))
def interpolation_gain(rows: list[Row], group: Group = "ood", seed: Seed = 0) -> list[Row]:
    """Accuracy out of distribution that mixing weights gains over the better of both ends.

        gain = max_{0 < a < 1} acc_ood(theta_a) - max(acc_ood(theta_0), acc_ood(theta_1))

    A network whose gain is not above 0 is in the failure mode. The best a is that of the tested images (an oracle), for
    all variants alike. Rows are of single networks, with the group `ood`, or `ood_VARIANT`, whose ends are those of the
    plain path: a network that lost weights is not compared with a worse end. A further row is the mean gain.

    Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, section 4; the failure mode of arXiv:2410.16476,
    reconstructed.
    """
    single: list[Row] = []
    for variants in _variants(rows, group):
        plain = variants.get(group, {})
        if not {0, END} <= set(plain):
            continue
        ends = np.maximum(plain[0].all, plain[END].all)
        inner = {at for at in plain if 0 < at < END}
        for path in variants.values():
            own = [row for at, row in path.items() if at in inner]
            if own and len(own) == len(inner):
                best = np.max([row.all for row in own], axis=0)
                single.append(own[0].derived(own, best - ends, step=None))
    gains: dict[str, dict[str, float]] = {}
    for row in single:
        if row.group == group:
            gains.setdefault(row.model, {})[row.method] = row.value
    templates = {row.model: row for row in single}
    return single + _pool.pooled(templates, gains, _pool.average, seed, group=group, step=None)


def _variants(rows: list[Row], group: str) -> list[dict[str, dict[int, Row]]]:
    """For each network its paths, by the group of the plain path or a variant."""
    paths: dict[tuple[object, ...], dict[str, dict[int, Row]]] = {}
    for row in rows:
        name = row.group or ""
        is_variant = name.startswith(f"{group}_") and name != f"{group}_finding"
        if row.metric == ACCURACY and (name == group or is_variant) and row.seed is not None:
            key = (row.model, row.method, row.dataset, row.split)
            paths.setdefault(key, {}).setdefault(name, {})[row.step or 0] = row
    return list(paths.values())


@declare.curve_metric(sources=_gain, higher_is_better=True, bounds=(-1.0, 1.0))
def repair(rows: list[Row], group: Group = "ood", seed: Seed = 0) -> list[Row]:
    """Change of the gain by sparse layers, of networks whose interpolation fails: mean of (gain with sparsity - gain).

    It is over the networks that have a sparse variant, which are those that failed on other images
    (`interpolation_path`), of all starts together, since a start may have none. The group is the variant,
    `delta_0.3_stragglers`, `delta_0.3_others`. Networks are resampled.

    Source: arXiv:2410.16476, reconstructed; the control, as many layers that are no stragglers, is ours.
    """
    plain, templates = _pool.at(_pool.lines(rows, GAIN, (group,)), 0), _pool.templates(rows, GAIN)
    results = []
    for name in _pool.groups(rows, GAIN):
        variant = name.removeprefix(f"{group}_")
        if variant == name:
            continue
        sparse = _pool.at(_pool.lines(rows, GAIN, (name,)), 0)
        changes = [
            (start, net, value - plain[start][net]) for start, nets in sparse.items() for net, value in nets.items()
        ]
        template = templates[changes[0][0]]
        resamples = len(template.resamples)
        counts = np.concatenate([_pool.weights(start, [net], resamples, seed) for start, net, _ in changes])
        values = _pool.average(np.array([change for *_, change in changes]), counts)
        row = _pool.row(template, values, len(changes), group=variant, step=None)
        results.append(replace(row, model=without_seed(template.model)[0], seed=None))
    return results


# ------------------------------------------------------------------ accuracy that a mixture keeps

ROUNDING = 1e-9
MARGIN_GROUPS = {"id": ("id",), "val": ("val",), "ood": OOD}


@declare.curve_metric(sources=_accuracy, higher_is_better=True, bounds=(-1.0, 1.0))
def kept_margin(
    rows: list[Row],
    slack: Annotated[float, Field(ge=0, description="accuracy that may be lost in distribution")] = 0.01,
    least: Annotated[float, Field(description="accuracy to gain out of distribution")] = 0.0,
    seed: Seed = 0,
) -> list[Row]:
    """Accuracy that a mixture of weights keeps in distribution and gains out of it, against the fine-tuned network.

    | group | mean over networks, at each a between 0 and 1 (step, in hundredths) |
    | --- | --- |
    | `id` | acc_id(theta_a) - acc_id(theta_1) + `slack` |
    | `ood` | acc_ood(theta_a) - acc_ood(theta_1) - `least` |

    An a at which both are above 0 keeps the accuracy but for `slack`, and gains more than `least`. Rows without a step
    are at the a that val chooses for each network, the smallest one that keeps acc_val but for `slack` (1 if none
    does): groups `id_chosen`, `ood_chosen`, and `a_chosen`, the a itself. `ood_oracle` is at the a between 0 and 1 that
    is best on the tested images themselves, of those that keep acc_id on them (0 if none does).

    Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, section 4 (a chosen so that accuracy in distribution drops by
    at most one point).
    """
    templates = _pool.templates(rows, ACCURACY)
    paths = {kind: _pool.lines(rows, ACCURACY, names) for kind, names in MARGIN_GROUPS.items()}
    beyond = {
        kind: {
            start: {name: _beyond_end(line) for name, line in nets.items() if END in line}
            for start, nets in own.items()
        }
        for kind, own in paths.items()
    }
    results = list[Row]()
    for kind, offset in {"id": slack, "ood": -least}.items():
        margins = _plus(beyond[kind], offset)
        for step in (one for one in _pool.steps(margins) if 0 < one < END):
            values = _pool.at(margins, step)
            results += _pool.pooled(templates, values, _pool.average, seed, group=kind, step=step)
    chosen: dict[str, dict[str, dict[str, float]]] = {}
    for start, nets in beyond["ood"].items():
        for name in nets:
            lines = {kind: own[start][name] for kind, own in beyond.items() if name in own.get(start, {})}
            for group, value in _chosen(lines, slack, least).items():
                chosen.setdefault(group, {}).setdefault(start, {})[name] = value
    for group, own in chosen.items():
        results += _pool.pooled(templates, own, _pool.average, seed, group=group, step=None)
    return results


def _beyond_end(line: Line) -> Line:
    return {at: value - line[END] for at, value in line.items()}


def _plus(paths: Mapping[str, _pool.Nets], offset: float) -> dict[str, _pool.Nets]:
    return {
        start: {name: {at: value + offset for at, value in line.items()} for name, line in nets.items()}
        for start, nets in paths.items()
    }


def _chosen(lines: Mapping[str, Line], slack: float, least: float) -> dict[str, float]:
    """Margins of one network at the a that val chooses, and at the a that its own tested images choose."""
    margins = {}
    if "val" in lines and "id" in lines:
        keeping = [at for at, value in lines["val"].items() if value >= -slack - ROUNDING]
        a = min(keeping, default=END)
        margins = {"a_chosen": a / 100, "id_chosen": lines["id"][a] + slack, "ood_chosen": lines["ood"][a] - least}
    if "id" in lines:
        inner = [at for at, value in lines["id"].items() if 0 < at < END and value >= -slack - ROUNDING]
        margins["ood_oracle"] = max((lines["ood"][at] - least for at in inner), default=0.0)
    return margins


# ------------------------------------------------------------------ correlations over a pool

BARRIERS = ("ood_finding", "ood_finding_error", "id")


@declare.curve_metric(sources=_barrier_and_gain, higher_is_better=True, unit="correlation", bounds=(-1.0, 1.0))
def barrier_correlation(
    rows: list[Row],
    barriers: Annotated[Sequence[str], Field(description="groups of the instability")] = BARRIERS,
    group: Group = "ood",
    seed: Seed = 0,
) -> list[Row]:
    """Spearman's correlation of a path's instability with what its best mixture lacks of the better end, over a pool.

    The shortfall is minus `interpolation_gain`, on the images that judge. The instability is that of the cross-entropy
    on the other half of the OOD images (group `barriers`), so that no chance of an image is in both. Above 0: barriers
    go with smaller gains. Networks are resampled. The group of a row is that of the instability.

    Source: Abdollahpoorrostam, Sanyal and Moosavi-Dezfooli, ICML 2024 workshop on foundation models in the wild, of
    which the claim was seen; instability as in `barrier`.
    """
    gains, templates = _pool.at(_pool.lines(rows, GAIN, (group,)), 0), _pool.templates(rows, GAIN)
    results = []
    for name in barriers:
        unstable = _pool.at(_pool.lines(rows, BARRIER, (name,)), 0)
        pairs = _pool.both(unstable, gains)
        results += _pool.pooled(templates, pairs, _shortfall_correlation, seed, group=name, step=None)
    return results


def _shortfall_correlation(values: Floats, counts: Floats) -> Floats:
    return _pool.spearman(values[:, 0], -values[:, 1], counts)


@declare.curve_metric(sources=_and_accuracy, higher_is_better=False, unit="correlation", bounds=(-1.0, 1.0))
def sharpness_correlation(rows: list[Row], of: fields.Of = "sharpness", seed: Seed = 0) -> list[Row]:
    """Spearman's correlation of sharpness with accuracy out of distribution, over a pool of networks on their paths.

    | row | over |
    | --- | --- |
    | group `SCOPE_RHO` | all (network, a) |
    | the same, with a step | networks, at this a (in hundredths) |
    | group `SCOPE_RHO_within` | the a of one network, mean over networks |

    Networks are resampled, not pairs, which are not independent: those of one network stay together. A negative
    correlation means that sharper is worse. Sharpness is the mean over batches, accuracy is on all OOD images.

    Source: Andriushchenko et al., ICML 2023, arXiv:2302.07011, section 4 (rank correlation of sharpness and
    generalisation).
    """
    accuracies, templates, results = _pool.lines(rows, ACCURACY, OOD), _pool.templates(rows, of), list[Row]()
    for group in _pool.groups(rows, of):
        sharp = _pool.lines(rows, of, (group,))
        steps = _pool.steps(sharp)
        pairs = {step: _pool.both(_pool.at(sharp, step), _pool.at(accuracies, step)) for step in steps}
        for step, values in pairs.items():
            results += _pool.pooled(templates, values, _across, seed, group=group, step=step)
        whole = {
            start: {name: [pairs[step][start][name] for step in steps] for name in nets}
            for start, nets in pairs[steps[0]].items()
        }
        results += _pool.pooled(templates, whole, _over_pairs, seed, group=group, step=None)
        if len(steps) > 1:
            results += _pool.pooled(templates, whole, _within, seed, group=f"{group}_within", step=None)
    return results


def _across(values: Floats, counts: Floats) -> Floats:
    return _pool.spearman(values[:, 0], values[:, 1], counts)


def _over_pairs(values: Floats, counts: Floats) -> Floats:
    flat = values.reshape(-1, 2)
    return _pool.spearman(flat[:, 0], flat[:, 1], np.repeat(counts, values.shape[1], axis=0))


def _within(values: Floats, counts: Floats) -> Floats:
    """Mean over networks of each network's own correlation, 0 if a side does not vary."""
    once = np.ones((values.shape[1], 1))
    own = [_pool.spearman(net[:, 0], net[:, 1], once)[0] for net in values]
    return _pool.average(np.nan_to_num(np.array(own)), counts)
