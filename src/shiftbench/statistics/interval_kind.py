"""Which kind of interval a metric has; see `intervals`, which plans do without."""

from types import ModuleType


def interval_kind(metric: ModuleType | None) -> str:
    """Return `share`, `biased` or `draws`; what analyses observed has no module."""
    if metric is not None and metric.UNIT == "share" and metric.RANGE == (0.0, 1.0):
        return "share"
    return "biased" if getattr(metric, "BIASED", False) else "draws"
