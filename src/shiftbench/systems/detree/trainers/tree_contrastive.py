"""Tree-structured contrastive training (TSCL): DETree's second stage, on a tree out of the first.

For the model `stylometric_mlp`. The tree is built (`_hat`) from training texts as the weights of `flat`, of the same
dataset, model and seed, embed them. Training begins with the same initial net as theirs and takes as many steps, so
that the two differ by the tree.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3, scripts/build_hat_tree.sh and train_detree.sh of
heyongxin233/DETree. `prior: 1` and `end: 0.1` are the released ones; `_contrastive` has the other options.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.detree.models import stylometric_mlp
from shiftbench.systems.detree.trainers import _contrastive, _hat

READS_SOURCES = True
TASKS = _contrastive.TASKS
PARAMS: dict[str, object] = {**_contrastive.PARAMS, "flat": "supcon", "prior": 1, "end": _hat.END}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return what `_contrastive` needs, and the weights of the first stage."""
    flat = refs.checkpoint(params["dataset"], params["model"], params["flat"], params["seed"])
    return [*_contrastive.needs(params), flat]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the weights, see `_contrastive.train`."""
    known = _contrastive.texts(job, "train")
    file = next(path for ref, path in job.inputs.items() if ref.kind == "checkpoints")
    embed = stylometric_mlp.embedder(nets.read_state(file), job.model_params, file)
    names, alike = _hat.similarity(embed(known.features), known.classes)
    tree = _hat.build(names, alike, job.params["prior"], job.params["end"])
    job.log(0, "nodes", len(tree.parents))
    job.log(0, "leaves", len(tree.names))
    return _contrastive.train(job, known, tree)
