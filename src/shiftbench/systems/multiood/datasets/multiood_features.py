"""MultiOOD's videos by the features of its frozen backbones, as the authors' lists split them; from your own copies.

    datasets:
      hmdb: {use: multiood_features, set: hmdb_near, root: /data/multiood}
      hmdb_out: {use: multiood_features, set: hmdb_near_ood, root: /data/multiood}

`root` holds the authors' lists as their repository lays them out (`HMDB-rgb-flow/splits/`, `EPIC-rgb-flow/splits/`)
and `features/VIDEO.FIELD.npy`, one array for each video and field (`models/action_net.py`: rgb, fast, flow, audio),
float16 or float32. VIDEO is the path of its list without suffix, below the name of the set:
`features/hmdb/brush_hair/NAME.rgb.npy`, `ucf/NAME`, `kinetics/CLASS/NAME`, `epic/P22_10_18940_19042` (video, first
and last frame), `hac/human/NAME`.

Lists of EPIC-Kitchens and HAC name some videos twice; the second has the key of the first and `_2`, as the authors
count both. Lists are `path label` (HMDB51, UCF101, Kinetics-600), `file,label` (HAC, both its lists of three kinds)
or pickled tuples (EPIC-Kitchens, read by an unpickler that makes nothing but lists, tuples, texts and numbers). OOD
sets have a test split alone, and each label is 0 of `out_of_distribution`.

Source: Dong et al. 2024, arXiv:2405.17419, section 3; donghao51/MultiOOD, `dataloader_video_flow*.py`.
"""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _lists
from shiftbench.plugins.datasets._lists import Line

TASK = "modalities"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "research only, each set by its own terms (HMDB51, UCF101, EPIC-Kitchens, HAC, Kinetics-600)"
CITATION = (
    "Dong et al., MultiOOD: Scaling Out-of-Distribution Detection for Multiple Modalities, NeurIPS 2024; and the "
    "authors of the videos"
)
REDISTRIBUTE = False
IN_ORDER = True
FIELDS = ("rgb", "fast", "flow", "audio")
SPLITS, EPIC_SPLITS = "HMDB-rgb-flow/splits", "EPIC-rgb-flow/splits"
KINDS = ("human", "animal", "cartoon")


class Options(declare.Options):
    root: str = Field("", description="folder with the authors' lists and features/VIDEO.FIELD.npy")
    set: Literal[
        "hmdb_near", "hmdb_near_ood", "ucf_near", "ucf_near_ood", "kinetics_near", "kinetics_near_ood", "epic_near",
        "epic_near_ood", "hmdb_far", "kinetics_far", "hmdb_far_ucf", "hmdb_far_kinetics", "kinetics_far_hmdb",
        "kinetics_far_ucf", "epic_far", "hac_far",
    ] = Field("hmdb_near", description="set of videos")  # fmt: skip
    fields: list[Literal["rgb", "fast", "flow", "audio"]] = Field(
        ["rgb", "fast", "flow"], description="features that are read"
    )
    counts: bool = Field(True, description="whether lists must have the lengths of the released ones")
    licence: str = Field("", description="licence of your files")


@dataclass(frozen=True, slots=True)
class VideoSet:
    """One set: its videos, how many classes it has (0: out of distribution), its lists and their lengths."""

    videos: str
    classes: int
    lists: Mapping[str, tuple[str, ...]]
    counts: dict[str, int]


def _near_set(name: str, videos: str, classes: int, counts: tuple[int, int, int]) -> VideoSet:
    lists = {split: (f"{SPLITS}/{name}_{split}_near_ood.txt",) for split in NATIVE}
    return VideoSet(videos, classes, lists, dict(zip(NATIVE, counts, strict=True)))


def _ood_set(videos: str, count: int, *names: str) -> VideoSet:
    return VideoSet(videos, 0, {"test": names}, {"test": count})


def _far_set(name: str, videos: str, classes: int, counts: tuple[int, int, int]) -> VideoSet:
    lists = {split: (f"{SPLITS}/{name}_{split}.txt",) for split in NATIVE}
    return VideoSet(videos, classes, lists, dict(zip(NATIVE, counts, strict=True)))


SETS = {
    "hmdb_near": _near_set("HMDB", "hmdb", 25, (2074, 445, 459)),
    "hmdb_near_ood": _ood_set("hmdb", 3744, f"{SPLITS}/HMDB_eval_near_ood.txt"),
    "ucf_near": _near_set("UCF", "ucf", 50, (4669, 1005, 1030)),
    "ucf_near_ood": _ood_set("ucf", 6616, f"{SPLITS}/UCF_eval_near_ood.txt"),
    "kinetics_near": _near_set("Kinetics", "kinetics", 129, (22549, 4773, 4902)),
    "kinetics_near_ood": _ood_set("kinetics", 10000, f"{SPLITS}/Kinetics_eval_near_ood.txt"),
    "epic_near": VideoSet(
        "epic",
        4,
        {split: (f"{EPIC_SPLITS}/D3_{split}_near_ood.pkl",) for split in NATIVE},
        {"train": 2484, "val": 531, "test": 536},
    ),
    "epic_near_ood": _ood_set("epic", 1320, f"{EPIC_SPLITS}/D3_eval_near_ood.pkl"),
    "hmdb_far": _far_set("HMDB", "hmdb", 43, (3953, 843, 877)),
    "kinetics_far": _far_set("Kinetics", "kinetics", 229, (40048, 8463, 8694)),
    "hmdb_far_ucf": _ood_set("ucf", 1351, f"{SPLITS}/ID_HMDB_OOD_UCF.txt"),
    "hmdb_far_kinetics": _ood_set("kinetics", 8694, f"{SPLITS}/ID_HMDB_OOD_Kinetics.txt"),
    "kinetics_far_hmdb": _ood_set("hmdb", 5673, f"{SPLITS}/ID_Kinetics_OOD_HMDB.txt"),
    "kinetics_far_ucf": _ood_set("ucf", 1810, f"{SPLITS}/ID_Kinetics_OOD_UCF.txt"),
    "epic_far": _ood_set("epic", 4871, *(f"{EPIC_SPLITS}/D3_{split}.pkl" for split in NATIVE)),
    "hac_far": _ood_set(
        "hac", 3381, *(f"{SPLITS}/HAC_{part}_only_{kind}.csv" for kind in KINDS for part in ("test", "train"))
    ),
}
"""Lengths are those of the released lists."""


class _Plain(pickle.Unpickler):
    """Makes nothing that has a class of its own, so that no code is run."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse it."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """A name per class, counted; of an OOD set one name that no model has."""
    video_set = _video_set(params)
    names = tuple(f"{video_set.videos}_{number:03d}" for number in range(video_set.classes))
    return names or ("out_of_distribution",)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of keys: an array for each of `fields`, and `label`.

    A video whose features are missing or broken is yielded as an error.

    Raises:
        ParamsError: no root, no such set or field.
        DataError: a list is missing, of another length than the released one, or cannot be read.
    """
    video_set = _video_set(params)
    if split not in video_set.lists:
        return
    files = _files(split, params)
    prefix = f"multiood_features/{video_set.videos}"
    lines = [line for file in files for line in _lines(file, prefix)]
    if params["counts"] and len(lines) != video_set.counts[split]:
        raise DataError(
            f"{files[0]} lists {len(lines)} videos of {params['set']}, expected {video_set.counts[split]}; bring the "
            "released lists, or set counts: false"
        )
    for line in _lists.in_order(_distinct(lines), files[0]):
        try:
            yield _sample(line, video_set, params)
        except DataError as error:
            yield error


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    video_set = _video_set(params)
    if split not in video_set.lists:
        return {}
    lists = {str(file): "the authors' list" for file in _files(split, params)}
    contents = f"{', '.join(params['fields'])} of {video_set.counts[split]:,} videos"
    return lists | {str(_root(params) / "features" / video_set.videos): contents}


def _video_set(params: dict[str, Any]) -> VideoSet:
    name, fields = params["set"], params["fields"]
    if name not in SETS:
        raise ParamsError(f"multiood_features: set is {name!r}; {suggest(name, SETS)}")
    wrong = next((field for field in fields if field not in FIELDS), None)
    if wrong is not None or not fields:
        raise ParamsError(f"multiood_features: fields is {fields}; expected some of {', '.join(FIELDS)}")
    return SETS[name]


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError(
            "multiood_features: option root is missing; give the folder that holds the lists and features/"
        )
    return Path(params["root"]).expanduser()


def _files(split: str, params: dict[str, Any]) -> list[Path]:
    return [_root(params) / name for name in _video_set(params).lists[split]]


def _lines(file: Path, prefix: str) -> list[Line]:
    """The lines of one list, whose keys begin with `prefix`."""
    if file.suffix == ".txt":
        return _lists.lines(file, prefix)
    if not file.is_file():
        raise DataError(f"the list {file} does not exist; check root of multiood_features")
    rows = _read_pickle(file) if file.suffix == ".pkl" else _read_csv(file)
    return [Line(f"{prefix}/{path.replace('.', '_')}", path, label, n) for n, (path, label) in enumerate(rows, 1)]


def _distinct(lines: list[Line]) -> list[Line]:
    """Lines under keys of their own: the second of a video has `_2` after its key, and so on."""
    counts: Counter[str] = Counter()
    unique = []
    for line in lines:
        counts[line.key] += 1
        times = counts[line.key]
        unique.append(replace(line, key=f"{line.key}_{times}") if times > 1 else line)
    return unique


def _read_csv(file: Path) -> list[tuple[str, str]]:
    kind = file.stem.rpartition("_")[2]
    rows = [row.rpartition(",") for row in file.read_text(encoding="utf-8").splitlines() if row]
    return [(f"{kind}/{PurePosixPath(name).stem}", label) for name, _, label in rows]


def _read_pickle(file: Path) -> list[tuple[str, str]]:
    try:
        with file.open("rb") as stream:
            rows = _Plain(stream).load()
        return [(f"{row[0]}_{row[1]:d}_{row[2]:d}", str(int(row[-1]))) for row in rows]
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"{file} is no list of (video, first, last, begin, end, label): {error}") from None


def _sample(line: Line, video_set: VideoSet, params: dict[str, Any]) -> Sample:
    stem = line.path if video_set.videos in ("epic", "hac") else str(PurePosixPath(line.path).with_suffix(""))
    folder = _root(params) / "features" / video_set.videos
    fields = {name: _array(folder / f"{stem}.{name}.npy", line.key) for name in params["fields"]}
    if not line.label.isdecimal() or (video_set.classes and int(line.label) >= video_set.classes):
        raise RangeError(f"{line.key}: the label is {line.label!r}, expected 0 to {video_set.classes - 1}")
    return Sample(line.key, {**fields, "label": int(line.label) if video_set.classes else 0})


def _array(file: Path, key: str) -> np.ndarray[Any, Any]:
    try:
        values: np.ndarray[Any, Any] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{key}: the features {file} cannot be read: {error}") from None
    if values.dtype.kind != "f":
        raise DataError(f"{file}: {values.dtype}; expected float16 or float32 features")
    return values
