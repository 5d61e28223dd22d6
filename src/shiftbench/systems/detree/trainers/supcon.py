"""Flat supervised contrastive training, DETree's first stage: every class is a child of the root.

For the model `stylometric_mlp`.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3 (the first stage is the second with a star tree), as
scripts/extract_pcl_tree.sh of heyongxin233/DETree. `_contrastive` has the options.
"""

import torch

from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.detree.losses._tree import Tree
from shiftbench.systems.detree.trainers import _contrastive

READS_SOURCES = True
TASKS = _contrastive.TASKS
PARAMS: dict[str, object] = {**_contrastive.PARAMS}
needs = _contrastive.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the weights, see `_contrastive.train`."""
    known = _contrastive.texts(job, "train")
    return _contrastive.train(job, known, Tree.star(sorted(set(known.classes))))
