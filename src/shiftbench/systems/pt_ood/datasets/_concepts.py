"""Choice of familiar and of unseen OOD synsets by WordNet, so that no class is an ID class in other words.

    familiar    a hundred of ImageNet-1k's thousand, none of them above or below a class of an ID set in WordNet
    unseen      for each of these the nearest synset of ImageNet-21k that is neither one of the thousand, nor above or
                below one of them or of an ID class: the same source and kind of picture, not seen in pre-training
    held        a hundred more of the latter, for validation: by them options of detectors are chosen, and no test set

Names of ID classes stand for all of their senses, so that rather too much is left out. Of the pets' breeds and of the
dishes, `cat`, `dog`, `food` and `dish` are taken instead, since each class lies below one of them. What is drawn is
drawn by the hash of the synset. `python -m shiftbench.systems.pt_ood.datasets._concepts` writes the three files again.

Source: the lists of PT-OOD (2023, arXiv:2310.00847) were never released, so these are ours. ImageNet-21k's synsets are
those of its winter 2021 release with 500 images and more (Ridnik et al. 2021, arXiv:2104.10972), as timm lists them.
"""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from shiftbench.data import source_files, splits
from shiftbench.plugins.datasets import cifar10, cifar100, imagenet
from shiftbench.plugins.datasets._nouns import Nouns

PARTS = ("familiar", "unseen", "held")
COUNT = 100
ID_NAMES = {
    "cifar10": cifar10.CLASSES,
    "cifar100": cifar100.CLASSES,
    "oxford_pet": ("cat", "dog"),
    "food101": ("food", "dish"),
}
OTHER_WORDS = {"aquarium_fish": "fish", "maple_tree": "maple"}
"""Names that WordNet has not -> the names under which it has them."""
LISTED = "imagenet21k_miil_w21_synsets.txt"


def read(part: str) -> tuple[str, ...]:
    """The synsets of a part, in the order of its labels."""
    return tuple(_file(part).read_text("ascii").split())


def of_names(nouns: Nouns) -> list[str]:
    """All senses of every ID class."""
    names = {OTHER_WORDS.get(name, name) for names_of_class in ID_NAMES.values() for name in names_of_class}
    return sorted({sense for name in names for sense in nouns.senses(name)})


def familiar(nouns: Nouns, thousand: Sequence[str], known: Sequence[str], count: int) -> list[str]:
    """`count` of the thousand that no known synset is related to, in ascending order."""
    free = [synset for synset in thousand if not nouns.related(synset, known)]
    return sorted(sorted(free, key=_lot)[:count])


def nearest(nouns: Nouns, synsets: Sequence[str], candidates: Sequence[str]) -> list[str]:
    """The nearest of `candidates` to each synset that is not taken yet; of equally near ones the first by lot."""
    remaining, neighbours = sorted(candidates, key=_lot), []
    for synset in synsets:
        neighbours.append(min(remaining, key=lambda other: nouns.distance(synset, other)))
        remaining.remove(neighbours[-1])
    return neighbours


def choose_synsets(
    nouns: Nouns, thousand: Sequence[str], listed: Sequence[str], count: int = COUNT
) -> dict[str, list[str]]:
    """The synsets of each part.

    Args:
        nouns: WordNet.
        thousand: what is pre-trained on.
        listed: of which there are pictures.
        count: of each part.
    """
    id_synsets, pretraining_synsets = of_names(nouns), set(thousand)
    first = familiar(nouns, thousand, id_synsets, count)
    related = [*id_synsets, *thousand]
    candidates = [s for s in listed if s not in pretraining_synsets and not nouns.related(s, related)]
    twins = nearest(nouns, first, candidates)
    return {"familiar": first, "unseen": twins, "held": nearest(nouns, first, sorted(set(candidates) - set(twins)))}


def main() -> None:
    """Write the files again."""
    listed = (importlib.resources.files("timm") / "data/_info" / LISTED).read_text().split()
    thousand = Path(imagenet.__file__).with_name(imagenet.ASSETS[0]).read_text("ascii").split()
    nouns = Nouns(Path(source_files.original_folder("wordnet")))
    for part, synsets in choose_synsets(nouns, thousand, listed).items():
        _file(part).write_text("\n".join(synsets) + "\n")


def _lot(synset: str) -> float:
    return splits.unit("familiar", synset)


def _file(part: str) -> Path:
    return Path(__file__).with_name(f"{part}.txt")


if __name__ == "__main__":
    main()
