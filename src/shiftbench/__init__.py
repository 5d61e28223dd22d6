"""shiftbench: a data-versioned, reproducible benchmark of out-of-distribution robustness.

    from shiftbench import corrupt, evaluate

    corrupt(image, "fog", severity=3.0, seed=0, key="a")
    evaluate(model, "data/shards/fashion_mnist/test/fog/3")

Both are modules of that name that can be called: importing the package itself imports nothing heavy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftbench.corrupt import corrupt as corrupt
    from shiftbench.stages.evaluate import evaluate as evaluate

__version__ = "0.1.0"


def make_callable(name: str, function: Callable[..., Any]) -> None:
    """Let a module be called like its main function, so that `shiftbench.stages.evaluate` is both."""
    module = sys.modules[name]
    members = {
        "__call__": lambda _, *args, **options: function(*args, **options),
        "__doc__": function.__doc__,
    }
    module.__class__ = type(function.__name__, (ModuleType,), members)
