"""SAT from the hub's Parquet files, as the paper's recipe has it: one image, shuffled options, the answer in words.

The folder has `SAT_train.parquet`, `SAT_static.parquet`, `SAT_val.parquet` and `SAT_test.parquet`. Rows of several
images are left out after the first rows of train are taken, so that fewer remain. `group` is the type of question. By
`options`,

    words     "Answer in natural language. QUESTION Choose between the following options: a, b or c", the options in an
              order drawn by the key; the reference is the option's text
    letters   QUESTION, a blank line, and "A. a", "B. b", ... line by line in the file's order; the reference is a
              letter

Fine-tuning has words, the paper's prompting of large models letters. The latter's reported accuracies include rows of
two images, which are left out here: they are of another set of questions.

Source: Yvonne511/spatial-vlm-investigator, Dataset/SAT/process_dataset.py (`process_data`): columns image_bytes (a
list), question, answers (a list), correct_answer; CoT/SAT_kluster_batch.py (`letters`; it takes correct_answer for an
index, which is the option's text at the hub); question_type by the data set's card at the hub. Differs: the order
is ours (there Python's random, not seeded), and lists are read as lists, where the script splits their text at commas.
"""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _hub_files

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "MIT"
CITATION = "Ray et al., SAT: Spatial Aptitude Training for Multimodal Language Models, arXiv:2412.07755"
REDISTRIBUTE = False
IN_ORDER = True
LETTERS = string.ascii_uppercase
OPTIONS = ("words", "letters")
COLUMNS = ("image_bytes", "question", "answers", "question_type", "correct_answer")


class Options(declare.Options):
    path: str = Field("", description="folder of array/SAT with its Parquet files")
    first: int = Field(15000, ge=0, description="first rows of train that are read")
    options: Literal["words", "letters"] = Field("words", description="form of options and answers")
    files: dict[str, str] = Field(
        {"train": "SAT_train.parquet", "val": "SAT_val.parquet", "test": "SAT_test.parquet"},
        description="split -> its file",
    )


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide."""
    if not params["path"]:
        return {}
    return {str(Path(params["path"]).expanduser() / params["files"][split]): "SAT"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions about one image: `image` uint8 (h, w, 3), `text`, `meta`.

    Raises:
        ParamsError: no path, or other `options`.
        DataError: no file, or an answer that is no option; names the row.
    """
    if params["options"] not in OPTIONS:
        raise ParamsError(f"sat: options is {params['options']!r}; {suggest(params['options'], OPTIONS)}")
    (file,) = _hub_files.files(params["path"], params["files"][split])
    for number, row in enumerate(_hub_files.rows(file, COLUMNS)):
        if split == "train" and number >= params["first"]:
            break
        if len(row["image_bytes"]) == 1:
            key, where = f"{params['name']}/{split}/{number:06d}", f"{file}, row {number}"
            yield _sample(row, key, where, params["options"])


def _sample(row: dict[str, Any], key: str, where: str, options: str) -> Sample:
    answers, right = [str(option) for option in row["answers"]], str(row["correct_answer"])
    if right not in answers:
        raise DataError(f"{where}: the answer {right!r} is none of {answers}")
    question = str(row["question"])
    if options == "letters":
        lines = "\n".join(f"{LETTERS[index]}. {option}" for index, option in enumerate(answers))
        text, right = f"{question}\n\n{lines}", LETTERS[answers.index(right)]
    else:
        order = RandomStream(0, "options", "sat", key).choice(len(answers))
        answers = [answers[int(index)] for index in order]
        text = prompt(question, answers)
    meta = {
        "group": row["question_type"],
        "graders": ["exact" if options == "words" else "choice"],
        "answer": right,
        "choices": answers,
        "question": question,
        "completions": [right],
    }
    image = _hub_files.picture(row["image_bytes"][0], where)
    return Sample(key, {"image": image, "text": text, "meta": meta})


def prompt(question: str, choices: list[str]) -> str:
    """The text of the prompt to a model.

    Example:
        >>> prompt("Which is taller?", ["a cup", "a lamp", "neither"])
        'Answer in natural language. Which is taller? Choose between the following options: a cup, a lamp or neither'
    """
    options = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return f"Answer in natural language. {question} Choose between the following options: {options}"
