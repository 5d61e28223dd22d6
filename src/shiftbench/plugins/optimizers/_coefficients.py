"""Coefficients of the Newton-Schulz iteration for each shape of matrix, in a table next to this file.

    python -m shiftbench.plugins.optimizers._coefficients

fits them again and writes the same bytes. Of each shape, Gaussian matrices are drawn by keyed words; where real momenta
of the shape are known (`_spectra.json`, see `_momenta.py`), there is one to three random ones. a, b, c minimise the
mean of (phi^5(s) - 1)^2 over their singular values, by Nelder-Mead from three starts, where no iterate of any s in
[0, 1] may exceed 1.5 in size: fits without this blow up a little above the spectra that they saw. `released` are those
of the paper's code, `fitted` are ours; `fitted` is looked up first.

Source: ROOT, "Robust Orthogonalized Optimizer for Neural Network Training", 2025, arXiv 2511.20626; huawei-noah/
noah-research, folder ROOT, for the released triples. The paper's objective and optimiser could not be found: the recipe
is ours, but for the parts, which a secondary source reports.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.optimizers._newton_schulz import MUON, STEPS, Floats, mapped, spectrum

ASSETS = ("_coefficients.json", "_spectra.json")
FILE, SPECTRA = (Path(__file__).with_name(name) for name in ASSETS)
SHAPES = (
    (32, 32), (48, 48), (48, 96), (48, 144), (64, 64), (64, 128), (64, 256), (128, 128), (256, 256),
)  # fmt: skip
STARTS = (MUON, (3.0, -4.0, 1.7), (2.0, -1.5, 0.5))
COUNT, BOUND, DIGITS = 16, 1.5, 4
_GRID = np.linspace(0.0, 1.0, 512)

Triple = tuple[float, float, float]


@functools.cache
def table() -> dict[str, dict[str, list[float]]]:
    """The triples by kind (`released`, `fitted`) and shape, `48x144`."""
    triples: dict[str, dict[str, list[float]]] = json.loads(FILE.read_text())
    return triples


def of(shape: Sequence[int]) -> Triple:
    """The triple of a shape (m, n), in either order; Muon's where the table has none."""
    name = spell(shape)
    for kind in ("fitted", "released"):
        if name in table()[kind]:
            a, b, c = table()[kind][name]
            return a, b, c
    return MUON


def spell(shape: Sequence[int]) -> str:
    """The name of a shape.

    Example:
        >>> spell((144, 48))
        '48x144'
    """
    return f"{min(shape)}x{max(shape)}"


def gaussian(shape: Sequence[int], number: int) -> Floats:
    """A matrix of independent normal entries, drawn by its shape and number."""
    return RandomStream(0, "newton_schulz", "gaussian", f"{spell(shape)}/{number}").normal(tuple(shape))  # type: ignore[return-value]


def fit(values: Floats) -> Triple:
    """The triple with the least mean square error on singular values, under the bound; four decimals."""
    from scipy.optimize import minimize

    def cost(triple: Floats) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            largest = max(np.abs(mapped(_GRID, triple, k)).max() for k in range(1, STEPS + 1))
            loss = float(np.mean((mapped(values, triple) - 1) ** 2))
        if not np.isfinite(largest) or not np.isfinite(loss):
            return 1e6
        return loss + 10.0 * max(0.0, float(largest) - BOUND)

    options = {"maxiter": 2000, "xatol": 1e-6, "fatol": 1e-10}
    fits = [minimize(cost, start, method="Nelder-Mead", options=options) for start in STARTS]
    best = min(fits, key=lambda one: float(one.fun))
    a, b, c = (round(float(number), DIGITS) for number in best.x)
    return a, b, c


def fitted(shape: Sequence[int]) -> Triple:
    """The triple of a shape, fitted on Gaussian matrices of it and, where some are known, on real momenta."""
    real = json.loads(SPECTRA.read_text()).get(spell(shape), [])
    drawn = [spectrum(gaussian(shape, number)) for number in range(3 * len(real) or COUNT)]
    return fit(np.concatenate([*drawn, *real]))


def main() -> None:
    """Write the table again."""
    content = {"released": table()["released"], "fitted": {spell(s): fitted(s) for s in SHAPES}}
    FILE.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
