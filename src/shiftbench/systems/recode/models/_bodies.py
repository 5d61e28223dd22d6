"""Problems with their solutions, as the weights of models that look solutions up; how a body fits a prompt."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets

_NAME = "problems.json"


@dataclass(frozen=True, slots=True)
class Problem:
    """A clean problem: its prompt, the name of its function, and what follows the prompt."""

    key: str
    prompt: str
    entry: str
    body: str


def packed(samples: Sequence[Sample]) -> nets.State:
    """Problems as a state dict: one tensor of JSON, uint8."""
    rows = [asdict(_problem(sample)) for sample in samples]
    data = json.dumps(rows, sort_keys=True).encode()
    return {_NAME: torch.from_numpy(np.frombuffer(data, np.uint8).copy())}


def _problem(sample: Sample) -> Problem:
    meta = sample.fields["meta"]
    return Problem(sample.key, sample.fields["text"], meta["entry_point"], meta["canonical_solution"])


def unpacked(weights: Path) -> list[Problem]:
    """The problems of a checkpoint.

    Raises:
        ModelError: it holds none.
    """
    state = nets.read_state(weights)
    if _NAME not in state:
        raise ModelError(f"{weights} holds no problems; make it with the trainer `retrieval_index`")
    return [Problem(**row) for row in json.loads(state[_NAME].numpy().tobytes())]


def fitted(problem: Problem, sample: Sample) -> str:
    """The body of a problem as a prompt would go on: with its function's name, and tabs where it has tabs."""
    entry = sample.fields["meta"]["entry_point"]
    body = re.sub(rf"(?<!\w){re.escape(problem.entry)}(?!\w)", entry, problem.body)
    return tabbed(body) if "\n\t" in sample.fields["text"] else body


def tabbed(body: str) -> str:
    """A body with tabs for four spaces of indentation."""
    return re.sub(r"(?m)^(?: {4})+", lambda match: "\t" * (len(match.group()) // 4), body)


def docstring(prompt: str, entry: str) -> str:
    """The prose of a prompt: the docstring of its function, or the comments that stand for it.

    Without closing quotes a docstring goes to the prompt's end: word perturbations of the released files tear them.
    """
    head = re.search(rf"(?m)^[ \t]*(?:async )?def {re.escape(entry)}\b", prompt)
    code = prompt[head.start() :] if head else prompt
    match = re.search(r"(\"\"\"|\'\'\')(.*?)(?:\1|[\s\"\']*\Z)", code, re.DOTALL)
    if match:
        return match.group(2)
    return "\n".join(re.findall(r"(?m)^[ \t]*#[ \t]?(.*)$", code))
