"""How good a ranked list is: measures of one query, as trec_eval and ir-measures define them.

Unjudged documents count as not relevant, but for `judged` and `bpref`, which tell how much that matters.
"""

import math
from collections.abc import Mapping, Sequence

DEPTH = 10


def measures(ranked: Sequence[str], judged: Mapping[str, int]) -> dict[str, float]:
    """All measures of one ranked list, each 0 to 1.

    Args:
        ranked: documents, best first, each once.
        judged: document -> grade; relevant from 1.
    """
    return {
        "ap": average_precision(ranked, judged),
        "ndcg10": ndcg(ranked, judged),
        "rr10": reciprocal_rank(ranked, judged),
        "bpref": bpref(ranked, judged),
        "judged10": share_judged(ranked, judged),
    }


def relevant(judged: Mapping[str, int]) -> int:
    """The number of relevant documents."""
    return sum(grade > 0 for grade in judged.values())


def average_precision(ranked: Sequence[str], judged: Mapping[str, int]) -> float:
    """The mean over relevant documents of the precision where each stands, 0 where it is not in the list."""
    hits, total = 0, 0.0
    for rank, document in enumerate(ranked, 1):
        if judged.get(document, 0) > 0:
            hits += 1
            total += hits / rank
    return total / relevant(judged)


def ndcg(ranked: Sequence[str], judged: Mapping[str, int], depth: int = DEPTH) -> float:
    """Sum grade / log2(rank + 1) over the first ranks, as a share of the best possible.

    Source: Jarvelin and Kekalainen 2002, TOIS 20(4); gain is the grade, as in trec_eval.
    """
    gains = [max(0, judged.get(document, 0)) for document in ranked[:depth]]
    best = sorted((max(0, grade) for grade in judged.values()), reverse=True)[:depth]
    return _discounted(gains) / _discounted(best)


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def reciprocal_rank(ranked: Sequence[str], judged: Mapping[str, int], depth: int = DEPTH) -> float:
    """1 / rank of the first relevant document, 0 where the first ranks have none."""
    ranks = (rank for rank, one in enumerate(ranked[:depth], 1) if judged.get(one, 0) > 0)
    first = next(ranks, None)
    return 1 / first if first else 0.0


def bpref(ranked: Sequence[str], judged: Mapping[str, int]) -> float:
    """Binary preference: how seldom judged non-relevant documents rank above relevant ones; ignores the unjudged.

    Source: Buckley and Voorhees, SIGIR 2004, as in trec_eval: (1/R) sum_r (1 - min(above r, R) / min(R, N)).
    """
    good = relevant(judged)
    bad = sum(grade == 0 for grade in judged.values())
    above, total = 0, 0.0
    for document in ranked:
        grade = judged.get(document)
        if grade is None or grade < 0:  # below 0: as if it were not judged
            continue
        if grade == 0:
            above += 1
        else:
            total += 1 - (min(above, good) / min(good, bad) if above else 0)
    return total / good


def share_judged(ranked: Sequence[str], judged: Mapping[str, int], depth: int = DEPTH) -> float:
    """The share of the first ranks that are judged."""
    first = ranked[:depth]
    return sum(document in judged for document in first) / len(first)
