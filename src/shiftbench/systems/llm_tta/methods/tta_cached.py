"""Test-time augmentation from a cache of rewrites as it was published: no generator is needed.

`path` is a Parquet file, or a folder of them, with the columns `prompt_hash`, `prompt` and `rewrites` (texts).
A sample's rewrites are those of the prompt that holds its text in triple braces, or is its text. Spaces are
compared as one. The first k rewrites count; they are cleaned (`_rewriting`).

Source: O'Brien et al. 2024, arXiv:2402.08225; the layout is that of the caches on the Hugging Face hub
(Kyle1668/LLM-TTA-Cached-Rewrites). What their `prompt_hash` hashes is not stated, so that prompts are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.errors import DataError, ParamsError
from shiftbench.refs import Ref
from shiftbench.sample import Sample
from shiftbench.systems.llm_tta.methods import _rewriting, _tta

SEES = "sample"
COLUMNS = ("prompt_hash", "prompt", "rewrites")
PARAMS: dict[str, object] = {**_tta.PARAMS, "path": ""}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return nothing: the file is pinned.

    Raises:
        ParamsError: there is no path.
    """
    if not params["path"]:
        raise ParamsError(
            "tta_cached: path is missing; name a Parquet file of rewrites or a folder"
        )
    return []


def wrap(
    predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]
) -> _tta.Averaging:
    """Return the predictor with its rewriter."""
    cache = read(Path(params["path"]))

    def rewrite(samples: Sequence[Sample]) -> list[list[str]]:
        return [_of(cache, sample, params) for sample in samples]

    return _tta.Averaging(predictor, rewrite, params)


def read(path: Path) -> dict[str, list[str]]:
    """Return text -> its rewrites.

    Raises:
        DataError: there is no file, or it has other columns.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise DataError(f"{path} holds no Parquet file of rewrites")
    found: dict[str, list[str]] = {}
    for file in files:
        try:
            table = pq.read_table(file, columns=list(COLUMNS[1:]))
        except (pa.ArrowInvalid, KeyError) as error:
            raise DataError(f"{file} has not the columns {', '.join(COLUMNS)}: {error}") from None
        prompts, rewrites = (table.column(name).to_pylist() for name in COLUMNS[1:])
        for prompt, texts in zip(prompts, rewrites, strict=True):
            found |= dict.fromkeys(_texts(prompt), texts)
    return found


def _texts(prompt: str) -> list[str]:
    """Return what a prompt may ask to rewrite: itself, and all that stands in triple braces; spaces as one."""
    inner = re.findall(r"\{\{\{(.*?)\}\}\}", prompt, re.DOTALL)
    return [" ".join(text.split()) for text in (prompt, *inner)]


def _of(cache: Mapping[str, list[str]], sample: Sample, params: Mapping[str, Any]) -> list[str]:
    text = sample.fields["text"]
    found = cache.get(" ".join(text.split()))
    if found is None:
        raise DataError(
            f"{sample.key}: {params['path']} holds no rewrites of its text; it is a cache of another dataset"
        )
    if len(found) < params["k"]:
        raise DataError(
            f"{sample.key}: {len(found)} rewrites in {params['path']}, k is {params['k']}"
        )
    return [_rewriting.clean(one, text) for one in found[: params["k"]]]
