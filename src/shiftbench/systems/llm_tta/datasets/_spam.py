"""Mails of the SpamAssassin corpus: ham or spam, by their subject and what one reads; `part` says which mails.

Of a mail the subject and its first text part are kept (of HTML what stands between the tags), on one line, cut to
`words` words: headers tell by which server a collection was made, not what a mail says. A text that occurs in several
collections, equal but for case, is kept once, in the first of `COLLECTIONS`; mails without a text are left out.

Source: the SpamAssassin public corpus. Split by mail. Mails may offend.
"""

import email
import email.message
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from email import policy
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

TASK = "text_classification"
CLASSES = ("ham", "spam")
SOURCES = ("spam_assassin",)
LICENCE = "PDDL-1.0"
CITATION = "SpamAssassin public mail corpus, https://spamassassin.apache.org/old/publiccorpus/"
REDISTRIBUTE = True
COLLECTIONS = {"easy-ham-1": 0, "spam-1": 1, "easy-ham-2": 0, "spam-2": 1, "hard-ham-1": 0}
PARTS = {"easy_1": ("easy-ham-1", "spam-1"), "easy_2": ("easy-ham-2", "spam-2"), "hard_1": ("hard-ham-1", "spam-2")}

_UNSEEN = re.compile(r"(?is)<(script|style|title)\b.*?</\1>|<!--.*?-->|<[^>]*>")


class Options(declare.Options):
    part: Literal["", "easy_1", "easy_2", "hard_1"] = Field("", description="collections that mails are from")
    words: int = Field(150, ge=1, description="words that a mail is cut to")


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """The collection, and its native split: the first one is for training, the others for testing."""
    part = options["part"]
    return {"PART": part, "NATIVE": ("all",) if part == "easy_1" else ("test",)}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all mails: `text` str, `label` 0 (ham) or 1 (spam)."""
    part, folder = params["part"], sources["spam_assassin"]
    yield from mails(f"spam_{part}", PARTS[part], folder, params["words"])


def mails(name: str, collections: Sequence[str], folder: Path, words: int) -> Iterator[Sample]:
    """Yield the mails of some collections as `NAME/all/COLLECTION_ID`: `text` str, `label` 0 or 1.

    Raises:
        DataError: a file is no mail; the message names it.
    """
    texts: set[str] = set()
    last = max(collections, key=list(COLLECTIONS).index)
    for collection, label in COLLECTIONS.items():
        for identity, text in _mails(folder / collection, words):
            plain = text.casefold()
            fresh = bool(plain) and plain not in texts
            texts.add(plain)
            if fresh and collection in collections:
                yield Sample(f"{name}/all/{identity}", {"text": text, "label": label})
        if collection == last:
            return


@cache
def _mails(folder: Path, words: int) -> tuple[tuple[str, str], ...]:
    """(COLLECTION_ID, text) of each mail of a collection, read once in a process."""
    return tuple(
        (f"{folder.name}_{file.name.partition('.')[0]}", " ".join(_read(file).split()[:words]))
        for file in sorted(folder.glob("*.json"))
    )


def _read(file: Path) -> str:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))["text"]
        mail = email.message_from_string(raw, policy=policy.compat32)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is no mail ({type(error).__name__}: {error})") from error
    subject = str(mail.get("Subject") or "")
    return f"{subject}\n{_body(mail)}"


def _body(mail: email.message.Message) -> str:
    """The first text part; of HTML the text between its tags."""
    for part in mail.walk():
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html") and not part.is_multipart():
            content = part.get_payload(decode=True)
            text = content.decode("latin-1") if isinstance(content, bytes) else str(content or "")
            plain = html.unescape(_UNSEEN.sub(" ", text)) if kind == "text/html" else text
            if plain.strip():
                return plain
    return ""
