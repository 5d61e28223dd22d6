"""ODIN: the maximum softmax probability at a high temperature, after a small step that raises it.

Source: Liang, Li and Srikant, "Enhancing the reliability of out-of-distribution image detection in neural networks",
ICLR 2018, equations 1 and 2: g = gradient of -log softmax(f(x) / T) at the predicted class, x' = x - eps sign(g),
score = -max softmax(f(x') / T). Here eps is in units of pixels of [0, 1]; nothing is clamped, as in the authors' code.
As there and in OpenOOD, sign(0) = +1 (pytorch-ood: 0).

Differs: OpenOOD divides the step by the standard deviations of the ID dataset (0.5 for those that it does not know),
pytorch-ood by its `norm_std`; here the network's own scale is used, which is the same for networks that are normalised
with these. The softmax is float64.

Batches: the step depends on the signs of float32 gradients, and where one is 0 up to rounding it may turn round with
the batch size, which hardly moves the logits; `_net` has what was measured.
"""

from typing import Any

from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("net",)
GRID: dict[str, list[object]] = {"temperature": [1.0, 10.0, 100.0, 1000.0], "eps": [0.0014, 0.0028]}


class Options(declare.Options):
    temperature: _blocks.Temperature = 1000.0
    eps: _blocks.Step = 0.0014


def fit(known: Known, params: dict[str, Any]) -> None:
    """Nothing is fitted."""


def score(rows: Rows, state: None, params: dict[str, Any]) -> NDArray[Any]:
    """-max softmax of the moved inputs, float64 (n,) in [-1, -1/C]; higher = more OOD."""
    from shiftbench.plugins.detectors import _gradients, _net  # torch, which planning does without

    network, temperature = rows.net, _blocks.checked(params["temperature"], "temperature")
    step = params["eps"] * network.unit

    def moved(x: Any) -> Any:
        gradient = _gradients.of_decision(network, x, temperature)
        return -_gradients.confidence(network, x - step * _net.signs(gradient), temperature)

    return network.scored(moved)
