"""`shiftbench.Detector` and `shiftbench.ood_metrics`: OOD detection on arrays of your own, without the workflow."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.interval_kind import interval_kind
from shiftbench.statistics.intervals import Units
from shiftbench.statistics.thresholds import Sides
from shiftbench.workflow.stages import score as stage

if TYPE_CHECKING:
    import polars as pl

METRICS = ("auroc", "fpr95", "aupr_in", "aupr_out")
"""Metrics of OpenOOD's `Evaluator.eval_ood`, shares in [0, 1], OOD positive."""
_SPLITS = ("train", "val")


class Detector:
    """An OOD detector on logits and features that you have; higher scores mean "more OOD".

    Detectors that need gradients or inner layers of the network (`odin`, `gram`, ...) run in the workflow alone.

    Args:
        name: of the detector, such as `knn`; `shiftbench list detectors` prints all.
        head: weight (C, d) and bias (C,) of the linear layer from features to logits, for detectors that apply it.
        options: of the detector, such as `k=10`.

    Raises:
        ParamsError: an unknown detector or option, or a detector that needs the network.

    Example:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> detector = Detector("knn", k=5).fit(features=draw.normal(size=(100, 8)))
        >>> detector.score(features=draw.normal(size=(3, 8))).shape
        (3,)
    """

    def __init__(self, name: str, *, head: tuple[ArrayLike, ArrayLike] | None = None, **options: Any) -> None:
        self.name = name
        self._module: ModuleType = registry.find("detectors", name)
        if "net" in self._module.NEEDS:
            raise ParamsError(
                f"detector {name!r} needs gradients or inner layers of the network, and arrays have none; name it in "
                "params.yaml, or choose another detector"
            )
        defaults = registry.defaults(self._module)
        unknown = sorted(options.keys() - defaults.keys())
        if unknown:
            raise ParamsError(f"detector {name!r} has no option {unknown[0]!r}; it has {', '.join(defaults) or 'none'}")
        self._options = {**defaults, **options}
        self._head = None if head is None else Head(*(np.asarray(part, np.float64) for part in head))
        self._state: Any = None
        self._is_fitted = False

    def fit(
        self, *, logits: ArrayLike | None = None, features: ArrayLike | None = None, labels: ArrayLike | None = None
    ) -> Detector:
        """Fit the detector on ID data; a detector that is not fitted takes none.

        Detectors such as `knn` are fitted on training data, `react` and `temp_scale` on validation data: see FIT in
        `shiftbench describe detectors NAME`.

        Args:
            logits: (n, C).
            features: penultimate features (n, d).
            labels: true classes, int (n,); -1: unknown.

        Returns:
            The detector itself.

        Raises:
            ParamsError: arrays that are missing or do not fit.
        """
        fitted_on = getattr(self._module, "FIT", ())
        known = Known()
        if fitted_on:
            rows = self._rows("fit", logits, features, labels)
            known = Known({split: rows for split in _SPLITS if split in fitted_on})
        self._state = self._module.fit(known, self._options)
        self._is_fitted = True
        return self

    def score(self, *, logits: ArrayLike | None = None, features: ArrayLike | None = None) -> NDArray[np.float64]:
        """OOD scores, float64 (n,); higher = more OOD.

        Args:
            logits: (n, C).
            features: penultimate features (n, d).

        Raises:
            ParamsError: the detector is not fitted, or arrays are missing or do not fit.
            ModelError: a score is not finite.
        """
        if not self._is_fitted:
            if getattr(self._module, "FIT", ()):
                raise ParamsError(f"detector {self.name!r} is not fitted; call `fit` with ID data first")
            self.fit()
        rows = self._rows("score", logits, features, None)
        scores: NDArray[np.float64] = (
            stage.scored(self._module, self._options, rows, self._state).column("score").to_numpy()
        )
        return scores

    def _rows(self, call: str, logits: Any, features: Any, labels: Any) -> Rows:
        needs = self._module.NEEDS
        given = {"logits": logits, "features": features}
        missing = [name for name in ("logits", "features") if name in needs and given[name] is None]
        if missing:
            raise ParamsError(f"`{call}` of detector {self.name!r} needs {' and '.join(missing)}, an array (n, ...)")
        if "head" in needs and self._head is None:
            raise ParamsError(
                f"detector {self.name!r} needs the linear layer from features to logits: "
                f"`Detector({self.name!r}, head=(weight, bias))`"
            )
        arrays = {name: np.asarray(array, np.float32) for name, array in given.items() if array is not None}
        sizes = {name: array.shape for name, array in arrays.items()}
        counts = {len(array) for array in arrays.values()}
        if any(array.ndim != 2 for array in arrays.values()) or len(counts) > 1:
            raise ParamsError(
                f"`{call}` of detector {self.name!r}: expected arrays (n, ...) with equal n, found shapes {sizes}"
            )
        n = counts.pop()
        table = {"key": [f"sample/{number}" for number in range(n)]}
        columns: dict[str, Any] = {**table, "label": self._labels(labels, n)}
        if "logits" in arrays:
            columns["prediction"] = arrays["logits"].argmax(axis=1).astype(np.int32)
        name = f"the arrays of `{call}`"
        return Rows(pa.table(columns), arrays.get("features"), arrays.get("logits"), self._head, name=name)

    def _labels(self, labels: Any, n: int) -> NDArray[np.int32]:
        if labels is None:
            return np.full(n, -1, np.int32)
        array = np.asarray(labels, np.int32)
        if array.shape != (n,):
            raise ParamsError(f"labels of detector {self.name!r}: expected shape ({n},), found {array.shape}")
        return array


def ood_metrics(id_scores: ArrayLike, ood_scores: ArrayLike, *, resamples: int = 1000, seed: int = 0) -> pl.DataFrame:
    """How well OOD scores tell OOD samples from in-distribution (ID) samples, with 95% intervals.

    Values and intervals are those of a run's tables: AUROC, FPR at 95% TPR, and AUPR with ID and with OOD positive.

    Args:
        id_scores: of ID samples, (n,).
        ood_scores: of OOD samples, (m,); higher = more OOD.
        resamples: number of bootstrap resamples.
        seed: of the resamples.

    Returns:
        A Polars frame: metric, value, ci_low, ci_high (shares in [0, 1]), n_id, n_ood.

    Raises:
        ParamsError: scores that are empty, not finite, or no vectors.

    Example:
        >>> ood_metrics([0.1, 0.2, 0.3], [0.4, 0.5])["value"].to_list()[:2]
        [1.0, 0.0]
    """
    import polars as pl

    sides = {name: np.asarray(scores, np.float64) for name, scores in (("id", id_scores), ("ood", ood_scores))}
    for name, scores in sides.items():
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise ParamsError(f"{name}_scores: expected finite numbers of shape (n,), found shape {scores.shape}")
    weights = {
        name: bootstrap.weights(pa.array([f"{name}/{number}" for number in range(len(scores))]), resamples, seed)
        for name, scores in sides.items()
    }
    pair = Sides.of_ood(sides["id"], sides["ood"], weights["id"], weights["ood"])
    units = Units(min(len(scores) for scores in sides.values()), clustered=False)
    rows = []
    for name in METRICS:
        module = registry.find("metrics", name)
        values = module.compute(pair, **registry.defaults(module))
        interval = intervals.of_kind(interval_kind(module), values, units, bootstrap.ERROR)
        rows.append((name, float(values[0]), interval.low, interval.high, *(len(one) for one in sides.values())))
    return pl.DataFrame(rows, schema=["metric", "value", "ci_low", "ci_high", "n_id", "n_ood"], orient="row")
