"""Training on a tree over classes, and what of it makes a detector: database and threshold; helper of two trainers.

Each epoch shows every text as it is, or under the one of the nine attacks that was drawn for it (at the released rate;
one attacked copy of each text for a training seed). The database is of training texts as they are.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 4; scripts/train_detree.sh of heyongxin233/DETree:
temperature 0.07, AdamW with betas 0.9 and 0.99 and eps 1e-6, weight decay 1e-4, attacks with probability 0.5. Differs:
rate, epochs and batch are those of a small network (README.md has what they were chosen from).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base import refs, rng
from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.detree.losses import tree_contrastive as loss
from shiftbench.systems.detree.losses._tree import Tree
from shiftbench.systems.detree.models import _stylometry, stylometric_mlp
from shiftbench.systems.detree.models._database import Database, Voter, threshold
from shiftbench.systems.detree.shifts import _edits

TASKS = ("text_classification",)


class Options(declare.Options):
    epochs: fields.Epochs = 5
    batch_size: fields.BatchSize = 256
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 1e-2
    weight_decay: fields.WeightDecay = 1e-4
    schedule: fields.Schedule = "one_cycle"
    temperature: float = Field(0.07, gt=0, description="temperature of the loss")
    official_mask: bool = Field(False, description="the released rule of the loss, which multiplies logits by the mask")
    attacked: float = Field(0.5, ge=0, le=1, description="probability that a text is shown attacked, in each epoch")
    centres: int = Field(30, ge=1, description="centres of the database for each side, human and machine")
    fpr: float = Field(
        0.05, ge=0, lt=1, description="share of human validation texts that the threshold flags, at most"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards and the lists of the attacks; the corpus is the model's need."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*shards, refs.sources(_edits.LISTS)] if params["attacked"] else shards


class Texts:
    """Texts of a split as features, with their classes.

    Attributes:
        features: float32 (n, d).
        classes: the class of each, `group` of its `meta`.
        human: bool (n,).
    """

    def __init__(self, samples: Sequence[Sample], features: _stylometry.Stylometry) -> None:
        self.samples, self._features = samples, features
        self.features = features([sample.fields["text"] for sample in samples])
        self.classes = [str((sample.fields.get("meta") or {}).get("group")) for sample in samples]
        self.human = np.array([sample.fields["label"] == 0 for sample in samples])

    def attack(self, job: TrainJob) -> NDArray[np.float32]:
        """The features of the attacked copies, float32 (n, d)."""
        lists = {ref.name: path.parent for ref, path in job.inputs.items() if ref.kind == "sources"}
        return self._features([_attack_text(sample, job, lists) for sample in self.samples])


def _attack_text(sample: Sample, job: TrainJob, lists: Mapping[str, Path]) -> str:
    words = RandomStream(job.seed, "detree_attack", job.dataset, sample.key)
    name = list(_edits.ATTACKS)[int(words.integers(0, len(_edits.ATTACKS), 1)[0])]
    return _edits.edit_text(sample.fields["text"], name, 1.0, words, lists)


def texts(job: TrainJob, split: str) -> Texts:
    """The texts of a split.

    Raises:
        ModelError: the job's model is another.
    """
    if "temperature" not in job.model_params or "hidden" not in job.model_params:
        raise ModelError(f"{job.trainer} trains the model `stylometric_mlp`, not {job.model!r}")
    return Texts(job.samples(split), stylometric_mlp.features_of(job.inputs, job.model_params))


class Learner(nn.Module):
    """Encoder and prototypes."""

    def __init__(self, training: Texts, tree: Tree, job: TrainJob) -> None:
        super().__init__()
        torch.manual_seed(rng.derive(job.seed, job.model, "init"))
        rows = torch.from_numpy(training.features)
        self.encoder = stylometric_mlp.Encoder(rows.mean(0), rows.std(0) + 1e-6, job.model_params)
        self.prototypes = nn.Parameter(torch.empty(len(tree.nodes), job.model_params["size"]))
        nn.init.xavier_uniform_(self.prototypes)


def train(job: TrainJob, training: Texts, tree: Tree) -> dict[str, torch.Tensor]:
    """`encoder.*`, `prototypes`, `database.*`, `threshold` and `tree`, its text in UTF-8.

    Raises:
        DataError: a training text is of a class that the tree has not.
    """
    learner = Learner(training, tree, job)
    _fit(job, learner, training, tree)
    learner.eval()
    val = texts(job, "val")
    with torch.inference_mode():
        vectors, others = (learner.encoder(torch.from_numpy(one.features)).numpy() for one in (training, val))
    database = Database.balanced(vectors, training.human, job.params["centres"], job.seed)
    options = job.model_params
    voter = Voter(lambda _: others, database, 0.5, options["k"], options["temperature"])
    shares = voter.machine_share(others)
    at = threshold(shares[val.human], job.params["fpr"])
    job.log(job.params["epochs"], "val_auroc", _auroc(shares, val.human))
    return {
        **learner.state_dict(),
        "database.vectors": torch.from_numpy(database.vectors),
        "database.human": torch.from_numpy(database.human.astype(np.uint8)),
        "threshold": torch.tensor(at, dtype=torch.float64),
        "tree": torch.frombuffer(bytearray(tree.text().encode()), dtype=torch.uint8),
    }


def _fit(job: TrainJob, learner: Learner, training: Texts, tree: Tree) -> None:
    params, levels = job.params, loss.Levels.of(tree)
    both = [training.features, training.attack(job) if params["attacked"] else training.features]
    rows, leaves = torch.from_numpy(np.stack(both)), _leaves(training, tree)
    steps = -(-len(leaves) // params["batch_size"])
    update = _loop.optimiser(job, learner)
    rate = _loop.schedule(update, params["schedule"], params["epochs"] * steps)
    for epoch in range(params["epochs"]):
        words = RandomStream(job.seed, "detree", job.dataset, f"{epoch}")
        order, copy = words.choice(len(leaves)), words.uniform(len(leaves)) < params["attacked"]
        losses = []
        for at in np.array_split(order, steps):
            queries = learner.encoder(rows[copy[at].astype(int), at])
            value = loss.loss(
                queries, leaves[at], learner.prototypes, levels, params["temperature"],
                official_mask=params["official_mask"],
            )  # fmt: skip
            update.zero_grad()
            value.backward()
            update.step()
            rate.step()
            losses.append(value.item())
        job.log(epoch, "train_loss", float(np.mean(losses)))


def _leaves(training: Texts, tree: Tree) -> torch.Tensor:
    places = {leaf: at for at, leaf in enumerate(tree.names)}
    new = sorted(set(training.classes) - set(tree.leaf_of))
    if new:
        raise DataError(f"the tree has no class {new[0]!r}; it has {', '.join(tree.leaf_of)}")
    return torch.tensor([places[tree.leaf_of[name]] for name in training.classes])


def _auroc(shares: NDArray[np.float64], human: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(~human, shares)) if 0 < human.sum() < len(human) else float("nan")
