"""SmolLM2-135M-Instruct as a judge: it chooses the body with the highest mean log-probability per token.

It chooses among the right body, four bodies of other problems and three mutants. shiftbench then runs the choice.
Mutants change one thing: an operator (`+` to `-`, `<` to `<=`), a number (by one), or the end of a `range` (by one).
Scores are recorded by content in `recorded/recode/`. The prompt has no chat template.

Source: Ben Allal et al. 2025, https://arxiv.org/abs/2502.02737 (the model); scoring answers by likelihood as in
Brown et al. 2020, https://arxiv.org/abs/2005.14165, section 2.4; the usual mutation operators (Jia and Harman, IEEE
TSE 2011), on the syntax tree. Checkpoint: `retrieval_index`.
"""

import ast
import copy
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.plugins import declare
from shiftbench.systems.recode.models import _bodies

TASK = "generation"
ANSWERS = Path(__file__).parents[1] / "recorded"
"""No asset: what stands under a key never changes, and `generate` writes there while it runs."""
Score = Callable[[str, Sequence[str]], list[float]]
Edit = tuple[ast.expr, str]
"""An expression of a body, and its replacement."""
OTHERS, MUTANTS = 4, 3
"""Numbers of bodies to choose from, in addition to the right one."""
_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


class Options(declare.Options):
    llm: str = Field("smollm2_135m", description="language model that scores the bodies")
    tokens: int = Field(64, ge=1, description="first tokens of a body that count")
    generate: bool = Field(False, description="run the model for scores that are not recorded")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The language model, if it runs."""
    return [refs.sources(params["llm"])] if params["generate"] else []


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor.

    Raises:
        ModelError: the weights hold no problems.
        DataError: scores are not recorded, when it is called.
    """
    problems = _bodies.unpacked(weights)
    record = answer_cache.Answers(ANSWERS)
    scorers: list[Score] = []

    def log_probabilities(prompt: str, bodies: list[str]) -> list[float]:
        key = _key(params, prompt, bodies)
        answer = record.get(key)
        if answer is None:
            if not params["generate"]:
                raise DataError(
                    f"{record.file(key.model)} holds no scores of a prompt that begins {prompt[:60]!r}; "
                    "set the model's option `generate` to add them"
                )
            if not scorers:
                folder = inputs[refs.sources(params["llm"])].parent
                scorers.append(scorer(params["llm"], folder, params["tokens"]))
            answer = json.dumps([round(score, 6) for score in scorers[0](prompt, bodies)])
            record.put(key, answer)
        scores: list[float] = json.loads(answer)
        return scores

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        completions = np.empty(len(samples), dtype=object)
        for number, sample in enumerate(samples):
            bodies = choices(sample, problems)
            completions[number] = (bodies[int(np.argmax(log_probabilities(sample.fields["text"], bodies)))],)
        return {"completions": completions}

    return predict


def _key(params: Mapping[str, Any], prompt: str, bodies: list[str]) -> answer_cache.Key:
    decoding: dict[str, int | str] = {"score": "mean_log_probability", "tokens": params["tokens"]}
    return answer_cache.Key(client.identity(params["llm"]), "plain", decoding, 0, json.dumps([prompt, bodies]))


def scorer(name: str, folder: Path, most: int) -> Score:
    """Function of a prompt and texts: the mean log-probability per token of each text after the prompt.

    Args:
        name: source of the model.
        folder: its files.
        most: tokens of a text that count.
    """
    import torch

    from shiftbench.evaluation.llm import local_model

    tokens, model = local_model.load(folder)
    parameters = inspect.signature(model.forward).parameters
    past = "cache" if "cache" in parameters else "past_key_values"  # as its version says

    def score(prompt: str, bodies: Sequence[str]) -> list[float]:
        head = tokens(prompt, add_special_tokens=False)["input_ids"]
        tails = [tokens(body, add_special_tokens=False)["input_ids"][:most] or [0] for body in bodies]
        width = max(map(len, tails))
        with torch.inference_mode():
            shared = model(input_ids=torch.tensor([head]), use_cache=True, logits_to_keep=1)
            cache = shared.past_key_values
            cache.batch_repeat_interleave(len(tails))
            rows = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails])
            places = torch.arange(len(head), len(head) + width).expand(len(tails), -1)
            outputs = model(input_ids=rows, position_ids=places, **{past: cache})
            first = shared.logits[:, -1:].expand(len(tails), -1, -1)
            logs = torch.cat([first, outputs.logits[:, :-1]], 1).log_softmax(-1)
            each = logs.gather(-1, rows[..., None])[..., 0]
        return [float(row[: len(tail)].mean()) for row, tail in zip(each, tails, strict=True)]

    return score


def choices(sample: Sample, problems: Sequence[_bodies.Problem]) -> list[str]:
    """Bodies that may follow a prompt, the right one first; the others depend on the problem, not on its prompt."""
    meta = sample.fields["meta"]
    rng = RandomStream(0, "choices", "generation", meta["task_id"])
    right = meta["canonical_solution"]
    order = [problems[int(number)] for number in rng.choice(len(problems))]
    others = [
        _bodies.fitted(problem, sample)
        for problem in order
        if _problem_number(problem.key) != _problem_number(sample.key)
    ]
    bodies = [right, *others[:OTHERS], *mutants(sample.fields["text"], right)[:MUTANTS]]
    return list(dict.fromkeys(bodies))


def _problem_number(key: str) -> str:
    return key.rpartition("/")[2]


def mutants(prompt: str, body: str) -> list[str]:
    """Mutants of a body, one of each kind first; none if the program is not valid Python."""
    try:
        tree = ast.parse(prompt + body)
    except SyntaxError:
        return []
    lines = prompt.count("\n")
    kinds = [list(dict.fromkeys(_edited(prompt, body, edits))) for edits in _mutations(tree, lines)]
    mixed = [bodies[number] for number in range(max(map(len, kinds))) for bodies in kinds if number < len(bodies)]
    return [mutant for mutant in dict.fromkeys(mixed) if mutant != body]


def _mutations(tree: ast.Module, lines: int) -> Iterator[list[Edit]]:
    """Yield the edits of each kind."""
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr) and n.lineno > lines]
    yield [edit for node in nodes for edit in _operator(node)]
    numbers = (n for n in nodes if isinstance(n, ast.Constant) and type(n.value) is int)
    yield [(node, str(node.value + 1)) for node in numbers]  # type: ignore[operator]
    calls = (n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "range")
    yield [(call.args[-1], f"{ast.unparse(call.args[-1])} - 1") for call in calls if call.args]


def _operator(node: ast.expr) -> Iterator[Edit]:
    mutant = copy.deepcopy(node)
    if isinstance(mutant, ast.BinOp | ast.BoolOp) and type(mutant.op) in _OPERATORS:
        mutant.op = _OPERATORS[type(mutant.op)]()  # type: ignore[assignment]
    elif isinstance(mutant, ast.Compare) and type(mutant.ops[0]) in _OPERATORS:
        mutant.ops[0] = _OPERATORS[type(mutant.ops[0])]()  # type: ignore[call-overload]
    else:
        return
    yield node, f"({ast.unparse(mutant)})"


def _edited(prompt: str, body: str, edits: Sequence[Edit]) -> Iterator[str]:
    """Yield the body after each edit of an expression on one line."""
    lines = (prompt + body).splitlines(keepends=True)
    for node, new in edits:
        if node.end_lineno == node.lineno and node.end_col_offset is not None:
            line = lines[node.lineno - 1].encode()
            edited_line = line[: node.col_offset] + new.encode() + line[node.end_col_offset :]
            edited_lines = [*lines[: node.lineno - 1], edited_line.decode(), *lines[node.lineno :]]
            yield "".join(edited_lines)[len(prompt) :]
