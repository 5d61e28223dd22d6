"""An adversary of a classifier: the inputs in a ball around given ones at which its cross-entropy is highest.

What `trainers/adversarial.py` learns from and `analyses/adversarial_accuracy.py` counts; the search is `_ascent.py`'s.
Distances are shares of white, whatever range the network's input has: of a pixel in L-infinity, of the whole picture
with white as 1 in L2, so that a radius says another thing at another size of pictures. `_attack.py` is the older attack
of `pgd` and ASCOOD (L-infinity, a random start, the last point); their weights are its bytes, so it stays.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _ascent
from shiftbench.plugins.trainers._attack import limits

Norm = Annotated[Literal["linf", "l2"], Field(description="norm of the ball around each input")]
Eps = Annotated[float, Field(ge=0, description="radius of the ball, as a share of white; in L2 of the whole image")]
Steps = Annotated[int, Field(ge=0, description="steps of the attack")]
Step = Annotated[float | None, Field(gt=0, description="length of a step, as a share of white; null: 2.5 eps / steps")]
RandomStart = Annotated[bool, Field(description="start at a random point of the ball; false: at the input")]
Best = Annotated[bool, Field(description="take the best of all points; false: the last one")]

SEARCHES = ("pgd", "apgd")


class Adversary:
    """Attacks what a model is given.

    Args:
        model: plugin of the family `models`; one whose `prepare` gives floats states `INPUT_RANGE`.
        params: `norm` (`linf`, `l2`), `eps` and `steps`; of `search: pgd` (the default) `step` (None: 2.5 eps / steps),
            `random_start` and `best`, the best of all points or the last; `apgd` begins on the ball's border unless
            `random_start` is false, and needs no step.

    Raises:
        ParamsError: a norm or search that is none, a negative number, or a step that is not above 0.
    """

    def __init__(self, model: Any, params: Mapping[str, Any]) -> None:
        self.norm, self.eps, self.steps = params["norm"], float(params["eps"]), int(params["steps"])
        self.search = params.get("search", "pgd")
        if self.norm not in _ascent.NORMS or self.search not in SEARCHES:
            raise ParamsError(
                f"norm = {self.norm!r} ({suggest(self.norm, _ascent.NORMS)}), search = {self.search!r} "
                f"({suggest(self.search, SEARCHES)})"
            )
        if self.eps < 0 or self.steps < 0:
            raise ParamsError(f"eps = {self.eps}, steps = {self.steps}: expected 0 or more")
        step = params["step"]
        self.step = 2.5 * self.eps / max(self.steps, 1) if step is None else float(step)
        if self.steps and self.eps and self.step <= 0:
            raise ParamsError(f"step = {step}: expected a number above 0, or null")
        self.random_start, self.best, self.model = params["random_start"], params["best"], model

    def region(self, batch: npt.NDArray[Any], device: torch.device) -> _ascent.Region:
        """Region of allowed attacks, for prepared inputs (n, channels, h, w)."""
        clean = torch.from_numpy(np.ascontiguousarray(batch)).to(device).float()
        black, white = (end.to(device) for end in limits(self.model, batch))
        return _ascent.Region(clean, self.eps, self.norm, black, white, white - black)

    def __call__(
        self, network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, words: RandomStream
    ) -> torch.Tensor:
        """Attacked inputs, float32 like the batch, on the network's device.

        The network is attacked in evaluation mode, so that normalisation layers see no step of the attack, and is put
        back into its mode; its parameters keep their gradients.

        Args:
            network: gives logits.
            batch: prepared inputs (n, channels, h, w).
            labels: right classes, int64 (n,), on the network's device.
            words: random words; one per value is taken where there is a random start.
        """
        region = self.region(batch, next(network.parameters()).device)
        modes = [(part, part.training) for part in network.modules()]
        network.eval()

        def loss(points: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(network(points), labels, reduction="none")

        if self.search == "apgd" and self.steps:
            start = region.border(words) if self.random_start else None
            attacked = _ascent.apgd(loss, region, self.steps, start)
        else:
            start = region.uniform(words) if self.random_start else None
            attacked = _ascent.pgd(loss, region, self.steps, self.step, start, best=self.best)
        for part, training in modes:
            part.training = training
        return attacked
