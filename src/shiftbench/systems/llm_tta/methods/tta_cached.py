"""Test-time augmentation from a cache of rewrites as it was published: no generator is needed.

The files have the columns `prompt_hash`, `prompt` and `rewrites`, a list of texts, or that list as Python writes it.
Styles:

    plain        the prompt is the text, line ends as spaces: the augmenters that are no language model
    icr          the prompt has examples: rewriting in context
    paraphrase   it has none

One file holds both of the last two. A plain text is found as the authors' code finds it, by `prompt_hash`, the sha256
of the prompt in hexadecimal digits. The prompt of a language model has examples that were drawn, so that it is found by
the text that stands in quotes under the heading INPUT; white space is compared as one space. Of equal ones the first
counts, and of its rewrites the first k, as they are: they were cleaned before they were kept. Rows without rewrites
were left out of the published files (`missing`).

Source: O'Brien et al. 2024, arXiv:2402.08225; `util_caching.py`, `adaptive_methods.py` and `prompts/` of
https://github.com/Kyle1668/LLM-TTA; the files are those of Kyle1668/LLM-TTA-Cached-Rewrites on the Hugging Face hub.
"""

import ast
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.systems.llm_tta.methods import _tta

SEES = "sample"
COLUMNS = ("prompt_hash", "prompt", "rewrites")
STYLES = ("plain", "icr", "paraphrase")
EXAMPLES, INPUT = "### Style Examples ###", "### Input Text ###"
"""Headings of the released templates: over the examples of one with some, and over the text."""
TASKS = ("text_classification",)

Row = tuple[str, str, Any]


class Options(_tta.Options):
    path: str = Field("", description="Parquet file of rewrites, or a folder of them")
    files: str = Field("*.parquet", description="names of the files in the folder; `*` stands for any characters")
    style: Literal["plain", "icr", "paraphrase"] = Field("plain", description="whose rewrites are used")
    missing: int = Field(0, ge=0, description="texts that may be without rewrites, at most; the text itself is used")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the sha256 in the dependencies pins the file.

    Raises:
        ParamsError: there is no path, or no such style.
    """
    if not params["path"]:
        raise ParamsError("tta_cached: path is missing; name a Parquet file of rewrites or a folder")
    if params["style"] not in STYLES:
        raise ParamsError(f"tta_cached: style is {params['style']!r}; {suggest(params['style'], STYLES)}")
    return []


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> _tta.Averaging:
    """The predictor with its rewriter."""
    cache = read(Path(params["path"]), params["files"], params["style"])
    misses: set[str] = set()

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [_of(cache, sample, params, misses) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def read(path: Path, files: str, style: str) -> dict[str, list[str]]:
    """The rewrites of one style, by what a text is found by (`_lookup_key`).

    Raises:
        DataError: there is no such file, it has other columns, or rewrites are no list; names file and row.
    """
    cache: dict[str, list[str]] = {}
    for file in _files(path, files):
        for number, (digest, prompt, rewrites) in enumerate(_rows(file)):
            if style == "plain" and INPUT not in prompt:
                key = digest
            elif INPUT in prompt and style == ("icr" if EXAMPLES in prompt else "paraphrase"):
                key = _single_spaces(_quotation(prompt, file, number))
            else:
                continue
            cache.setdefault(key, _texts(rewrites, file, number))
    return cache


def _files(path: Path, files: str) -> list[Path]:
    paths = sorted(path.rglob(files)) if path.is_dir() else [path]
    if not paths or not all(file.is_file() for file in paths):
        raise DataError(f"{path} holds no Parquet file of rewrites called {files}")
    return paths


def _rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a file, a batch of them in memory at a time."""
    try:
        for batch in pq.ParquetFile(file).iter_batches(1024, columns=list(COLUMNS)):
            yield from zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True)
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"{file} has not the columns {', '.join(COLUMNS)}: {error}") from None


def _quotation(prompt: str, file: Path, number: int) -> str:
    """The text that a prompt asks to rewrite: from the first to the last quote under its heading."""
    text = prompt.partition(INPUT)[2]
    start, end = text.find('"'), text.rfind('"')
    if start == end:
        raise DataError(f"{file}, row {number}: no text in quotes under {INPUT!r}")
    return text[start + 1 : end]


def _texts(rewrites: object, file: Path, number: int) -> list[str]:
    try:
        texts = ast.literal_eval(rewrites) if isinstance(rewrites, str) else rewrites
    except (ValueError, SyntaxError):
        texts = None
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise DataError(f"{file}, row {number}: rewrites is no list of texts: {rewrites!r:.60}")
    return texts


def _single_spaces(text: str) -> str:
    return " ".join(text.split())


def _lookup_key(text: str, style: str) -> str:
    """Lookup key of a text's rewrites.

    Example:
        >>> _lookup_key("a  b", "icr"), _lookup_key("a b", "plain")[:8]
        ('a b', 'c8687a08')
    """
    if style == "plain":
        return hashlib.sha256(text.replace("\n", " ").encode()).hexdigest()
    return _single_spaces(text)


def _of(cache: Mapping[str, list[str]], sample: Sample, params: Mapping[str, Any], misses: set[str]) -> list[str]:
    text, k = sample.fields["text"], params["k"]
    rewrites = cache.get(_lookup_key(text, params["style"]))
    if rewrites is None:
        misses.add(sample.key)
        if len(misses) > params["missing"]:
            raise DataError(
                f"{sample.key}: {params['path']} holds no rewrites of its text in the style {params['style']!r}, nor "
                f"of {len(misses) - 1} before; it is a cache of another dataset or augmenter, or set `missing`"
            )
        return [text] * k
    if len(rewrites) < k:
        raise DataError(f"{sample.key}: {len(rewrites)} rewrites in {params['path']}, k is {k}")
    return rewrites[:k]
