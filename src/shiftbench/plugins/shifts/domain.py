"""Domain shift that params.yaml states, without a file of your own: another dataset with shared classes.

    shifts:
      imagenet_to_v2: {use: domain, dataset: imagenet_v2, clean: imagenet, split: test}
      to_arid: {use: domain, dataset: arid, clean: "*"}
      towards_arid: {use: domain, clean: tropical, levels: {1: between, 2: arid}}

Classes are shared by name.
The setting is that of Ben-David et al. 2010, https://doi.org/10.1007/s10994-009-5152-4.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from shiftbench.plugins import declare

DOMAIN = {"dataset": "", "clean": "", "split": "test"}


class Options(declare.Options):
    dataset: str = Field("", description="dataset that is read instead of `clean`")
    clean: str = Field("", description="dataset of the benchmark; `*`: any")
    split: Literal["train", "val", "test"] = Field("test", description="split that is read")
    levels: dict[float | str, str] = Field(
        {}, description="dataset of each severity; {}: `dataset`, without severities"
    )


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The data of a variant, and its clean partner."""
    return {"DOMAIN": {key: options[key] for key in DOMAIN}}
