"""Options of the walk of FMR that its published text does not state; shared by the shift and the analysis.

Source: Zhang et al., "Foundation Model-oriented Robustness", ICLR 2024, arXiv:2308.10632, whose code was not released.
"""

from typing import Annotated, Literal

from pydantic import Field

Eta = Annotated[float, Field(ge=0, description="length of a step, in the unit of `unit`")]
Unit = Annotated[
    Literal["std", "one"], Field(description="unit of a step: standard deviation of each number of the code, or 1")
]
Residual = Annotated[
    bool, Field(description="whether what the code does not reproduce of a picture is added; false: reconstructions")
]
Rule = Annotated[
    Literal["mean", "majority"], Field(description="the oracle's answer: of mean probabilities, or by majority")
]
Keep = Annotated[
    Literal["last", "highest"], Field(description="which accepted picture is kept: the last, or that of highest loss")
]
Constrained = Annotated[bool, Field(description="whether the oracle may stop a walk")]
