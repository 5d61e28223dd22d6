"""Lists of Machine Vision Therapy, and images of the variants that they name, in the layout of both."""

import json
from pathlib import Path

from isolation import ROOT
from makers.small_files import Made, picture

SYNSETS = (ROOT / "src/shiftbench/plugins/datasets/imagenet_synsets.txt").read_text().split()
TESTED = "/theirs/datasets/mvt"
EXEMPLARS = "/theirs/jhuang/datasets"


def variant(root: Path, names: tuple[str, str, str], folders: list[str], file: str, *, on_disk: str = "{}") -> None:
    """Write one variant: three exemplars and two tested images of each class; one exemplar is tested, too.

    Args:
        root: `lists` and `variants` lie below.
        names: list of tested images, exemplars' list, folder of the images.
        folders: of the classes, as the lists call them, in order.
        file: name of an image, with its number in the class.
        on_disk: what the images' own folder of a class is called.
    """
    tested, exemplars, place = names
    lines, shown = [], []
    for label, folder in enumerate(folders):
        own = root / "variants" / place / on_disk.format(folder, int(folder) if folder.isdigit() else 0)
        own.mkdir(parents=True)
        for number in range(5):
            picture(10 * label + number).convert("L" if number == 1 else "RGB").save(own / file.format(number))
            if number < 3:
                shown.append(f"{EXEMPLARS}/{place}/{folder}/{file.format(number)}")
            if number >= 3 or (label, number) == (1, 0):
                lines.append(f"{TESTED}/{tested}/{folder}/{file.format(number)}; {label}")
    clone = root / "lists"
    for path, text in (
        (clone / f"mydatasets/data_paths/{tested}.txt", "".join(f"{line}\n" for line in lines)),
        (clone / f"split/examplar_{exemplars}_imagenet.json", json.dumps(shown[::-1])),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def imagenet_variant(tmp: Path) -> Made:
    """ImageNet-A of twenty classes, its names with dots and spaces."""
    names = "imagenet-a-test-5k", "ImageNetA", "imagenet-a"
    folders = [SYNSETS[number] for number in range(6, 206, 10)]
    variant(tmp, names, folders, "0.00090{}_nail _ nail_0.89647555.jpg")
    return {}, {"root": str(tmp / "variants"), "lists": str(tmp / "lists"), "variant": "a"}
