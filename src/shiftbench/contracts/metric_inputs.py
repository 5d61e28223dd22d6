"""What metrics are computed on: rows of all tasks, scores of known and unknown samples, which answers to trust."""

from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn import metrics as peer

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows
from shiftbench.statistics.thresholds import Sides

N = 300
CLASSES = tuple("abcde")


def of_kind(kind: str) -> list[str]:
    return [name for name in registry.names("metrics") if kind == registry.find("metrics", name).KIND]


def records(n: int = N) -> pa.Table:
    random = np.random.default_rng(3)
    some = [  # the group begins with another class, that of a second cue
        Sample(f"toy/test/{i:03d}", {"label": int(label), "meta": {"group": f"{i % 5:02d}_cue"}})
        for i, label in enumerate(random.integers(0, 5, n))
    ]
    logits = random.normal(scale=2, size=(n, 5)).astype(np.float32)
    table = classification.rows(some, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
    passed = [[bool(bit)] for bit in random.integers(0, 2, n)]  # of generated code
    table = table.append_column("passed", pa.array(passed, pa.list_(pa.bool_())))
    for measure in ("ap", "ndcg10", "rr10", "bpref", "judged10"):  # of ranked lists
        table = table.append_column(f"{measure}_e9", pa.array(random.integers(0, 10**9 + 1, n)))
    for count in ("raised", "gained", "entered"):
        table = table.append_column(count, pa.array(random.integers(0, 2, n)))
    table = table.append_column("risk_e9", pa.array(random.integers(0, 10**10, n)))  # of tasks
    table = table.append_column("attacked", pa.array(np.ones(n, dtype=np.int64)))
    for measure in ("correlation", "concordance", "amplitude", "lse_c", "lse_d"):  # of clips
        table = table.append_column(f"{measure}_e9", pa.array(random.integers(0, 10**9 + 1, n)))
    for count, high in (("executed", 2), ("rounds", 5)):  # of queries about tables
        table = table.append_column(count, pa.array(random.integers(0, high, n)))
    table = table.append_column("offset", pa.array(random.integers(-3, 4, n)))
    found = boxes(random, n) | completions(random, n) | forgeries(random, n)
    for name, column in {**found, **persons(random, found["true_crowd"])}.items():
        table = table.append_column(name, column)
    return table


def forgeries(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    """Return what records of forgeries hold: a binary fold, and the pixels of masks of every third image."""
    found = {name: pa.array(random.integers(0, 2, n).astype(bool)) for name in ("fake", "called")}
    found["fake_e9"] = pa.array(random.integers(-9, 10, n) * 10**8)
    for name in ("mask_hit", "mask_false", "mask_missed"):
        pixels = random.integers(0, 50, n) + (name == "mask_hit")
        found[name] = pa.array([int(one) if at % 3 == 0 else None for at, one in enumerate(pixels)])
    return found


def boxes(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    """Return what records of detection hold of boxes, one to three in each image, under one filter."""
    sizes, whole = random.integers(1, 4, n), pa.list_(pa.int64())

    def lists(low: int, high: int, dtype: pa.DataType) -> pa.Array:
        return pa.array([random.integers(low, high, size).tolist() for size in sizes], dtype)

    integers = {"matched": 2, "filters_at_recall": 4, "filter_ranks_e9": 10**9}
    found = {name: lists(0, high, whole) for name, high in integers.items()}
    found |= {"ignored": lists(0, 1, whole), "filters": lists(1, 4, whole)}
    found |= {"true_classes": lists(0, 5, pa.list_(pa.int32())), "true_areas": lists(9, 99, whole)}
    scores = [random.random(size).tolist() for size in sizes]
    crowd = [[False] * size for size in sizes]
    return found | {"scores": pa.array(scores), "true_crowd": pa.array(crowd)}


def completions(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    """Return what records of free text hold of two completions of each prompt, judged by two graders."""
    sizes = {"tokens": 30, "thinking_tokens": 20, "answer_tokens": 9, "thinking_entropy_e9": 10**9}
    sizes |= {"answer_entropy_e9": 10**9, "completion_nll_e9": 10**9, "closed": 2, "truncated": 2}
    found = {name: pa.array(random.integers(0, high, (n, 2)).tolist()) for name, high in sizes.items()}
    said = [None, False, True]
    verdicts = [[[said[at] for at in each] for each in own] for own in random.integers(0, 3, (n, 2, 2))]
    texts = [[f'{{"clip_score": {score:.3f}}}'] for score in random.random(n)]
    return {**found, "verdicts": pa.array(verdicts), "completions": pa.array(texts)}


def persons(random: np.random.Generator, crowd: pa.Array) -> dict[str, pa.Array]:
    """Return what records of keypoints hold of the same persons, of three joints each."""
    sizes = [len(own) for own in crowd.to_pylist()]

    def lists(each: int, low: int = -1, high: int = 10**9) -> pa.Array:
        return pa.array([random.integers(low, high, each * size).tolist() for size in sizes])

    found = {f"{name}_e9": lists(1) for name in ("limb_errors", "mpjpe", "pa_mpjpe")}
    return found | {"errors_e9": lists(3), "missed": lists(1, 0, 2)}


def value(metric: ModuleType, table: pa.Table, weights: np.ndarray | None = None, **params: Any) -> np.ndarray:
    weights = np.ones((len(table), 1), dtype=np.uint8) if weights is None else weights
    options = {**defaults(metric), **params}
    (sums,) = weighted_sums([metric.reduce(Rows(table), **options)], weights)
    found: np.ndarray = metric.finish(sums, **options)
    return found


def poisson(n: int, draws: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(1, (n, draws)).astype(np.uint8)


def scores() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    return random.integers(0, 30, 200).astype(float), random.integers(10, 40, 150).astype(float)  # many ties


def detect(metric: ModuleType, inside: np.ndarray, outside: np.ndarray, *weights: np.ndarray) -> np.ndarray:
    sides = weights or [np.ones((len(side), 1), dtype=np.uint8) for side in (inside, outside)]
    found: np.ndarray = metric.compute(Sides.of_ood(inside, outside, *sides), **defaults(metric))
    return found


def trusted() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    values = random.integers(0, 25, 120).astype(float)  # many ties
    return values, random.random(120) > values / 40


def area(metric: str, values: np.ndarray, correct: np.ndarray, weights: Any = None) -> np.ndarray:
    module = registry.find("metrics", metric)
    weights = np.ones((len(values), 1), dtype=np.uint8) if weights is None else weights
    found: np.ndarray = module.compute(values, correct, weights, **defaults(module))
    return found


def fpr(truth: np.ndarray, score: np.ndarray) -> float:
    false, true, _ = peer.roc_curve(truth, score, drop_intermediate=False)
    return float(false[np.argmax(true >= 0.95)])


def aupr(truth: np.ndarray, score: np.ndarray) -> float:
    precision, recall, _ = peer.precision_recall_curve(truth, score)
    return float(peer.auc(recall, precision))
