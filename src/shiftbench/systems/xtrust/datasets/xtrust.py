"""Items of the official repository, from a clone of the user's: all ten languages of a task, parallel by row.

    path   data: items as they were released (data/val_LANGUAGE/TASK/TASK_val.csv), or
           code/api/evaluator_series/logs_MODEL-api: items as the newest zero-shot run of that model was asked
           them, which is what its logs answer: the released OOD items of French, German, Italian, Portuguese and
           Spanish are others than those that were run
    task   OOD, Mental_Health, Physical_Health, Illegal_activity, Hallucination

Languages have as many items as the shortest; a sample is stated in the language `first`, `meta.translations` holds
it in all ten. Of OOD the wanted answer is `unknown`, of illegal activities `no`. In a run hallucination has the answer
that it was asked with (a coin without a seed: items of two languages are not the same); of the released items the
wrong answer is shown where the item's own coin says so.

Letters of options were translated with the rest: in the released answers a lone letter stands as UN in French and
Italian (alpha), and as a Cyrillic Be or Es in Russian (beta, gamma), so that the official scorer finds no letter there
and takes every answer to such an item for wrong, and no answer for right. `letters: repaired` (the default) reads them
as the letter, `official` as the class `none`.

Source: LluckyYH/XTRUST, Li et al. 2024, arXiv:2409.15762; no licence is stated, so nothing of it is here, and shards
stay local. The texts hold crimes and harm.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.xtrust.datasets import _catalogue
from shiftbench.systems.xtrust.datasets._catalogue import GREEK, LANGUAGES
from shiftbench.systems.xtrust.methods import _extraction
from shiftbench.systems.xtrust.models import _logs

TASK = "text_classification"
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
ASSETS = ("prompts.csv", "../methods/phrases.csv")
LICENCE = "none is stated; the user's own clone"
CITATION = "Li et al., XTRUST: On the Multilingual Trustworthiness of Large Language Models, arXiv:2409.15762, 2024"
REDISTRIBUTE = False
IN_ORDER = True
RESERVED = ("unknown", "both", "none")
LETTERS = {"UN": GREEK[0], "\N{CYRILLIC CAPITAL LETTER BE}": GREEK[1], "\N{CYRILLIC CAPITAL LETTER ES}": GREEK[2]}
"""Translations of lone Greek letters in the released files."""
_QUESTION = "{question}\n{answer}"


class Options(declare.Options):
    path: str = Field("", description="folder of a clone of LluckyYH/XTRUST with items or logs")
    task: Literal["OOD", "Mental_Health", "Physical_Health", "Illegal_activity", "Hallucination"] = Field(
        "OOD", description="task of the items"
    )
    first: str = Field("zh", description="language that samples are stated in")
    letters: Literal["repaired", "official"] = Field(
        "repaired", description="translated letters of options: read as the letter, or as no answer"
    )


@dataclass(frozen=True, slots=True)
class _Task:
    """Reading of a task: its options are those of `prompts`, `official` is its name in the official scorer."""

    prompts: str
    official: str
    label: str = ""


KINDS = {
    "OOD": _Task("statements", "OOD", "unknown"),
    "Mental_Health": _Task("choice", "Mental"),
    "Physical_Health": _Task("choice", "Physical"),
    "Illegal_activity": _Task("legality", "Illegal", "no"),
    "Hallucination": _Task("comparisons", "Hallucination"),
}
Row = Mapping[str, str]


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The classes of a task: RESERVED, then its options."""
    names = _catalogue.OPTIONS[_kind(params).prompts]
    return (*RESERVED, *(name for name in names if name not in RESERVED))


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide: path -> description."""
    return {str(params["path"]): "data, or logs of a model, of a clone of LluckyYH/XTRUST"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the items of a task in the order of the rows.

    Raises:
        ParamsError: no path, or no such task, language or way to read letters.
        DataError: a language has no items there, or an item has no label; names the file and the row.
    """
    kind = _kind(params)
    if not params["path"] or params["first"] not in LANGUAGES:
        raise ParamsError(
            f"xtrust: path is {params['path']!r} and first {params['first']!r}; expected a folder of a clone of "
            f"LluckyYH/XTRUST, and one of {', '.join(LANGUAGES)}"
        )
    folder = Path(params["path"]).expanduser()
    files = {language: _file(folder, language, params["task"]) for language in LANGUAGES}
    rows = {language: _rows(file) for language, file in files.items()}
    for number in range(min(map(len, rows.values()))):
        versions = {
            language: _item(language_rows[number], language, kind, params, f"{files[language]}, row {number}")
            for language, language_rows in rows.items()
        }
        first = versions[params["first"]]
        meta = {name: value for name, value in first.items() if name not in ("text", "label")}
        meta |= {"task": kind.prompts, "official": kind.official, "translations": versions}
        meta |= {"of": params["task"], "row": number}
        key = f"xtrust/{params['task'].lower()}/{number:04d}"
        yield Sample(key, {"text": first["text"], "label": first["label"], "meta": meta})


def _kind(params: Mapping[str, Any]) -> _Task:
    if params["task"] not in KINDS or params["letters"] not in ("repaired", "official"):
        raise ParamsError(
            f"xtrust: task is {params['task']!r} ({suggest(params['task'], KINDS)}) and letters {params['letters']!r}; "
            "expected repaired or official"
        )
    return KINDS[params["task"]]


def _file(folder: Path, language: str, task: str) -> Path:
    if folder.name.startswith("logs_"):
        return _logs.newest(folder, language, task, 0).file
    return folder / f"val_{_logs.FOLDERS[language]}" / task / f"{task}_val.csv"


def _rows(file: Path) -> list[Row]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected the layout of LluckyYH/XTRUST")
    csv.field_size_limit(_logs.LONGEST)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def _item(row: Row, language: str, kind: _Task, params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An item in a language, as `meta.translations` holds it."""
    text, answer = row.get("question") or "", kind.label
    if kind.prompts == "choice":
        answer = _letter(row.get("answer") or "", params["letters"], where)
    elif not answer:
        text, answer = _checked(row, language, where)
    if not text.strip():
        raise DataError(f"{where} has no question")
    names = _catalogue.OPTIONS[kind.prompts]
    return {
        "language": language,
        "text": text,
        "label": classes(dict(params), {}).index(answer),
        "instruction": "",
        "options": [[name, _catalogue.option(kind.prompts, language, name)] for name in names],
        "demonstrations": [],
    }


def _letter(answer: str, letters: str, where: str) -> str:
    """The class of an answer: a letter, what became of one, or (`official`) `none` for what is no letter."""
    letter = answer.strip()
    if letter in GREEK:
        return letter
    if letters == "official":
        return "none"
    if letter not in LETTERS:
        raise DataError(
            f"{where}: the answer is {answer!r}; expected a letter from alpha to delta, or what became of one"
        )
    return LETTERS[letter]


def _checked(row: Row, language: str, where: str) -> tuple[str, str]:
    """Question and answer of a hallucination item, and whether it hallucinates."""
    if "model_output" in row:
        reading = _extraction.table("comparisons", language).answer(row.get("answer") or "")
        if reading not in _catalogue.OPTIONS["comparisons"]:
            raise DataError(f"{where}: the answer is {row.get('answer')!r}; expected yes or no in {language}")
        return row["question"], reading
    is_wrong = bool(RandomStream(0, "hallucination", "xtrust", row["id"]).integers(0, 2))
    answer = row["hallucinated_answer" if is_wrong else "right_answer"]
    return _QUESTION.format(question=row["question"], answer=answer), "yes" if is_wrong else "no"
