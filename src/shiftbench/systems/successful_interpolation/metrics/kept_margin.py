"""What a mixture of weights keeps in distribution and gains out of it, against the fine-tuned net, over a pool.

| group | is, mean over nets, at each a between 0 and 1 (step, in hundredths) |
| --- | --- |
| `id` | acc_id(theta_a) - acc_id(theta_1) + `slack` |
| `ood` | acc_ood(theta_a) - acc_ood(theta_1) - `least` |

An a at which both are above 0 keeps the accuracy but for `slack`, and gains more than `least`. Without a step, at the
a that val chooses for each net, the smallest one that keeps acc_val but for `slack` (1 where none does): groups
`id_chosen`, `ood_chosen`, and `a_chosen`, the a itself. `ood_oracle`: at the a between 0 and 1 that is best on the
tested pictures themselves, of those that keep acc_id on them (0 where none does).

Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, section 4 (a chosen so that accuracy in distribution drops by at
most one point).
"""

from collections.abc import Mapping

from shiftbench.statistics.rows import Row
from shiftbench.systems.successful_interpolation.metrics import _pool
from shiftbench.systems.successful_interpolation.metrics._pool import Line

KIND = "curve"
PARAMS: dict[str, object] = {"slack": 0.01, "least": 0.0, "seed": 0}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
OF = "path_accuracy"
END = 100
ROUNDING = 1e-9
KINDS = {"id": ("id",), "val": ("val",), "ood": ("ood", "ood_finding")}


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (OF,)


def compute(rows: list[Row], slack: float, least: float, seed: int) -> list[Row]:
    """Return the margins at each a, and at the a that val chooses."""
    given = _pool.templates(rows, OF)
    paths = {kind: _pool.lines(rows, OF, names) for kind, names in KINDS.items()}
    beyond = {
        kind: {
            start: {name: _beyond(line) for name, line in nets.items() if END in line} for start, nets in own.items()
        }
        for kind, own in paths.items()
    }
    shifts, found = {"id": slack, "ood": -least}, list[Row]()
    for kind, shift in shifts.items():
        moved = _moved(beyond[kind], shift)
        for step in (one for one in _pool.steps(moved) if 0 < one < END):
            place = {"group": kind, "step": step}
            found += _pool.pooled(given, _pool.at(moved, step), _pool.average, seed, **place)
    chosen: dict[str, dict[str, dict[str, float]]] = {}
    for start, nets in beyond["ood"].items():
        for name in nets:
            lines = {kind: own[start][name] for kind, own in beyond.items() if name in own.get(start, {})}
            for group, value in _chosen(lines, slack, least).items():
                chosen.setdefault(group, {}).setdefault(start, {})[name] = value
    for group, values in chosen.items():
        found += _pool.pooled(given, values, _pool.average, seed, group=group, step=None)
    return found


def _beyond(line: Line) -> Line:
    return {at: value - line[END] for at, value in line.items()}


def _moved(paths: Mapping[str, _pool.Nets], shift: float) -> dict[str, _pool.Nets]:
    return {
        start: {name: {at: value + shift for at, value in line.items()} for name, line in nets.items()}
        for start, nets in paths.items()
    }


def _chosen(lines: Mapping[str, Line], slack: float, least: float) -> dict[str, float]:
    """Return the margins of one net at the a that val chooses, and at that which its own tested pictures do."""
    found = {}
    if "val" in lines and "id" in lines:
        keeping = [at for at, value in lines["val"].items() if value >= -slack - ROUNDING]
        a = min(keeping, default=END)
        found = {"a_chosen": a / 100, "id_chosen": lines["id"][a] + slack, "ood_chosen": lines["ood"][a] - least}
    if "id" in lines:
        inner = [at for at, value in lines["id"].items() if 0 < at < END and value >= -slack - ROUNDING]
        found["ood_oracle"] = max((lines["ood"][at] - least for at in inner), default=0.0)
    return found
