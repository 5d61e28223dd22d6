"""A drift with a few labelled samples at each time: what a method has to adapt on, several times with other samples.

At each time t the support comes first, then the ID set and the OOD sets, all under the shift at strength t; `back`
shows what was forgotten. In each repetition (`draws`) methods begin again. The t-th time of the k-th draw is
`step` k x stride + t in tables, the return k x stride + stride - 1: with the stride of 10, 0 to 8 and 9, 10 to 18 and
19. Support is dealt out: the sets under `support` are cut into draws x times disjoint parts, classes in equal numbers.
Auxiliary outliers are support of classes that the model does not have.

With `parts: true` the sets at the t-th time are the datasets NAME_t (`worn_0`, `worn_1`, ...), slices of one set that
share no sample, so that no test image is seen at two times; tables name the set. The return is to the images of time 0.

Source: the setting of Wu et al. 2023, "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV, as far as its
abstract tells: ID and OOD data both drift, and at each time there are few labelled ID samples. The schedule is ours.
Without `parts` the test images are the same at each time, and a curve over time is the drift's alone.
"""

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.streams._steps import Step, Support


class Options(declare.Options):
    dataset: str = Field("fashion_mnist", description="data set that is tested")
    split: Literal["train", "val", "test"] = Field("test", description="split that is tested")
    ood: list[str] = Field([], description="OOD sets that are tested, too")
    support: list[str] = Field(["fashion_mnist/val"], description="sets of the labelled samples, as DATASET/SPLIT")
    shift: str = Field("rotate_degrees", description="shift of all sets")
    severities: list[float] = Field([0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0], description="severity at each time")
    draws: int = Field(1, ge=1, description="repetitions of the drift, each with other support")
    stride: int = Field(10, ge=1, description="distance of the steps of two repetitions in tables")
    back: bool = Field(True, description="whether the ID set is tested again at the first severity, at the end")
    parts: bool = Field(False, description="whether each time has sets of its own: NAME_0, NAME_1, ...")


def steps(params: dict[str, Any]) -> list[Step]:
    """The drift, once for each draw of the support.

    Raises:
        ParamsError: more times than the stride has room for.
    """
    times = len(params["severities"]) + params["back"]
    if times > params["stride"]:
        raise ParamsError(f"few_shot_drift: stride is {params['stride']}, and there are {times} times; raise it")
    return [step for draw in range(params["draws"]) for step in _once(params, draw)]


def _once(params: dict[str, Any], draw: int) -> list[Step]:
    levels = [float(severity) for severity in params["severities"]]
    first = draw * params["stride"]
    drift = []
    for time, level in enumerate(levels):
        part, of = draw * len(levels) + time, params["draws"] * len(levels)
        places = [name.split("/") for name in params["support"]]
        support = tuple(Support(d, split, params["shift"], level, part, of) for d, split in places)
        tests = [
            Step(
                name, params["split"], params["shift"], level, at=first + time,
                reads=f"{name}_{time}" if params["parts"] else "",
            )
            for name in (params["dataset"], *params["ood"])
        ]  # fmt: skip
        tests[0] = replace(tests[0], support=support, reset=time == 0)
        drift += tests
    if params["back"]:
        drift.append(replace(drift[0], support=(), at=first + params["stride"] - 1, reset=False))
    return drift
