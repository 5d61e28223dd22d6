"""No method: the model as it is.

Source: the baseline of every test-time method.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shiftbench.base.refs import Ref

SEES = "sample"
P = TypeVar("P", bound=Callable[..., Any])


def wrap(predictor: P, params: dict[str, Any], inputs: dict[Ref, Path]) -> P:
    """The predictor itself."""
    return predictor
