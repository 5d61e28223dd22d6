"""Requests to a language model to rewrite a text, and the rewrite in its answer.

Source: O'Brien et al. 2024, arXiv:2402.08225, section 3 and the released prompts' blocks (the wording is ours).
Differs: tokens are counted as words and punctuation marks, so that recorded answers can be read without a tokeniser.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.llm.client import Request

STYLES = ("icr", "paraphrase")
SYSTEM = {
    "icr": (
        "Rewrite the input text as if it were one more of the examples. Keep what it says; details may change.\n"
        "Examples:\n{examples}"
    ),
    "paraphrase": "Say the input text in other words. Keep what it means; details may change.",
}
USER = {
    "icr": (
        "Input:\n{{{{{{{text}}}}}}}\nRewrite it in the words, tone and structure of the examples, with the same "
        "meaning. Answer with the rewritten text inside triple braces and nothing else."
    ),
    "paraphrase": (
        "Input:\n{{{{{{{text}}}}}}}\nRewrite it with the same meaning. "
        "Answer with the rewritten text inside triple braces and nothing else."
    ),
}
OPENING = "{{{"
STOP = "}}"
LONGEST = 500
"""Tokens of all examples together."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SPECIAL = re.compile(r"<\|.*?\|>|</?s>|###")
_QUOTES = "\"'\u201c\u201d\u2018\u2019`"


def template(style: str) -> str:
    """The hash of a style's template, 12 hexadecimal digits.

    Raises:
        ParamsError: no such style.
    """
    if style not in STYLES:
        raise ParamsError(f"style is {style!r}; {suggest(style, STYLES)}")
    whole = "\0".join((SYSTEM[style], USER[style], OPENING, STOP))
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def exemplars(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Random texts, each on one line and cut to its share of LONGEST tokens.

    Args:
        texts: of the training set, in a fixed order.
        count: how many; all where there are fewer.
        seed: of the draw.
    """
    size = min(count, len(texts))
    chosen = RandomStream(seed, "exemplars", "", "").choice(len(texts), size).tolist()
    return [_cut(" ".join(texts[at].split()), LONGEST // count) for at in chosen]


def _cut(text: str, tokens: int) -> str:
    ends = [match.end() for match in _TOKEN.finditer(text)]
    return text[: ends[tokens - 1]] if len(ends) > tokens else text


def requests(text: str, examples: Sequence[str], params: Mapping[str, Any]) -> Iterator[Request]:
    """Yield k requests to rewrite a text, which differ in their seed.

    Args:
        text: newlines become spaces.
        examples: for `icr`.
        params: `style`, `k`, `seed`, `temperature` and `longest`, tokens of an answer over those of the text.
    """
    plain, style = " ".join(text.split()), params["style"]
    bullets = "\n".join(f'- "{example}"' for example in examples)
    turns = (
        ("system", SYSTEM[style].format(examples=bullets) if style == "icr" else SYSTEM[style]),
        ("user", USER[style].format(text=plain)),
        ("assistant", OPENING),
    )
    limit = max(8, int(params["longest"] * len(_TOKEN.findall(plain))))
    decoding = {"temperature": params["temperature"], "max_new_tokens": limit, "stop": STOP}
    for number in range(params["k"]):
        yield Request(turns, template(style), decoding, params["seed"] * 1000 + number)


def clean(answer: str, text: str) -> str:
    """The rewrite in an answer, or the text itself where there is none.

    Newlines become spaces; special tokens, `###`, and the end of the braces with what follows are cut off; quotes and
    braces around it are dropped; of "Label: words" the words stay, unless a "://" is there.

    Example:
        >>> clean('{{{Rewritten: "It is fine."}}} Done', "ok"), clean("}}", "ok")
        ('It is fine.', 'ok')
    """
    plain = _SPECIAL.split(" ".join(answer.split()), maxsplit=1)[0].lstrip("{ ")
    plain = _bare(plain.split(STOP, maxsplit=1)[0])
    if ":" in plain and "://" not in plain:
        plain = _bare(plain.partition(":")[2])
    return plain or text


def _bare(text: str) -> str:
    return text.strip(" {}").strip(_QUOTES).strip()
