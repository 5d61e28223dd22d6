"""A balanced database of labelled embeddings, and the vote of a text's nearest in it.

    p_human = sum_j w_j [j human] / sum_j w_j,   w_j = weight_j exp(s_j / T),   j the k nearest by inner product s_j

Each side, human and machine, is compressed to equally many centres of K-means; centres are means of vectors of length 1
and keep their own length, as in the published databases. Few-shot: labelled target texts are added, or take its place.

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3; `cluster_database` in detree/cli/database.py and `predict`
in detree/inference/detector.py of heyongxin233/DETree. Differs: one formula, with T = 0.05. The released demo is it
with T = 1; the released evaluation (`process_element` in detree/cli/test_database_score_knn.py) sums T s_j of each side
and takes a softmax of the two sums, so that k and T mean another thing there: `rule: sums`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit, log_softmax, logit

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets

Floats = NDArray[np.float64]
Embed = Callable[[Sequence[Sample]], NDArray[np.float32]]
K = Annotated[int, Field(ge=1, description="neighbours in the database that vote")]
Temperature = Annotated[float, Field(gt=0, description="T of the votes")]
RULES = ("softmax", "sums")
EDGE = 1e-6
"""A share of votes this near to 0 or 1 is as far as logits go."""
ROUNDS = 100


@dataclass(frozen=True)
class Database:
    """Labelled vectors.

    Attributes:
        vectors: float32 (m, d), of length 1 or means of such.
        human: bool (m,).
        weights: float64 (m,), above 0: how much the vote of each counts.
    """

    vectors: NDArray[np.float32]
    human: NDArray[np.bool_]
    weights: Floats

    def __post_init__(self) -> None:
        if not 0 < self.human.sum() < len(self.human):
            raise DataError(
                f"a database needs human and machine texts; of {len(self.human)} are {self.human.sum()} human"
            )

    @classmethod
    def of(cls, vectors: NDArray[np.float32], human: NDArray[np.bool_], weight: float = 1.0) -> Database:
        """A database of equal weights."""
        return cls(vectors, human, np.full(len(vectors), weight))

    @classmethod
    def balanced(cls, vectors: NDArray[np.float32], human: NDArray[np.bool_], centres: int, seed: int) -> Database:
        """`centres` means of K-means for each side; a side that has no more vectors keeps them."""
        sides = [_compress(vectors[human == side], centres, seed) for side in (False, True)]
        labels = np.repeat([False, True], [len(side) for side in sides])
        return cls.of(np.concatenate(sides), labels)

    def with_texts(self, other: Database) -> Database:
        """Both databases in one."""
        return Database(
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.human, other.human]),
            np.concatenate([self.weights, other.weights]),
        )

    def human_share(self, queries: NDArray[np.float32], k: int, temperature: float, rule: str = "softmax") -> Floats:
        """The share p_human of each query, float64 (n,).

        Args:
            queries: float32 (n, d), of length 1.
            k: how many vote; all where there are fewer.
            temperature: T, above 0.
            rule: `softmax`, or `sums`, the released evaluation.

        Raises:
            ParamsError: `k` or `temperature` is not above 0, or another rule.
        """
        if k < 1 or temperature <= 0:
            raise ParamsError(f"k is {k} and temperature {temperature}; expected both above 0")
        if rule not in RULES:
            raise ParamsError(f"rule is {rule!r}; {suggest(rule, RULES)}")
        alike = queries.astype(np.float64) @ self.vectors.T.astype(np.float64)
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :k]
        scores, human = np.take_along_axis(alike, nearest, axis=1), self.human[nearest]
        if rule == "sums":
            sums = [(temperature * scores * side).sum(1) for side in (human, ~human)]
            return np.asarray(expit(sums[0] - sums[1]))
        shares = np.exp(log_softmax(scores / temperature + np.log(self.weights[nearest]), axis=1))
        return np.asarray((shares * human).sum(1))


def _compress(vectors: NDArray[np.float32], centres: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= centres:
        return vectors
    from sklearn.cluster import KMeans  # takes a second, and is not needed to predict

    clusters = KMeans(centres, n_init=1, max_iter=ROUNDS, random_state=seed % 2**32).fit(vectors)
    return np.asarray(clusters.cluster_centers_, dtype=np.float32)


def threshold(shares: Floats, fpr: float) -> float:
    """The lowest threshold on the machine's share that flags at most `fpr` of human texts: above it is machine.

    Args:
        shares: the machine's share of the votes on human validation texts, (n,).
        fpr: in [0, 1).
    """
    if not len(shares):
        return 0.5
    allowed = round(fpr * 1_000_000) * len(shares) // 1_000_000  # in millionths, so that 0.05 of 20 is one
    return float(np.sort(shares)[::-1][min(allowed, len(shares) - 1)])


@dataclass(frozen=True)
class Voter:
    """A predictor of two classes, human and machine: what the nearest in a database vote.

    Attributes:
        embed: samples -> float32 (n, d), of length 1.
        database: of labelled texts.
        threshold: the machine's share of votes above which a text is called machine-made.
        k, temperature, rule: of the vote.
    """

    embed: Embed
    database: Database
    threshold: float
    k: int
    temperature: float
    rule: str = "softmax"

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """`logits` float32 (n, 2), 0 and the log-odds of the machine less those of the threshold; `features`."""
        vectors = self.embed(samples)
        odds = _odds(self.machine_share(vectors)) - _odds(np.array(self.threshold))
        logits = np.stack([np.zeros(len(odds)), odds], axis=1).astype(np.float32)
        return {"logits": logits, "features": vectors}

    def machine_share(self, vectors: NDArray[np.float32]) -> Floats:
        """The machine's share of the votes, float64 (n,)."""
        return 1 - self.database.human_share(vectors, self.k, self.temperature, self.rule)


def _odds(shares: Floats) -> Floats:
    return np.asarray(logit(np.clip(shares, EDGE, 1 - EDGE)))
