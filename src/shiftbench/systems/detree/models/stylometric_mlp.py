"""Stylometric features, embedded by a small network; human or machine is what the nearest of a database vote.

Its weights are the network (204-256-64), the balanced database, the threshold, and the tree that it was trained on.
Trained by `supcon` and `tree_contrastive`; with `stylometric_logistic` it is a logistic regression on the same
features, without a database. Features are the embeddings, of length 1.

Source: He et al. 2025 (DETree), arXiv:2510.17489, whose encoder is RoBERTa-large with LoRA: `detree_checkpoint` loads
that one. Differs: `_stylometry` and a network of two layers in its place.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.detree.datasets import _brown
from shiftbench.systems.detree.models import _database, _stylometry
from shiftbench.systems.detree.models._database import Database, Voter

TASK = "text_classification"
FARTHEST = 5.0
"""Features lie within so many deviations of their mean: what an attack makes new does not run away."""


class Options(declare.Options):
    hidden: int = Field(256, ge=1, description="units of the hidden layer")
    size: int = Field(64, ge=1, description="numbers of an embedding")
    k: _database.K = 10
    temperature: _database.Temperature = 0.05
    learnt: int | None = Field(
        None, ge=1, description="documents that the n-gram model is counted on, at most; null: all"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The corpus that the features' n-gram model is counted on."""
    return [refs.sources(_brown.SOURCE)]


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another trainer or of other options.
    """
    state, features = nets.read_state(weights), features_of(inputs, params)
    if "head.weight" in state:
        return _linear(state, features)
    if "database.vectors" not in state:
        raise ModelError(f"{weights} holds no database; train with supcon, tree_contrastive or stylometric_logistic")
    embed = embedder(state, params, weights)
    human = state["database.human"].numpy().astype(bool)
    return Voter(
        lambda samples: embed(features([sample.fields["text"] for sample in samples])),
        Database.of(state["database.vectors"].numpy(), human),
        float(state["threshold"]),
        params["k"],
        params["temperature"],
    )


def features_of(inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> _stylometry.Stylometry:
    """The feature extractor, from the inputs of a job or predictor and the model's options."""
    return _stylometry.of(inputs[refs.sources(_brown.SOURCE)].parent, params["learnt"])


class Encoder(nn.Module):
    """Features -> embeddings; its statistics are buffers.

    Args:
        mean, deviation: float (d,), of each feature over training texts.
        params: the model's options.
    """

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        hidden, size = params["hidden"], params["size"]
        self.net = nn.Sequential(nn.Linear(len(mean), hidden), nn.ReLU(), nn.Linear(hidden, size))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Embeddings float (n, size) of length 1."""
        return F.normalize(self.net(standardise(features, self.mean, self.deviation)), dim=1)


def standardise(features: torch.Tensor, mean: Any, deviation: Any) -> torch.Tensor:
    """Features in deviations from their mean, none farther than FARTHEST."""
    values: torch.Tensor = ((features - mean) / deviation).clamp(-FARTHEST, FARTHEST)
    return values


def embedder(
    state: nets.State, params: Mapping[str, Any], weights: Path
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The trained map of features (n, d) to embeddings float32 (n, size).

    Raises:
        ModelError: weights of a network of other sizes.
    """
    own = {name.removeprefix("encoder."): one for name, one in state.items() if name.startswith("encoder.")}
    model = Encoder(own["mean"], own["deviation"], params)
    nets.load_into(model, own, weights)
    model.eval()

    def embed(features: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(features)).numpy())

    return embed


def _linear(state: nets.State, features: _stylometry.Stylometry) -> nets.Predictor:
    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        rows = torch.from_numpy(features([sample.fields["text"] for sample in samples]))
        inputs = standardise(rows, state["mean"], state["deviation"])
        return {"logits": (inputs @ state["head.weight"].T + state["head.bias"]).numpy()}

    return predict
