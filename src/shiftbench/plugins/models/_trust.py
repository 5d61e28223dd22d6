"""Files of users that can run code: none is opened without the option `trust: true`."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shiftbench.base.errors import ModelError

Trust = Annotated[bool, Field(description="true: you trust who made the file, which can run code")]


def require(params: Mapping[str, Any], why: str) -> None:
    """Refuse a model that can run code and that the user does not say to trust; the plan does so before.

    Raises:
        ModelError: the option `trust` is not true.
    """
    if params["trust"] is not True:
        raise ModelError(
            f"{params['path'] or params.get('target')} is refused: {why}; `trust: true` at the model in params.yaml "
            "says that you trust who made it"
        )
