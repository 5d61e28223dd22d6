"""Machine Vision Therapy: a second model is shown one true and one false example and asked what the query shows.

The vision model's prediction y is checked first: where the mean of V(y), the verifier's probability that the query
shows y, and of the model's own confidence is at least `tau`, y is kept (one class asked). Else every candidate c is
asked about and the one of the highest V(c) is the label. V(c) is a mean over `retrieve` exemplars, so that a query
costs at most `top_n` x `retrieve` calls.

Candidates are true classes that are mistaken for y by the transition matrix of a labelled support set, exemplars are
drawn from the same set; `_diagnosis.py` has both with the rules of paper and code, `_prompts.py` what is asked,
`_verifiers.py` and `_vlm.py` who answers, `_support.py` what is read. `shifted: false`: the support set is clean, or
the data set is a shift itself.

Logits are the vision model's, the label's exchanged with the highest: confidence stays what it was. Features are a row
of what was asked for each sample, float32, in the order of `columns`: candidates (classes of the model, -1: none), V of
each (-1: not asked), whether y was kept early, calls. Labels of queries are not looked at.

Source: Huang et al., "Machine Vision Therapy: Multimodal Large Language Models Can Enhance Visual Robustness via
Denoising In-Context Learning", ICML 2024, arXiv:2312.02546, sections 3.1 to 3.3; `dicl.py` of its repository. Differs:
where y has no exemplars it is no candidate and not kept early; the code compares other text with it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.systems.machine_vision_therapy.methods import _diagnosis, _prompts, _support, _verifiers, _vlm
from shiftbench.systems.machine_vision_therapy.methods._support import Ward

Floats = NDArray[np.float64]

SEES = "sample"
TASKS = ("classification",)
ANSWERS = Path(__file__).parents[1] / "recorded"
ASSETS = ("../recorded/smollm2_135m.jsonl",)
VERIFIERS = ("features", "language", "vlm")


class Options(_support.Options):
    path: str = Field("", description="released transition matrix; empty: that of the support set")
    candidates: Literal["transition", "logits"] = Field(
        "transition", description="what suggests candidates: the transition matrix, or the vision model's logits"
    )
    top_n: int = Field(6, ge=1, description="candidates of a query")
    retrieval: Literal["absolute", "signed", "similarity"] = Field(
        "absolute", description="how exemplars are chosen: by distance in confidence (`_diagnosis`), or by features"
    )
    retrieve: int = Field(3, ge=1, description="exemplars of a candidate")
    tau: float = Field(0.6, ge=0, description="threshold for keeping a prediction; 0: keep all; above 1: ask about all")
    asks: Literal["features", "language", "vlm"] = Field(
        "features", description="verifier: features, a language model without vision, or one with"
    )
    scale: float = Field(10.0, gt=0, description="scale of the cosines of features")
    words: Literal["imagenet", "iwildcam", "mnist", "spawrious"] = Field("imagenet", description="words of the prompts")
    llm: str = Field("smollm2_135m", description="language model without vision, one of `sources` or `endpoint:NAME`")
    vlm: str = Field("", description="vision-language model, by its name on the Hugging Face hub or its folder")
    revision: str = Field("", description="revision of `vlm` on the hub; empty: a local folder")
    precision: Literal["bfloat16", "float16", "float32"] = Field("bfloat16", description="precision of `vlm`")
    device: str = Field("cpu", description="device of `vlm`: cpu or cuda")
    options: list[str] = Field(
        ["True", "False"], min_length=2, max_length=2, description="answers of `vlm`: yes and no"
    )
    answers: str = Field("", description="folder for the answers of `vlm`")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The needs of `_support`.

    Raises:
        ParamsError: `asks` is no verifier, or one that lacks an option.
    """
    if params["asks"] not in VERIFIERS:
        raise ParamsError(f"asks is {params['asks']!r}; {suggest(params['asks'], VERIFIERS)}")
    if params["asks"] == "vlm" and not (params["vlm"] and params["answers"]):
        raise ParamsError("asks: vlm takes `vlm`, a model's name, and `answers`, a folder for its answers")
    if params["words"] not in _prompts.WORDS:
        raise ParamsError(f"words is {params['words']!r}; {suggest(params['words'], _prompts.WORDS)}")
    return _support.needs(params, images=params["asks"] != "features")


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[client.Request]:
    """All possible questions to a language model without vision: each class about each prediction."""
    if params["asks"] != "language":
        return []
    (*_, names), words = _support.classes(params, inputs), _prompts.WORDS[params["words"]]
    return [_verifiers.request(hat, one, words) for hat in names for one in names]


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Therapy:
    """The therapy; the predictor is not called, its records are read."""
    return Therapy(params)


def columns(top: int) -> list[str]:
    """Names of a sample's features.

    Example:
        >>> columns(2)
        ['candidate_1', 'candidate_2', 'v_1', 'v_2', 'early', 'calls']
    """
    names = [f"{kind}_{at}" for kind in ("candidate", "v") for at in range(1, top + 1)]
    return [*names, "early", "calls"]


@dataclass(frozen=True)
class Case:
    """Outcome of one query; classes are positions in `allowed`.

    Attributes:
        hat: the vision model's prediction.
        labels: the candidates.
        v: V of each; NaN where it was not asked.
        early: whether the prediction was kept unasked.
        calls: to the verifier.
        label: the denoised label.
    """

    hat: int
    labels: list[int]
    v: Floats
    early: bool
    calls: int
    label: int


class Therapy:
    """Looks at each sample's records and asks the verifier.

    Args:
        params: see Options.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._ward: Ward | None = None

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a condition: read its records, draw the support set, estimate the matrix."""
        params, self._ward = self._params, _support.ward(self._params, inputs)
        size = len(self._ward.allowed)
        self.matrix = (
            _diagnosis.read_matrix(Path(params["path"]), size)
            if params["path"]
            else _diagnosis.transition(self._ward.p, self._ward.labels)
        )
        self._verify = verifier(self._ward, params)

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[np.float32]]:
        """`logits` (n, C) and `features` (n, 2 top_n + 2)."""
        ward = self._the_ward()
        cases = self.cases(samples)
        logits = ward.queries.logits[ward.queries.rows(samples)].copy()
        for row, case in zip(logits, cases, strict=True):
            own, other = ward.allowed[case.hat], ward.allowed[case.label]
            if own != other:
                row[own], row[other] = row[other], np.nextafter(row[own], np.float32(np.inf))
        rows = [_row(case, ward.allowed, self._params["top_n"]) for case in cases]
        return {"logits": logits, "features": np.array(rows, dtype=np.float32)}

    def cases(self, samples: Sequence[Sample]) -> list[Case]:
        """The outcome of queries."""
        p = self._the_ward().probabilities(samples)
        vectors = self._alike(samples)
        plans = [self._plan(at, row, None if vectors is None else vectors[at]) for at, row in enumerate(p)]
        first = self._ask(samples, [plan.first for plan in plans])
        sure = p.max(axis=1)
        early = [
            bool(plan.first) and (v.mean() + own) / 2 >= self._params["tau"]
            for plan, v, own in zip(plans, first, sure, strict=True)
        ]
        rest = self._ask(samples, [[] if kept else plan.rest for plan, kept in zip(plans, early, strict=True)])
        return [
            plan.case(one, other, kept=kept) for plan, one, other, kept in zip(plans, first, rest, early, strict=True)
        ]

    def _the_ward(self) -> Ward:
        assert self._ward is not None, "`at` is called before any sample"  # noqa: S101
        return self._ward

    def _alike(self, samples: Sequence[Sample]) -> Floats | None:
        """Cosines of queries with the support set in the vision model's features; None: not asked for."""
        ward = self._the_ward()
        if ward.vision_features is None or ward.queries.features is None:
            return None
        own = ward.queries.features[ward.queries.rows(samples)]
        cosines: Floats = _verifiers.unit(own) @ _verifiers.unit(ward.vision_features).T
        return cosines

    def _plan(self, at: int, p: Floats, alike: Floats | None) -> Plan:
        params, ward = self._params, self._the_ward()
        hat = int(p.argmax())
        classes = set(ward.labels.tolist())
        labels = _diagnosis.candidates(self.matrix, p, classes, params["top_n"], params["candidates"])
        exemplars = []
        for label in labels:
            own = np.flatnonzero(ward.labels == label)
            best = _diagnosis.retrieve(
                ward.p[own], hat, p[hat], params["retrieve"], params["retrieval"],
                None if alike is None else alike[own],
            )  # fmt: skip
            exemplars.append(own[best].tolist())
        questions = [list(_prompts.asks(at, hat, labels, exemplars, one)) for one in range(len(labels))]
        return Plan(hat, labels, questions)

    def _ask(self, samples: Sequence[Sample], questions: list[list[_prompts.Ask]]) -> list[Floats]:
        """P(True) of each question of each query."""
        flat = [ask for own in questions for ask in own]
        probabilities = self._verify(samples, flat) if flat else np.zeros(0)
        ends = np.cumsum([len(own) for own in questions])
        return np.split(probabilities, ends[:-1])


@dataclass(frozen=True)
class Plan:
    """Questions about one query: for each candidate a list, one question for each exemplar."""

    hat: int
    labels: list[int]
    questions: list[list[_prompts.Ask]]

    @property
    def first(self) -> list[_prompts.Ask]:
        """Questions about the prediction; none if it has no exemplars."""
        return self.questions[0] if self.labels[:1] == [self.hat] else []

    @property
    def rest(self) -> list[_prompts.Ask]:
        """Questions about the other candidates."""
        others = self.questions[1:] if self.first else self.questions
        return [ask for own in others for ask in own]

    def case(self, first: Floats, rest: Floats, *, kept: bool) -> Case:
        """The outcome, given P(True) of each question."""
        v = np.full(len(self.labels), np.nan)
        if len(first):
            v[0] = first.mean()
        if len(rest):
            others = [at for at in range(len(self.labels)) if at or not len(first)]
            ends = np.cumsum([len(self.questions[at]) for at in others])
            v[others] = [own.mean() for own in np.split(rest, ends[:-1])]
        best = self.hat if kept or np.isnan(v).all() else self.labels[int(np.nanargmax(v))]
        return Case(self.hat, self.labels, v, kept, len(first) + len(rest), best)


def verifier(ward: Ward, params: Mapping[str, Any]) -> _verifiers.Verifier:
    """The verifier of a condition."""
    words = _prompts.WORDS[params["words"]]
    if params["asks"] == "features":
        outputs, support = ward.verifier, ward.verifier_features
        if outputs is None or outputs.features is None or support is None:
            raise ParamsError("asks: features takes a verifier's features; name its weights under `verifier`")
        features = outputs.features
        return _verifiers.Features(lambda samples: features[outputs.rows(samples)], support, params["scale"])
    if params["asks"] == "language":
        answers, command = answer_cache.Answers(ANSWERS), "shiftbench answers --config SCALE"
        answer = client.Cached(answers, client.identity(params["llm"]), command=command)
        return _verifiers.Language(answer, ward.names, words)
    identity = params["vlm"], params["revision"], params["precision"]
    return _vlm.Vlm(
        _vlm.identity(*identity), lambda: _vlm.Transformers(*identity, params["device"]),
        Path(params["answers"]).expanduser(), ward.names, ward.images(), words,
        (params["options"][0], params["options"][1]),
    )  # fmt: skip


def _row(case: Case, allowed: NDArray[np.int64], top: int) -> list[float]:
    absent = [-1.0] * (top - len(case.labels))
    classes = [float(allowed[label]) for label in case.labels]
    scores = np.nan_to_num(case.v, nan=-1.0).tolist()
    return [*classes, *absent, *scores, *absent, float(case.early), float(case.calls)]
