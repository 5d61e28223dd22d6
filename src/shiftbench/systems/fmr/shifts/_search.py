"""The constrained search: a picture walks along a generator's code while an oracle of other networks gives the label.

For a picture x of the class y, `z_0` the generator's code of x and `r = x - Dec(z_0)` what the code does not hold:

    z_t = z_{t-1} + eta D (g_t / ||g_t||),   g_t the gradient at z_{t-1} of the model's cross-entropy of Dec(z) + r
    c_t = Dec(z_t) + r, cut to the range of pixels and rounded to whole grey levels

While the oracle answers y at `c_t` it is the picture so far; at the first step where it does not the walk stops, and
the picture before stays. A picture that the oracle gets wrong itself is not moved, and still counted. D is the
standard deviation of each coordinate of the code over a set of pictures.

Source: Zhang et al., "Foundation Model-oriented Robustness", ICLR 2024, arXiv:2308.10632: the loss of the tested
model is raised within a budget of steps of a generator while an oracle's answer is the label. No code was released,
and what its published text and reviews do not state is a named option (`_reconstructed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from shiftbench.base.errors import DataError, ModelError, ParamsError, suggest

RULES = ("mean", "majority")
KEEPS = ("last", "highest")
UNITS = ("std", "one")
UNMOVED, STOPPED, EXHAUSTED = 0, 1, 2
"""Why a walk ended: the oracle errs at the start; it refused a step; the budget was spent."""


class Oracle:
    """Several networks that answer as one.

    Args:
        models: each from pictures (n, channels, h, w) to logits (n, classes), in evaluation mode.
        rule: `mean` of probabilities or `majority`.

    Raises:
        ParamsError: no network, or another rule.
    """

    def __init__(self, models: Sequence[Any], rule: str = "mean") -> None:
        if not models or rule not in RULES:
            raise ParamsError(f"an oracle of {len(models)} nets, rule {rule!r}; {suggest(rule, RULES)}")
        self.models, self.rule = list(models), rule

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        """The class of each picture, int64 (n,)."""
        with torch.inference_mode():
            shares = torch.stack([F.softmax(model(pictures).float(), 1) for model in self.models])
            mean = shares.mean(0)
            if self.rule == "mean":
                return mean.argmax(1)
            votes = F.one_hot(shares.argmax(2), mean.shape[1]).sum(0)
            return (votes + mean / 2).argmax(1)

    def apart(self, pictures: torch.Tensor) -> torch.Tensor:
        """Whether the members disagree about each picture, bool (n,)."""
        with torch.inference_mode():
            answers = torch.stack([model(pictures).argmax(1) for model in self.models])
        return (answers != answers[0]).any(0)


@dataclass(frozen=True)
class Walk:
    """The pictures at the end of a walk.

    Attributes:
        at: budget -> pictures uint8, as those that were given.
        accepted: steps that were accepted within the largest budget, int64 (n,).
        ended: UNMOVED, STOPPED or EXHAUSTED, int64 (n,).
    """

    at: Mapping[int, torch.Tensor]
    accepted: torch.Tensor
    ended: torch.Tensor


@dataclass(frozen=True)
class Search:
    """A generator and an oracle, and how pictures walk between them.

    Attributes:
        generator: a network with `apart(x) -> (code, rest)` and `decode(code)`, both in 0 to 255.
        oracle: what may stop a walk.
        spread: D, of one code's shape, or a number.
        options: those of `_reconstructed`.
    """

    generator: Any
    oracle: Oracle
    spread: torch.Tensor | float
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.options["keep"] not in KEEPS or self.options["eta"] < 0:
            raise ParamsError(
                f"keep is {self.options['keep']!r} ({suggest(self.options['keep'], KEEPS)}), "
                f"eta is {self.options['eta']}; expected 0 or more"
            )
        if not hasattr(self.generator, "apart") or not hasattr(self.generator, "decode"):
            raise ModelError("the generator has no `apart` and `decode`; use an autoencoder or a vqgan as generator")

    def start(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and the rests that are added to their pictures, for uint8 (n, channels, h, w)."""
        with torch.no_grad():
            codes, rest = self.generator.apart(pictures)
        return codes, rest if self.options["residual"] else torch.zeros_like(rest)

    def walk(self, model: Any, pictures: torch.Tensor, labels: torch.Tensor, budgets: Sequence[int]) -> Walk:
        """Walk pictures against a network.

        Args:
            model: from pictures to logits, in evaluation mode; its cross-entropy is raised.
            pictures: uint8 (n, channels, h, w).
            labels: int64 (n,), on the same device.
            budgets: numbers of steps, 0 or more; each gives the pictures after so many.

        Raises:
            ParamsError: no budget, or a negative one.
        """
        if not budgets or min(budgets) < 0:
            raise ParamsError(f"budgets are {list(budgets)}; expected one or more of at least 0")
        codes, rest = self.start(pictures)
        state = _State(pictures, labels)
        if self.options["keep"] == "highest":
            state.losses = _losses(model, pictures, labels)
        if self.options["constrained"]:
            state.stop(self.oracle(pictures) != labels, UNMOVED)
        if not self.options["residual"]:  # step 0 is the reconstruction, where the oracle lets it
            self._see(state, model, _pixels(self.generator.decode(codes).detach()))
        pictures_at = {0: state.best.clone()} if 0 in budgets else {}
        for step in range(1, max(budgets) + 1):
            rows = state.rows()
            if len(rows):
                codes[rows] = self._climb(model, codes[rows], rest[rows], labels[rows])
                with torch.no_grad():
                    candidates = _pixels(self.generator.decode(codes[rows]) + rest[rows])
                self._see(state, model, candidates)
                state.accepted[state.rows()] += 1
            if step in budgets:
                pictures_at[step] = state.best.clone()
        return Walk(pictures_at, state.accepted, state.ended)

    def _climb(self, model: Any, codes: torch.Tensor, rest: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The codes after one step up the loss."""
        at = codes.detach().requires_grad_()
        with torch.enable_grad():
            logits = model(self.generator.decode(at) + rest)
            loss = F.cross_entropy(logits.float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, at)
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-30)
        unit = gradient / length.reshape(-1, *[1] * (gradient.ndim - 1))
        return codes + self.options["eta"] * self.spread * unit  # type: ignore[no-any-return]

    def _see(self, state: _State, model: Any, candidates: torch.Tensor) -> None:
        """Take the candidates of the rows that still walk, or stop them."""
        rows = state.rows()
        if self.options["constrained"]:
            refusals = self.oracle(candidates) != state.labels[rows]
            state.ended[rows[refusals]] = STOPPED
            rows, candidates = rows[~refusals], candidates[~refusals]
        if state.losses is not None and len(rows):
            losses = _losses(model, candidates, state.labels[rows])
            higher = losses > state.losses[rows]
            rows, candidates, losses = rows[higher], candidates[higher], losses[higher]
            state.losses[rows] = losses
        state.best[rows] = candidates


class _State:
    """State of each picture; `losses` (n,) of the pictures so far only where the highest is kept."""

    losses: torch.Tensor | None = None

    def __init__(self, pictures: torch.Tensor, labels: torch.Tensor) -> None:
        self.best, self.labels = pictures.clone(), labels
        self.ended = torch.full_like(labels, EXHAUSTED)
        self.accepted = torch.zeros_like(labels)

    def stop(self, rows: torch.Tensor, why: int) -> None:
        self.ended[rows] = why

    def rows(self) -> torch.Tensor:
        """The rows that still walk, int64 (k,)."""
        return (self.ended == EXHAUSTED).nonzero()[:, 0]


def _losses(model: Any, pictures: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return F.cross_entropy(model(pictures).float(), labels, reduction="none")


def _pixels(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.round().clamp(0, 255).to(torch.uint8)


def spread(generator: Any, batches: Iterable[torch.Tensor], unit: str = "std") -> Any:
    """D: the deviation of each coordinate of the code over pictures, float32 of one code's shape; 1 for `one`.

    Args:
        generator: see Search.
        batches: pictures, uint8 (n, channels, h, w).
        unit: `std` or `one`.

    Raises:
        ParamsError: another unit.
        DataError: no picture.
    """
    if unit not in UNITS:
        raise ParamsError(f"unit is {unit!r}; {suggest(unit, UNITS)}")
    if unit == "one":
        return 1.0
    count, total, squares = 0, torch.tensor(0.0), torch.tensor(0.0)
    with torch.no_grad():
        for batch in batches:
            codes = generator.apart(batch)[0].double()
            count += len(codes)
            total, squares = (total.to(codes) + codes.sum(0), squares.to(codes) + codes.square().sum(0))
    if not count:
        raise DataError("the deviation of codes is asked of no picture; name shards with samples")
    return (squares / count - (total / count).square()).clamp(min=0).sqrt().float()


def same_pictures(inputs: Mapping[str, Any]) -> Any:
    """Prepared inputs by name, if all networks get the same.

    Raises:
        DataError: two differ, so that what one network is shown is no input of another.
    """
    (name, first), *others = inputs.items()
    for other, pictures in others:
        if pictures.shape != first.shape or (pictures != first).any():
            raise DataError(
                f"oracle_search: {other} is given pictures {tuple(pictures.shape)}, {name} {tuple(first.shape)}, or of "
                "other pixels; give all nets the same size, and none a crop of its own (`crop: 1`)"
            )
    return first
