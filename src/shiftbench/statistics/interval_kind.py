"""Which kind of interval a metric has; see `intervals`, which plans do without."""

from types import ModuleType


def interval_kind(metric: ModuleType | None) -> str:
    """`share`, `biased` or `draws`; None: observations of analyses, which have no metric module."""
    if metric is not None and metric.UNIT == "share" and metric.RANGE == (0.0, 1.0):
        return "share"
    return "biased" if getattr(metric, "BIASED", False) else "draws"
