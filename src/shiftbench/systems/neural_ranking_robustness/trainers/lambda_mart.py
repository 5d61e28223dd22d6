"""LambdaMART: boosted trees on the lambda gradients of nDCG, stopped early on the validation queries.

Source: Burges, MSR-TR-2010-82, as LightGBM's `lambdarank` has it. Without
`bagging`, trainings of several seeds would be one.
"""

import numpy as np
import torch
from pydantic import Field

from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.neural_ranking_robustness.trainers import _ranking

TASKS = ("ranking",)
READS_SOURCES = True
needs = _ranking.needs


class Options(declare.Options):
    leaves: int = Field(31, ge=2, description="leaves of a tree at most")
    lr: fields.LearningRate = 0.05
    trees: int = Field(500, ge=1, description="number of trees at most")
    patience: int = Field(50, ge=1, description="trees without a better nDCG@10 on val, after which training stops")
    bagging: float = Field(0.8, gt=0, le=1, description="share of the queries that each tree sees")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """`trees`, LightGBM's text as bytes, uint8."""
    import lightgbm

    options = job.params
    sets: list[lightgbm.Dataset] = []
    for split in ("train", "val"):
        rows, grades = _ranking.features(_ranking.queries(job, split))
        sets.append(
            lightgbm.Dataset(
                np.concatenate(rows),
                np.concatenate(grades),
                group=[len(query_rows) for query_rows in rows],
                reference=sets[0] if sets else None,
            )
        )
    settings = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": options["leaves"],
        "learning_rate": options["lr"],
        "bagging_fraction": options["bagging"],
        "bagging_freq": 1,
        "bagging_by_query": True,
        "seed": job.seed % 2**31,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": job.threads,
        "verbosity": -1,
    }
    history: dict[str, dict[str, list[float]]] = {}
    trees = lightgbm.train(
        settings,
        sets[0],
        options["trees"],
        valid_sets=[sets[1]],
        callbacks=[lightgbm.early_stopping(options["patience"], verbose=False), lightgbm.record_evaluation(history)],
    )
    for step, value in enumerate(history["valid_0"]["ndcg@10"]):
        job.log(step, "val_ndcg10", value)
    text = trees.model_to_string(num_iteration=trees.best_iteration)
    return {"trees": torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())}
