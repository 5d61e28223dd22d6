"""RealBench, and whatever else lies in its form: JSON lines with `text`, `label`, `src` and `id`.

    datasets:
      mage:
        use: realbench
        root: /data/RealBench
        files: {train: ["Deepfake/*/train.jsonl"], test: ["Deepfake/no_attack/test.jsonl"]}

Folders are BENCHMARK/VARIANT/SPLIT.jsonl: Deepfake (MAGE), OUTFOX, RAID, RAID_extra, TuringBench, M4_monolingual and
M4_multilingual; no_attack, extend, polish, translate, paraphrase_by_llm, perplexity_attack and synonym. `files` names
those of each split, `*` for any name. The label '0' is human, '1' machine; `src`, under the one name that the released
code gives to several spellings, is the class (`group`), `id` what may not be in two splits. Files are read line by
line, so nothing is held in memory; nothing is downloaded, and shards stay local. A key is `realbench/`, the split, the
file and the number of the line.

Source: heyongxin233/RealBench on the Hugging Face hub, by He et al. 2025 (DETree), arXiv:2510.17489; README.md and
detree/utils/dataset.py of heyongxin233/DETree. Differs: valid files are a split of their own (there they join train, of
RAID test).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields

TASK = "text_classification"
CLASSES = ("human", "machine")
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "MIT as tagged; its parts have the licences of MAGE, M4, TuringBench, OUTFOX and RAID"
CITATION = (
    "He et al., DETree: DEtecting Human-AI Collaborative Texts via Tree-Structured Hierarchical Representation "
    "Learning, NeurIPS 2025, arXiv:2510.17489"
)
REDISTRIBUTE = False
IN_ORDER = True
LABELS = {"0": 0, "1": 1}
SAME = {
    **dict.fromkeys(("ChatGPT", "chatGPT"), "chatgpt"),
    **dict.fromkeys(("GPT2-XL", "gpt2_xl", "gpt2"), "gpt2-xl"),
    **{f"gpt2_{size}": f"gpt2-{size}" for size in ("pytorch", "large", "small", "medium")},
    "GPT4": "gpt4",
    "davinci": "text-davinci",
    "GROVER_base": "grover_base",
    "llama2-fine-tuned": "llama2",
    "flan_t5": "flan_t5_xxl",
    "glm130b": "GLM130B",
    "jais-30b": "jais",
}
"""Spelling of a source in the files -> its one name, which is that in the published trees."""


class Options(declare.Options):
    root: fields.Root = ""
    files: dict[str, list[str]] = Field({}, description="files of each split, below `root`; `*` stands for any name")
    counts: dict[str, int] = Field({}, description="expected number of texts of a split; none: not checked")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    root = Path(params["root"]).expanduser()
    matches = (sorted(root.glob(name)) or [root / name] for name in _patterns(split, params))
    return {str(file): "JSON lines of texts" for files in matches for file in files}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split: `text` str, `label` 0 (human) or 1 (machine), `meta` with `group` and `cluster`, class and id.

    A line that has not the keys or another label is yielded as an error.

    Raises:
        ParamsError: no root, or no files of the split.
        DataError: a file is missing, or there are other numbers of samples than `counts` says.
    """
    count = 0
    for name, file in sorted(_files(split, params).items()):
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                count += 1
                yield _sample(f"realbench/{split}/{name}/{number:08d}", line)
    expected = params["counts"].get(split, count)
    if count != expected:
        raise DataError(f"the files of {split} have {count} lines, expected {expected}")


def group(sample: Sample) -> str:
    """The id of a text, which its versions share."""
    cluster: str = sample.fields["meta"]["cluster"]
    return cluster


def _patterns(split: str, params: dict[str, Any]) -> list[str]:
    if not params["root"] or split not in params["files"]:
        raise ParamsError(f"realbench: name `root`, its folder, and under `files` those of {split!r}")
    return list(params["files"][split])


def _files(split: str, params: dict[str, Any]) -> dict[str, Path]:
    """The files of a split by what keys call them."""
    root = Path(params["root"]).expanduser()
    files: dict[str, Path] = {}
    for name in _patterns(split, params):
        some = list(root.glob(name))
        if not some:
            raise DataError(f"no file {root / name}; check root and files of realbench")
        files |= {_file_key(file.relative_to(root)): file for file in some}
    return files


def _file_key(file: Path) -> str:
    return file.with_suffix("").as_posix().replace(".", "_")


def _sample(key: str, line: str) -> Sample | DataError:
    try:
        row = json.loads(line)
        text, label, source, identity = (row[name] for name in ("text", "label", "src", "id"))
    except (ValueError, KeyError, TypeError) as error:
        return DataError(f"{key}: no JSON with text, label, src and id ({type(error).__name__}: {error})")
    if str(label) not in LABELS:
        return RangeError(f"{key}: label {label!r}; {suggest(str(label), LABELS)}, human and machine")
    meta = {"group": SAME.get(source, source), "cluster": str(identity)}
    return Sample(key, {"text": text, "label": LABELS[str(label)], "meta": meta})
