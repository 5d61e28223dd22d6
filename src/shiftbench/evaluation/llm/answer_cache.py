"""Record of answers of language models: model, template, decoding, seed and prompt are the key of an answer.

A folder has one file per model, `MODEL.jsonl`: one line per answer, sorted by key, so that equal answers are equal
bytes. An answer is appended and flushed as soon as it is given, and sorted in by `settle`: answers given before a kill
or an error are not requested again. Small files are in git, in the folder `recorded/` of a system.

An answer of an endpoint has a date: it cannot be made again, and is never exact. An answer of local weights has no
date: its model is named by their sha256.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.base import files
from shiftbench.base.errors import DataError


@dataclass(frozen=True, slots=True)
class Key:
    """Everything that an answer depends on.

    Attributes:
        model: its name and the beginning of its sha256 (`smollm2_135m@b179c9523d0e`), or an endpoint's name for it.
        template: hash of the prompt's template, so that another wording is another key.
        decoding: options of the sampling, such as `temperature` and `max_new_tokens`.
        seed: of the sampling.
        text: the whole prompt.
    """

    model: str
    template: str
    decoding: Mapping[str, float | int | str | bool]
    seed: int
    text: str

    @property
    def digest(self) -> str:
        """The key in the file, 32 hexadecimal digits."""
        parts = [self.model, self.template, dict(self.decoding), self.seed, self.text]
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Answers:
    """The answers in a folder.

    Args:
        folder: need not exist before the first `put`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, dict[str, dict[str, Any]]] = {}

    def file(self, model: str) -> Path:
        """File of a model's answers."""
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', model.partition('@')[0])}.jsonl"

    def get(self, key: Key) -> str | None:
        """An answer; None: it is not recorded.

        Raises:
            DataError: the file has a damaged line; names it.
        """
        entry = self._of(key.model).get(key.digest)
        return None if entry is None else str(entry["answer"])

    def given(self, key: Key) -> str | None:
        """The date (YYYY-MM-DD) of an endpoint's answer; None: local weights made it, or it is not recorded."""
        date: str | None = self._of(key.model).get(key.digest, {}).get("date")
        return date

    def put(self, key: Key, answer: str, date: str | None = None) -> None:
        """Record an answer; it is on disk when this returns.

        Args:
            key: of the request.
            answer: as it came.
            date: of an endpoint's answer.

        Raises:
            DataError: another answer is recorded under the key.
        """
        entries = self._of(key.model)
        entry = {"key": key.digest, "model": key.model, "seed": key.seed, "answer": answer}
        entry |= {"date": date} if date else {}
        if entries.setdefault(key.digest, entry)["answer"] != answer:
            raise DataError(
                f"{self.file(key.model)}: the key {key.digest} has another answer; delete that line to ask anew"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.file(key.model).open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(_line(entry))

    def settle(self) -> None:
        """Sort the files that were read or written: each key once, in order."""
        for model, entries in self._known.items():
            if entries:
                text = "".join(_line(entries[key]) for key in sorted(entries)).encode()
                if not self.file(model).is_file() or self.file(model).read_bytes() != text:
                    files.write_bytes(self.file(model), text)

    def _of(self, model: str) -> dict[str, dict[str, Any]]:
        name = model.partition("@")[0]
        if name not in self._known:
            self._known[name] = _read(self.file(name))
        return self._known[name]


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Entries of a file by key; a last line without its end was cut off and is removed."""
    if not file.is_file():
        return {}
    *lines, rest = file.read_bytes().split(b"\n")
    entries = {}
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            _line(entry).encode()  # half a pair of surrogates has no encoding
            is_valid = _is_answer(entry)
        except (ValueError, RecursionError):
            is_valid = False
        if not is_valid:
            raise DataError(
                f"{file}, line {number} is no answer: expected a JSON object with texts `key` and `answer`; take it "
                "back from git"
            )
        entries[entry["key"]] = entry
    if rest:
        files.write_bytes(file, b"".join(line + b"\n" for line in lines))
    return entries


def _is_answer(entry: object) -> bool:
    """Whether a line's JSON is an answer: question, model and text, and a date if there is one."""
    if not isinstance(entry, dict):
        return False
    return all(isinstance(text, str) for text in (entry.get("key"), entry.get("answer"), entry.get("date", "")))
