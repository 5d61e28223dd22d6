"""RWDS as released: satellite tiles of climate zones, floods or hurricanes, one domain or several, from your own copy.

    datasets:
      rwds_cz_a: {root: /data/rwds, part: CZ, domain: A}
      rwds_cz_not_a: {use: rwds, root: /data/rwds, part: CZ, domain: A, setting: unseen}     # all but A
      rwds_cz: {use: rwds, root: /data/rwds, part: CZ, setting: combined}

`part` is `CZ` (xView, Koeppen groups A, B, C), `FR` (xBD floods: India, US) or `HE` (xBD hurricanes: florence,
harvey, matthew, michael). Below `root`, `RWDS_CZ` or `RWDS-CZ` holds `train`, `val` and `test`, each with
`Group_A_train_512_02.json` (COCO's layout) and the folder `Group_A_train_images_512_02`. NAMES has what stands in the
place of `Group_A` for each part and setting, as the configurations of RWGAI/RWDS have it: hurricanes are written
small, and `ms_unseen_florence` has no `group` where `ms_unseen_group_A` has one.

Tiles of 512 pixels overlap by a fifth. What a tile was cut from is read off its name (`SOURCE_0_410_512_922.png`), is
its `cluster`, which is resampled as one, and must not be in two splits: such a leak is refused, unless `leaks: allow`.
Nothing is downloaded, and shards stay local.

Source: Al-Emadi, Yang and Ofli 2025, CVPR, arXiv:2503.19202; names as the configurations of RWGAI/RWDS have them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import coco_json

TASK = "detection"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "of RWDS not stated; its images are xView's and xBD's, CC BY-NC-SA 4.0"
CITATION = (
    "Al-Emadi, Yang and Ofli, Benchmarking Object Detectors under Real-World Distribution Shifts in Satellite "
    "Imagery, CVPR 2025, arXiv:2503.19202"
)
REDISTRIBUTE = False
IN_ORDER = True
DOMAINS = {"CZ": ("A", "B", "C"), "FR": ("India", "US"), "HE": ("florence", "harvey", "matthew", "michael")}
NAMES = {
    "CZ": {"single": "Group_{domain}", "unseen": "Group_ms_unseen_group_{domain}", "combined": "Group_combined"},
    "FR": {"single": "Flooding_Group_{domain}", "combined": "Flooding_Group_combined"},
    "HE": {
        "single": "Hurricane_Group_{domain}",
        "unseen": "Hurricane_Group_ms_unseen_{domain}",
        "combined": "Hurricane_Group_combined",
    },
}
SETTINGS = ("single", "unseen", "combined")
LEAKS = ("refuse", "allow")
_TILE = re.compile(r"(.+)_\d+_\d+_\d+_\d+")


class Options(declare.Options):
    root: str = Field("", description="folder with `RWDS_CZ` or `RWDS-CZ`, and so on")
    part: Literal["CZ", "FR", "HE"] = Field("CZ", description="climate zones (xView), floods or hurricanes (xBD)")
    domain: Literal["", "A", "B", "C", "India", "US", "florence", "harvey", "matthew", "michael"] = Field(
        "", description="domain of the part; empty with `setting: combined`"
    )
    setting: Literal["single", "unseen", "combined"] = Field(
        "single", description="the domain, all others, or all together"
    )
    stem: str = Field("", description="stem of the file names; empty: the one of part, setting and domain")
    leaks: Literal["refuse", "allow"] = Field("refuse", description="what happens if a source image is in two splits")
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the categories, in the order of their numbers."""
    return coco_json.classes(_layout(params), sources)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split: `image` uint8 (h, w, 3), `boxes`, `meta` with the source image; a bad image as its error.

    Raises:
        ParamsError: no root, or an option that is none of those known.
        DataError: a file is missing or of another layout, or a source image is in two splits.
    """
    layout = _layout(params)
    files = {name: _files(layout, name) for name in NATIVE}
    if params["leaks"] == "refuse":
        _refuse_leaks(files, params)
    file_names = {coco_json.number_of(entry["id"]): entry["file_name"] for entry in files[split]}
    for sample in coco_json.samples(split, sources, layout):
        if isinstance(sample, Sample):
            source = source_of(file_names[sample.key.rpartition("/")[2]])
            yield sample.with_field("meta", {"cluster": f"rwds/{params['part']}/{source}"})
        else:
            yield sample


def group(sample: Sample) -> str:
    """The image that a tile was cut from."""
    cluster: str = sample.fields["meta"]["cluster"]
    return cluster


def source_of(name: str) -> str:
    """The image that a tile was cut from; a name that says nothing of a place is an image of its own.

    Example:
        >>> source_of("images/1042_0_410_512_922.png")
        '1042'
    """
    stem = Path(name).stem
    match = _TILE.fullmatch(stem)
    return match[1] if match else stem


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide: path -> description."""
    return coco_json.wants(split, _layout(params))


def _layout(params: dict[str, Any]) -> dict[str, Any]:
    """The same options for `coco_json`."""
    for option, allowed in (("part", DOMAINS), ("setting", SETTINGS), ("leaks", LEAKS)):
        if params[option] not in allowed:
            raise ParamsError(f"rwds: {option} is {params[option]!r} ({suggest(params[option], allowed)})")
    part, setting, domain = params["part"], params["setting"], params["domain"]
    if setting != "combined" and domain not in DOMAINS[part]:
        raise ParamsError(
            f"rwds: domain is {domain!r}; {part} has {', '.join(DOMAINS[part])} ({suggest(domain, DOMAINS[part])})"
        )
    if setting not in NAMES[part]:
        raise ParamsError(f"rwds: {part} has two domains, so that all but one is the other: setting single")
    if not params["root"]:
        raise ParamsError("rwds: option root is missing; give the folder that holds RWDS_CZ")
    stem = params["stem"] or NAMES[part][setting].replace("{domain}", domain)
    root = Path(params["root"]).expanduser()
    places = [name for name in (f"RWDS_{part}", f"RWDS-{part}") if (root / name).is_dir()]
    folder = places[0] if places else f"RWDS_{part}"
    return {
        **registry.defaults(coco_json),
        "name": params.get("name", "rwds"),
        "root": str(root),
        "annotations": {s: f"{folder}/{s}/{stem}_{s}_512_02.json" for s in NATIVE},
        "images": {s: f"{folder}/{s}/{stem}_{s}_images_512_02" for s in NATIVE},
    }


def _files(layout: dict[str, Any], split: str) -> list[dict[str, Any]]:
    return coco_json.read(Path(layout["root"]) / layout["annotations"][split])["images"]


def _refuse_leaks(files: dict[str, list[dict[str, Any]]], params: dict[str, Any]) -> None:
    split_of_source: dict[str, str] = {}
    for split, entries in files.items():
        for source in sorted({source_of(str(entry.get("file_name"))) for entry in entries}):
            first_split = split_of_source.setdefault(source, split)
            if first_split != split:
                raise DataError(
                    f"rwds {params['part']} {params['domain']}: tiles of the image {source} are in {first_split} and "
                    f"in {split}, where they overlap; `leaks: allow` takes them as they are"
                )
