"""Helper of trainers of rankers: queries with graded candidates, and their features."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data.bag_of_words import Floats, Ints
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models._rankers import Collection, Collections, labelled
from shiftbench.systems.neural_ranking_robustness.models._features import FeatureScorer

Graded = tuple[Sample, Collection, Ints, Ints]
"""A query, its collection, the places of its candidates and their grades."""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The queries to learn from."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def queries(job: TrainJob, split: str, collections: Collections | None = None) -> list[Graded]:
    """The queries of a split with their candidates; those that teach nothing are left out.

    Raises:
        ModelError: none is left.
    """
    collections = collections or Collections(job.inputs, job.model_params)
    graded = labelled(job.samples(split), collections, job.model_params)
    if not graded:
        raise ModelError(f"{job.dataset}/{split}: no query has relevant and other documents among its candidates")
    return graded


def features(graded: list[Graded]) -> tuple[list[Floats], list[npt.NDArray[np.int64]]]:
    """The features (m, 13) and the grades (m,) of each query's candidates."""
    scorer = FeatureScorer(lambda rows: rows[:, 0])
    features_of_queries = [
        scorer.features(collection).of(sample.fields["text"], places) for sample, collection, places, _ in graded
    ]
    return features_of_queries, [grades for *_, grades in graded]


def pairs(grades: Ints, count: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    """`count` pairs at random, as places of a relevant document and of one that is not."""
    good, bad = np.flatnonzero(grades), np.flatnonzero(grades == 0)
    return random.choice(good, count), random.choice(bad, count)
