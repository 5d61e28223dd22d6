"""i-ODIN: ODIN, but only the one element of the input whose gradient is largest is moved.

Source: OpenOOD v1.5, `iodin_postprocessor.py`: x' = x - eps sign(g_k) e_k, with k the element (channel, row, column) of
the largest |g|, the first of equals; the rest as `odin`.

Differs: OpenOOD takes the gradient with respect to the normalised input, here it is with respect to pixels of [0, 1],
in which the step is measured; the element can differ where channels are normalised by different standard deviations.
pytorch-ood has no i-ODIN.

Batches: as `odin`, and two elements that are the largest up to rounding may change places with the batch size.
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
    unit = network.unit

    def moved(x: Any) -> Any:
        gradient = _gradients.of_decision(network, x, temperature) * unit  # per pixel of [0, 1]
        at = gradient.flatten(1).abs().argmax(1, keepdim=True)
        one = gradient.new_zeros(len(x), gradient[0].numel()).scatter(1, at, 1.0)
        step = params["eps"] * unit * _net.signs(gradient) * one.reshape(gradient.shape)
        return -_gradients.confidence(network, x - step, temperature)

    return network.scored(moved)
