"""shiftbench: a data-versioned, reproducible benchmark of out-of-distribution robustness.

    from shiftbench import Corrupt, Detector, corrupt, evaluate, ood_metrics

    corrupt(image, "fog", severity=3.0, seed=0, key="a")
    evaluate(model, "data/shards/fashion_mnist/test/fog/3")
    detector = Detector("knn").fit(features=train)
    ood_metrics(detector.score(features=id), detector.score(features=ood))

Importing the package itself imports nothing heavy. It guards the later imports of two libraries (`library_imports`).
"""

import importlib
from typing import TYPE_CHECKING, Any

from shiftbench.base import library_imports

if TYPE_CHECKING:
    from shiftbench.evaluation.corruption import Corrupt as Corrupt
    from shiftbench.evaluation.corruption import corrupt as corrupt
    from shiftbench.workflow.tools.calibrate import calibrate as calibrate
    from shiftbench.workflow.tools.evaluate_own import evaluate as evaluate
    from shiftbench.workflow.tools.ood_scores import Detector as Detector
    from shiftbench.workflow.tools.ood_scores import ood_metrics as ood_metrics

__version__ = "0.1.0"

library_imports.install()

_PUBLIC = {
    "Corrupt": "shiftbench.evaluation.corruption",
    "Detector": "shiftbench.workflow.tools.ood_scores",
    "calibrate": "shiftbench.workflow.tools.calibrate",
    "corrupt": "shiftbench.evaluation.corruption",
    "evaluate": "shiftbench.workflow.tools.evaluate_own",
    "ood_metrics": "shiftbench.workflow.tools.ood_scores",
}
"""What users import from here, and the module that is imported for it."""


def __dir__() -> list[str]:
    """What users import from here; of what the module imports for itself, nothing."""
    return sorted({*_PUBLIC, *(name for name in globals() if name.startswith("__"))})


def __getattr__(name: str) -> Any:
    """Return what is public, imported when it is asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
