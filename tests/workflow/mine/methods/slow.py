"""No method, slowly: so that a test can kill a run in the middle of an evaluation.

Source: none; a user's method for the tests.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref

SEES = "sample"
PARAMS: dict[str, object] = {"pause": 0.0}


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: dict[Ref, Path]) -> Callable[..., Any]:
    """Return the predictor with a pause before each batch."""

    def predict(samples: list[Any]) -> Any:
        time.sleep(params["pause"])
        return predictor(samples)

    return predict
