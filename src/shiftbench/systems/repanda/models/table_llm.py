"""A language model that is asked about a table: for a query, which is run and sent back if it fails, or the answer.

    q = model(header, rows as `#`-CSV, caption, claim)
    up to `rounds` times, while it fails: q = model(the same, q, its error)

Answers are recorded
(`recorded/MODEL.jsonl`), nothing is generated here. `shiftbench answers --config SCALE` asks what is missing: the first
time for queries, each further time for one more repair of those that fail. No request holds a label.

Source: RePanda, arXiv 2503.11921 (at most four rounds of error correction at inference; ZeroShot-Pandas and
ZeroShot-Direct are an untuned model, asked in the two ways). Differs: the paper's prompts were not found, these are
ours. Weights: `pretrained`, of which nothing is read.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import tables
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.plugins import declare
from shiftbench.systems.repanda.models import _execution, table_grammar
from shiftbench.systems.repanda.models._execution import Said, Verdict

TASK = "table_question"
ANSWERS = Path(__file__).parents[1] / "recorded"
ASSETS = ("../recorded/smollm2_135m.jsonl",)
TABLE = "A table, cells between #, the first line has the names of its columns:\n\n{caption}\n{table}\n\n"
CLAIM = {
    "query": "It is the pandas DataFrame `df`. Write one pandas expression that is True if this statement is true of "
    "the table, else False. Answer with the expression alone.\n\nStatement: {text}",
    "direct": "Is this statement true of the table? Answer with one word, True or False.\n\nStatement: {text}",
}
QUESTION = {
    "query": "It is the pandas DataFrame `df`. Write one pandas expression that gives the answer to this question. "
    "Answer with the expression alone.\n\nQuestion: {text}",
    "direct": "Answer this question by the table, several answers with | between them and nothing else.\n\n"
    "Question: {text}",
}
REPAIR = "This expression fails: {error}\nWrite another one. Answer with the expression alone."
OPENING = {"query": "```python\n", "direct": ""}
WORDS = {"true": True, "yes": True, "false": False, "no": False}
TEMPLATE = hashlib.sha256(repr((TABLE, CLAIM, QUESTION, REPAIR, OPENING)).encode()).hexdigest()[:12]
Recall = Callable[[client.Request], str | None]
"""Gives the answer to a request; None: there is none yet."""
pretrained = table_grammar.pretrained


class Options(declare.Options):
    llm: str = Field("smollm2_135m", description="language model that is asked")
    ask: Literal["query", "direct"] = Field(
        "query", description="ask for a query, which is run, or for the answer itself"
    )
    rounds: int = Field(4, ge=0, description="repairs of a query that fails, at most")
    max_new_tokens: int = Field(96, ge=1, description="tokens of a reply at most")


def asks(samples: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> list[client.Request]:
    """Requests for samples, as far as recorded answers give them: a repair follows from a query that fails.

    Raises:
        ParamsError: no such way to ask.
        SandboxError: recorded queries cannot be run here.
    """
    answers, model = answer_cache.Answers(ANSWERS), client.identity(params["llm"])
    requests: list[client.Request] = []

    def recall(request: client.Request) -> str | None:
        requests.append(request)
        return answers.get(request.key(model))

    for sample in samples:
        verdict(sample, params, recall)
    return requests


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `answers`, `queries`, `status` and `rounds`.

    Raises:
        DataError: an answer is not recorded, when it is called.
    """
    answers = answer_cache.Answers(ANSWERS)
    command = "shiftbench answers --config SCALE"
    recorded = client.Cached(answers, client.identity(params["llm"]), command=command)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        verdicts = [verdict(sample, params, lambda request: recorded([request])[0]) for sample in samples]
        return _execution.outputs(verdicts)

    return predict


def verdict(sample: Sample, params: Mapping[str, Any], recall: Recall) -> Verdict:
    """The verdict on a claim, or the answer to a question, as far as answers are recorded.

    Raises:
        ParamsError: no such way to ask.
        SandboxError: nothing can be run here.
    """
    answer = recall(request(sample, params))
    if params["ask"] == "direct":
        return Verdict(None if answer is None else word(answer, sample), None, None, None)
    if answer is None:
        return Verdict(None, None, None, None)
    attempts = iter(range(params["rounds"]))

    def repair(failed: str, error: str) -> str | None:
        better = None if next(attempts, None) is None else recall(request(sample, params, failed, error))
        return None if better is None else cut(better)

    return _execution.executed(
        cut(answer), tables.typed_columns(sample.fields["table"]), repair, _execution.reader(sample)
    )


def request(sample: Sample, params: Mapping[str, Any], failed: str = "", error: str = "") -> client.Request:
    """Request for a sample; with a query that failed, request for another one.

    Raises:
        ParamsError: no such way to ask.
    """
    way, table = params["ask"], sample.fields["table"]
    if way not in OPENING:
        raise ParamsError(f"ask is {way!r} ({suggest(str(way), OPENING)})")
    question = (CLAIM if _execution.is_claim(sample) else QUESTION)[way]
    text = TABLE.format(caption=table["caption"], table=tables.as_text(table))
    turns = [("user", text + question.format(text=sample.fields["text"]))]
    if failed:
        turns.append(("assistant", f"{OPENING[way]}{failed}\n```"))
        turns.append(("user", REPAIR.format(error=error)))
    opening = [("assistant", OPENING[way])] if OPENING[way] else []
    decoding = {"temperature": 0.0, "max_new_tokens": params["max_new_tokens"], "stop": "```"}
    return client.Request((*turns, *opening), TEMPLATE, decoding)


def cut(text: str) -> str:
    r"""The query in an answer, without the fence around it.

    Example:
        >>> cut("```python\ndf['a'].max() == 3\n```\nIt is so.")
        "df['a'].max() == 3"
    """
    return re.sub(r"^\s*```(?:python)?\n", "", text).partition("```")[0].strip()


def word(text: str, sample: Sample) -> Said | None:
    """A direct answer: to a claim its first word, if it is one of WORDS; to a question its texts."""
    if _execution.is_claim(sample):
        first = re.search(r"[a-z]+", text.casefold())
        return WORDS.get(first[0]) if first else None
    return [one.strip() for one in text.split("|")]
