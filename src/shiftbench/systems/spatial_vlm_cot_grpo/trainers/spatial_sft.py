"""Supervised fine-tuning on answers: the cross-entropy of the one word that answers, low-rank adapters alone.

With `overwrite`, the answer is written over the end of the option list, so that an answer is predicted without having
read the last option. Tested are both with whole prompts. The official target has eight tokens at most; here answers
have one.

Source: section IV-B of the paper; Yvonne511/spatial-vlm-investigator, model/pali_sat_sft.py (`compute_loss`), which
overwrites.
"""

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.spatial_vlm_cot_grpo.trainers import _tuning
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._adapters import Adapters
from shiftbench.systems.spatial_vlm_cot_grpo.trainers._asked import Asked

TASKS = ("free_text",)
needs = _tuning.needs


class Options(_tuning.Options):
    overwrite: bool = Field(
        False, description="write the answer over the last word of the prompt, as the released script does"
    )


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict, adapters merged."""
    overwrite = job.params["overwrite"]

    def loss(model: Any, adapters: Adapters, questions: Asked, rows: torch.Tensor, words: RandomStream) -> torch.Tensor:
        device = next(model.parameters()).device
        prompts = questions.prompts[rows].to(device)
        logits, _ = model.begin(prompts[:, :-1] if overwrite else prompts)
        return F.cross_entropy(logits, questions.responses[rows, 0].to(device))

    return _tuning.fit(job, loss)
