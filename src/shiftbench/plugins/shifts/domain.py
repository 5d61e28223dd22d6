"""Other data over shared classes, as params say: a domain shift of your own without a file.

    shifts:
      imagenet_to_v2: {use: domain, dataset: imagenet_v2, clean: imagenet, split: test}
      to_arid: {use: domain, dataset: arid, clean: "*"}
      towards_arid: {use: domain, clean: tropical, levels: {1: between, 2: arid}}

`dataset` is read in place of `clean`, which is the benchmark's dataset (`*`: whichever it is); classes are shared by
name. With `levels` there are severities, each with a dataset of its own.
The setting is that of Ben-David et al. 2010, https://doi.org/10.1007/s10994-009-5152-4.
"""

from collections.abc import Mapping

DOMAIN = {"dataset": "", "clean": "", "split": "test"}
PARAMS: dict[str, object] = {**DOMAIN, "levels": {}}


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The data of a variant, and its clean partner."""
    return {"DOMAIN": {key: options[key] for key in DOMAIN}}
