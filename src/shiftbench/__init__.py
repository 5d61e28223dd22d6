"""shiftbench: a data-versioned, reproducible benchmark of out-of-distribution robustness.

    from shiftbench import Corrupt, corrupt, evaluate

    corrupt(image, "fog", severity=3.0, seed=0, key="a")
    evaluate(model, "data/shards/fashion_mnist/test/fog/3")

Importing the package itself imports nothing heavy. It guards the later imports of two libraries (`library_imports`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shiftbench import library_imports

if TYPE_CHECKING:
    from shiftbench.corruption import Corrupt as Corrupt
    from shiftbench.corruption import corrupt as corrupt
    from shiftbench.tools.calibrate import calibrate as calibrate
    from shiftbench.tools.evaluate_own import evaluate as evaluate

__version__ = "0.1.0"

library_imports.install()

_PUBLIC = {
    "Corrupt": "shiftbench.corruption",
    "calibrate": "shiftbench.tools.calibrate",
    "corrupt": "shiftbench.corruption",
    "evaluate": "shiftbench.tools.evaluate_own",
}
"""What users import from here, and the module that is imported for it."""


def __getattr__(name: str) -> Any:
    """Return what is public, imported when it is asked for (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
