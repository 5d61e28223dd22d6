"""Options that several datasets have, each with its type, allowed values and meaning."""

from typing import Annotated, Literal

from pydantic import Field

Split = Literal["train", "val", "test"]
Counts = Annotated[
    dict[Split, Annotated[int, Field(ge=1)]],
    Field(description="number of samples that each split must have; {}: not checked"),
]
Shorter = Annotated[
    int, Field(ge=0, description="resize images to this shorter side, in pixels; 0: leave them as they are")
]
Side = Annotated[
    int, Field(ge=0, description="with `shorter`: side of the central square that is cut out, in pixels; 0: `shorter`")
]
Images = Annotated[str, Field(description="folder of the images in `root`; empty: `root` itself")]
Limit = Annotated[int, Field(ge=0, description="use the first images only; 0: all")]
Value = str | int | float | bool
"""A value of a table, as YAML writes it."""
