"""Label counts of the training items, and the seed: the whole state of the floors.

Source: none. Trains models without a network: `majority_answer` reads the counts, `random_answer` the seed, and
`smollm2_options` nothing.
"""

from collections import Counter

import torch

from shiftbench.plugins.contracts import TrainJob

TASKS = ("text_classification",)


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`counts`, int64 (C,), and `seed`, int64 ()."""
    count_of_label = Counter(int(sample.fields["label"]) for sample in job.samples("train"))
    counts = [count_of_label[label] for label in range(len(job.classes))]
    return {"counts": torch.tensor(counts), "seed": torch.tensor(job.seed)}
