"""WebVision 1.0 (its resized images) without some of its concepts: auxiliary outliers, from your own copy.

    datasets:
      webvision: {root: /data/webvision, subset: {train: 0.1}}

`root` holds `info/synsets.txt` (a synset per line), `info/queries_synsets_map.txt` (`query number-of-synset`) and the
folders `google/qNNNN/` and `flickr/qNNNN/`. A query is left out when its synset is in a group of `without`: classes of
ImageNet that fine-grained ID sets or their coarse OOD are of. As in MixOE's code the group of dogs lacks the Dalmatian.

Source: Li et al., "WebVision Database", 2017, arXiv:1708.02862; the filter is that of Zhang et al., "Mixture Outlier
Exposure", WACV 2023, whose lists have 120 dogs, 52 birds, 42 vehicles, 6 butterflies and 3 aircraft. Two queries of one
synset may hold one image: such copies stay. Give `subset` as a fraction: a number of samples is chosen with all of
these in memory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets._pictures import class_samples

TITLE = "WebVision 1.0"
TASK = "classification"
NATIVE = ("all",)
SOURCES: tuple[str, ...] = ()
ASSETS = ("imagenet_synsets.txt",)
LICENCE = "research only; the images belong to their owners"
CITATION = "Li et al., WebVision Database: Visual Learning and Understanding from Web Data, 2017, arXiv:1708.02862"
REDISTRIBUTE = False
IN_ORDER = True
GROUPS: dict[str, tuple[tuple[int, int], ...]] = {
    "dog": ((151, 250), (252, 268), (273, 275)),
    "bird": ((7, 24), (87, 100), (127, 146)),
    "car": (
        *((407, 408), (428, 428), (436, 436), (444, 444), (468, 468), (511, 511), (547, 547)),
        *((555, 555), (561, 561), (565, 565), (569, 569), (573, 573), (586, 586), (603, 603)),
        *((609, 609), (612, 612), (627, 627), (656, 656), (661, 661), (665, 665), (670, 671)),
        *((675, 675), (690, 690), (705, 705), (717, 717), (734, 734), (751, 751), (757, 757)),
        *((791, 791), (802, 803), (817, 817), (820, 820), (829, 829), (847, 847), (864, 864)),
        *((866, 867), (870, 870), (880, 880)),
    ),
    "butterfly": ((321, 326),),
    "aircraft": ((404, 405), (417, 417)),
}
"""Positions among ImageNet's thousand synsets, first and last of each run."""


class Options(declare.Options):
    root: fields.Root = ""
    without: list[Literal["dog", "bird", "car", "butterfly", "aircraft"]] = Field(
        ["dog", "bird", "car", "butterfly", "aircraft"], description="groups of classes that are left out"
    )
    parts: list[Literal["google", "flickr"]] = Field(
        ["google", "flickr"], description="search engines whose images are used"
    )


def removed(groups: list[str]) -> frozenset[str]:
    """The synsets of groups.

    Raises:
        ParamsError: there is no such group.
    """
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        raise ParamsError(f"webvision: without names {unknown[0]!r}; {suggest(unknown[0], GROUPS)}")
    synsets = Path(__file__).with_name(ASSETS[0]).read_text(encoding="ascii").split()
    runs = [run for group in groups for run in GROUPS[group]]
    return frozenset(synset for first, last in runs for synset in synsets[first : last + 1])


def queries(info: Path, groups: list[str]) -> list[str]:
    """The folders of the queries whose synset is in none of the groups, sorted.

    Raises:
        DataError: one of the two files is missing, or a query names a synset that is not listed.
    """
    files = [info / "synsets.txt", info / "queries_synsets_map.txt"]
    for file in files:
        if not file.is_file():
            raise DataError(f"{file} does not exist; bring WebVision's `info` folder")
    synsets = [line.split()[0] for line in files[0].read_text(encoding="utf-8").splitlines() if line]
    out, folders = removed(groups), []
    for line in files[1].read_text(encoding="utf-8").splitlines():
        query, number = map(int, line.split())
        if not 1 <= number <= len(synsets):
            raise DataError(f"{files[1]}: query {query} is of synset {number}, of 1 to {len(synsets)}")
        if synsets[number - 1] not in out:
            folders.append(f"q{query:04d}")
    return sorted(folders)


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """One name that no model has: nobody reads the label."""
    return ("out_of_distribution",)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield the images of the queries that are left in order: `image` uint8 (h, w) or (h, w, 3), `label` 0."""
    root = _root(params)
    left = queries(root / "info", params["without"])
    for part in sorted(params["parts"]):
        here = [query for query in left if (root / part / query).is_dir()]
        name = params.get("name", "webvision")
        yield from class_samples(f"{name}/{part}", root / part, dict.fromkeys(here, 0))


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides: path -> description."""
    root = _root(params)
    pictures = {str(root / part): "resized images, a folder per query" for part in params["parts"]}
    return {str(root / "info"): "synsets.txt and queries_synsets_map.txt", **pictures}


def _root(params: dict[str, Any]) -> Path:
    if not params["root"]:
        raise ParamsError("webvision: option root is missing; give the folder that holds info/, google/ and flickr/")
    return Path(params["root"]).expanduser()
