r"""A scene graph out of a reply, and an answer out of another: what two-call prompting reads.

`paper`, in this order: the last fenced code block; the last object in braces, nested ones whole; what stands between
<code> and </code>; else the whole reply. `released`, the official script's: the last fenced block, the whole reply, the
last object of the regular expression `({[\s\S]*?})(?:\s*$|\n)`, what follows the last "Scene Graph:", each only if it
is JSON; else "{}".

An answer stands between <answer> tags, else it is a letter in brackets, else the whole reply, without white space
around it (`answer`); a model that writes graph and answer in one sample puts a mark between them.

Source: section III-C of the paper; Yvonne511/spatial-vlm-investigator, CoT/CV_Bench_Kluster_Batch_Scene_graph.py,
`extract_json_from_response` and `extract_answer`.
"""

import json
import re

from shiftbench.base.errors import ParamsError, suggest

RULES = ("paper", "released")
_FENCED = re.compile(r"```(?:json)?\s*([\s\S]*?)\s*```", re.IGNORECASE)
_CODE = re.compile(r"<code>\s*([\s\S]*?)\s*</code>", re.IGNORECASE)
_OBJECT = re.compile(r"({[\s\S]*?})(?:\s*$|\n)")
_LABEL = re.compile(r"Scene Graph:?\s*([\s\S]*)", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.IGNORECASE)
_LETTER = re.compile(r"\(([A-D])\)")


def extracted(reply: str, rule: str = "paper") -> str:
    """Return the scene graph of a reply.

    Raises:
        ParamsError: another rule.
    """
    if rule not in RULES:
        raise ParamsError(f"graph_rule is {rule!r}; {suggest(rule, RULES)}")
    return _by_paper(reply) if rule == "paper" else _by_script(reply)


def _by_paper(reply: str) -> str:
    for found in (_FENCED.findall(reply), _in_braces(reply), _CODE.findall(reply)):
        if found:
            return str(found[-1]).strip()
    return reply


def _in_braces(reply: str) -> list[str]:
    """Return the objects in braces that are not inside of another."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(reply):
        if letter == "{":
            start = start if depth else at
            depth += 1
        elif letter == "}" and depth:
            depth -= 1
            if not depth:
                found.append(reply[start : at + 1])
    return found


def _by_script(reply: str) -> str:
    parts = [
        *(text.strip() for text in _FENCED.findall(reply)[-1:]),
        reply,
        *_OBJECT.findall(reply)[-1:],
        *(text.strip() for text in _LABEL.findall(reply)[-1:]),
    ]
    return next((part for part in parts if _is_json(part)), "{}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def answer(reply: str, mark: str = "") -> str:
    """Return the answer of a reply.

    Args:
        reply: what a model wrote.
        mark: a word between a graph and the answer; what is behind the last one counts, where it is there.
    """
    if mark and mark in reply:
        reply = reply.rpartition(mark)[2]
    for form in (_ANSWER, _LETTER):
        if found := form.search(reply):
            return found[1].strip()
    return reply.strip()
