"""Another phrasing of which of two is nearer: paraphrase, antonym, negation, antonym with the options reordered.

`form: words` has the severities 1 to 4 of `datasets/_questions.py`; an antonym or a negation makes the other of the two
options right, the reordered ones change places in the text. `form: official` has severity 2 alone and is the paper's
evaluation, to the letter: "Which object is closer to" becomes "Which object is far away from", and A and B change
places in the gold answer; image and options stay as they are. Severity 0 is the sample as it is.

Applied twice, a severity gives back question and gold answer. A question without the trigger is never kept silently:
`untriggered: error` refuses it, `mark` leaves it as it is in the group `no trigger`, so that tables show how many there
are and what they count. Takes no random words.

Source: Yvonne511/spatial-vlm-investigator, model/pali_cvbench_eval_check.ipynb, `change_prompt` and `change_answer`.
Differs: the released replacement goes one way; of a question that it does not fit it leaves the words and still
exchanges A and B.
"""

from typing import Annotated, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions

FIELD = None
TASK = "free_text"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 4.0)
Form = Annotated[
    Literal["words", "official"], Field(description="our phrasings, or the paper's replacement to the letter")
]
Untriggered = Annotated[
    Literal["error", "mark"],
    Field(description="refuse a question without the trigger, or keep it in the group `no trigger`"),
]
FORMS = {"words": (1, 2, 3, 4), "official": (2,)}
"""Severities of each form."""
UNTRIGGERED = ("error", "mark")
NO_TRIGGER, LETTERS = "no trigger", ("A", "B")


def apply(
    sample: Sample, severity: float, rng: RandomStream, *, form: Form = "words", untriggered: Untriggered = "error"
) -> Sample:
    """The sample in another phrasing.

    Args:
        sample: `text` with two lettered options, and in its `meta` the `choices` and the letter that is the `answer`.
        severity: a whole one of the form; 0 changes nothing.
        rng: not used.
        form: one of FORMS.
        untriggered: what becomes of a question without the trigger.

    Raises:
        RangeError: no severity of this form.
        ParamsError: another form, or another `untriggered`.
        DataError: no question of two options, or one without the trigger.
    """
    _levels.check(__name__, severity, RANGE)
    for name, option, allowed in (("form", form, tuple(FORMS)), ("untriggered", untriggered, UNTRIGGERED)):
        if option not in allowed:
            raise ParamsError(f"question_phrasing: {name} is {option!r}; {suggest(option, allowed)}")
    if severity not in (0, *FORMS[form]):
        raise RangeError(
            f"shift 'question_phrasing': severity {severity:g} is none of form {form!r}; expected "
            f"{', '.join(map(str, FORMS[form]))}"
        )
    meta = getattr(sample, "fields", {}).get("meta") or {}  # `corrupt` may be given anything
    if "answer" not in meta:
        raise DataError("this takes a whole Sample with a question and its answer; there is none")
    if not severity:
        return sample
    phrase = _questions.OFFICIAL if form == "official" else _questions.PHRASES[int(severity)]
    text = _swapped(sample.fields["text"], phrase)
    if text is None:
        return _without(sample, phrase, untriggered)
    return _rewritten(sample, text, phrase, int(severity))


def _swapped(text: str, phrase: str) -> str | None:
    """A text with trigger and phrase exchanged; None if it has neither."""
    for old, new in ((_questions.TRIGGER, phrase), (phrase, _questions.TRIGGER)):
        if old in text:
            return text.replace(old, new)
    return None


def _without(sample: Sample, phrase: str, untriggered: str) -> Sample:
    text = sample.fields["text"]
    if untriggered == "error":
        raise DataError(
            f"{text[:80]!r} has neither {_questions.TRIGGER!r} nor {phrase!r}; leave such questions out of the "
            "dataset, or have them marked by `untriggered: mark`"
        )
    return sample.with_field("meta", {**sample.fields["meta"], "group": NO_TRIGGER})


def _rewritten(sample: Sample, text: str, phrase: str, severity: int) -> Sample:
    """The sample with its new text, and the answer and options that go with it."""
    meta = dict(sample.fields["meta"])
    choices = list(meta.get("choices", ()))
    if len(choices) != 2:
        raise DataError(f"{text[:80]!r} has {len(choices)} options; a phrasing is turned between two of them")
    if meta["answer"] not in LETTERS:
        raise DataError(f"the answer is {meta['answer']!r}; expected one of the letters A and B")
    turns = severity in _questions.TURNING
    if severity == 4:
        text, meta["choices"] = _reordered(text, choices), choices[::-1]
        turns = not turns  # the other option is right, and comes to where the first one was
    if turns:
        meta["answer"] = LETTERS[1 - LETTERS.index(meta["answer"])]
    if "question" in meta:  # prompts of the released form are made of question and options
        meta["question"] = _swapped(meta["question"], phrase) or meta["question"]
    if "completions" in meta:
        meta["completions"] = [meta["answer"]]
    return Sample(sample.key, {**sample.fields, "text": text, "meta": meta})


def _reordered(text: str, choices: list[str]) -> str:
    """A text in which the two options behind (A) and (B) have changed places."""
    first, second = choices
    form = "(A) {}\n(B) {}"
    if form.format(first, second) in text:
        return text.replace(form.format(first, second), form.format(second, first))
    raise DataError(f"{text[:80]!r} does not end in its options {first!r} and {second!r}")
