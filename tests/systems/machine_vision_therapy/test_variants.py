"""ImageNet variants by the official lists, on a miniature of their names and layout, and the masks of classes."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import mvt_miniature
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.systems.machine_vision_therapy.datasets import imagenet_variant as variants

TOLD = {
    "a": """
        6 11 13 15 17 22 23 27 30 37 39 42 47 50 57 70 71 76 79 89 90 94 96 97 99 105 107 108 110 113 124 125 130 132
        143 144 150 151 207 234 235 254 277 283 287 291 295 298 301 306 307 308 309 310 311 313 314 315 317 319 323
        324 326 327 330 334 335 336 347 361 363 372 378 386 397 400 401 402 404 407 411 416 417 420 425 428 430 437
        438 445 456 457 461 462 470 472 483 486 488 492 496 514 516 528 530 539 542 543 549 552 557 561 562 569 572
        573 575 579 589 606 607 609 614 626 627 640 641 642 643 658 668 677 682 684 687 701 704 719 736 746 749 752
        758 763 765 768 773 774 776 779 780 786 792 797 802 803 804 813 815 820 823 831 833 835 839 845 847 850 859
        862 870 879 880 888 890 897 900 907 913 924 932 933 934 937 943 945 947 951 954 956 957 959 971 972 980 981
        984 986 987 988
    """,
    "r": """
        1 2 4 6 8 9 11 13 22 23 26 29 31 39 47 63 71 76 79 84 90 94 96 97 99 100 105 107 113 122 125 130 132 144 145
        147 148 150 151 155 160 161 162 163 171 172 178 187 195 199 203 207 208 219 231 232 234 235 242 245 247 250
        251 254 259 260 263 265 267 269 276 277 281 288 289 291 292 293 296 299 301 308 309 310 311 314 315 319 323
        327 330 334 335 337 338 340 341 344 347 353 355 361 362 365 366 367 368 372 388 390 393 397 401 407 413 414
        425 428 430 435 437 441 447 448 457 462 463 469 470 471 472 476 483 487 515 546 555 558 570 579 583 587 593
        594 596 609 613 617 621 629 637 657 658 701 717 724 763 768 774 776 779 780 787 805 812 815 820 824 833 847
        852 866 875 883 889 895 907 928 931 932 933 934 936 937 943 945 947 948 949 951 953 954 957 963 965 967 980
        981 983 988
    """,
    "v": """
        403 404 412 413 422 425 427 428 430 437 456 465 471 479 481 483 484 487 492 497 504 505 508 515 517 519 521
        526 528 535 547 555 559 561 567 569 571 579 589 603 606 609 621 628 640 650 652 657 658 670 671 672 673 681
        682 695 698 703 716 721 736 742 745 750 751 755 759 761 763 765 770 779 782 807 817 831 843 846 847 849 859
        861 873 879 882 883 895 915 919 920 928 930 933 934 945 948 951 959 963 966
    """,
}
"""Numbers of the classes that ImageNet-A, -R and -V have."""
MASKS = {name: [int(number) for number in text.split()] for name, text in TOLD.items()}
IMAGENET = registry.find("datasets", "imagenet").classes({}, {})


def read(split: str, params: dict[str, Any]) -> list[Sample]:
    found = list(variants.samples(split, {}, {**defaults(variants), **params}))
    assert all(isinstance(one, Sample) for one in found), found
    return found  # type: ignore[return-value]


def test_lists_name_exemplars_and_tested_images(tmp_path: Path) -> None:
    _, params = mvt_miniature.imagenet_variant(tmp_path)
    tested, shown = read("test", params), read("train", params)
    assert (len(tested), len(shown)) == (41, 59)  # the exemplar that is tested is left out
    assert len(read("train", {**params, "overlap": "keep"})) == 60
    assert tested[0].key == "imagenet_variant/a/n01498041/0_000903_nail _ nail_0_89647555"
    assert [one.fields["label"] for one in tested[:5]] == [0, 0, 1, 1, 1]
    names = variants.classes({**defaults(variants), **params}, {})
    assert names[:2] == (IMAGENET[6], IMAGENET[16])
    allowed = LabelSpace(IMAGENET, names).allowed
    assert allowed.tolist() == list(range(6, 206, 10))
    sides = {one.fields["image"].shape[:2] for one in read("test", {**params, "shorter": 16, "side": 16})}
    assert sides == {(16, 16)}


def test_v2_counts_its_folders_with_and_without_zeros(tmp_path: Path) -> None:
    found = []
    for name, on_disk in (("padded", "{0}"), ("bare", "{1}")):
        names = variants.VARIANTS["v2"]
        folders = [f"{number:04d}" for number in (0, 1, 2, 10, 999)]
        mvt_miniature.variant(tmp_path / name, names, folders, "f{}0.jpeg", on_disk=on_disk)
        params = {"root": str(tmp_path / name / "variants"), "lists": str(tmp_path / name / "lists"), "variant": "v2"}
        found.append(read("test", params))
        assert variants.classes({**defaults(variants), **params}, {})[-1] == IMAGENET[999]
    one, other = ([(s.key, s.fields["label"]) for s in some] for some in found)
    assert one == other
    assert np.array_equal(found[0][3].fields["image"], found[1][3].fields["image"])


@pytest.mark.parametrize(
    ("variant", "digest"), [("a", "973e8c3e530bf5db"), ("r", "a1d9a9ace3098120"), ("v", "f58658a71b545ce1")]
)
def test_masks_are_the_published_ones(variant: str, digest: str, tmp_path: Path) -> None:
    """CLASS_SUBLIST of the authors: the classes of a list whose folders are those of the variant, in order."""
    numbers = MASKS[variant]
    assert hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()[:16] == digest
    names = variants.VARIANTS[variant]
    file = tmp_path / f"mydatasets/data_paths/{names[0]}.txt"
    file.parent.mkdir(parents=True)
    synsets = mvt_miniature.SYNSETS
    file.write_text("".join(f"/x/{synsets[n]}/a.png; {at}\n" for at, n in enumerate(numbers)))
    params = {**defaults(variants), "lists": str(tmp_path), "variant": variant}
    assert variants._numbers(params) == numbers


def test_what_is_no_such_list_is_refused(tmp_path: Path) -> None:
    _, params = mvt_miniature.imagenet_variant(tmp_path)
    file = tmp_path / "lists/mydatasets/data_paths/imagenet-a-test-5k.txt"
    lines = file.read_text().splitlines()
    for text, why in (
        (f"{lines[0]}\nn01498041/a.jpg 3\n", "line 2: 'n01498041/a.jpg 3' is no `path; label`"),
        ("\n".join([lines[0], lines[2].replace("; 1", "; 0")]), "label 0 has two folders"),
        ("\n".join([lines[0].replace("; 0", "; 1"), lines[2].replace("; 1", "; 0")]), "in their order"),
        ("/x/n00000000/a.jpg; 0\n", "'n00000000' is no synset"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=why):
            read("test", params)
    file.write_text("\n".join([*lines[:-1], lines[-1].replace("000904", "000907")]))
    *_, last = variants.samples("test", {}, {**defaults(variants), **params})
    assert "does not exist; unpack the variant below `root`" in str(last)
    (tmp_path / "lists/split/examplar_ImageNetA_imagenet.json").write_text("{")
    with pytest.raises(DataError, match="is no JSON list of paths"):
        read("train", params)
    for changed, why in (
        ({"variant": "c"}, "variant is 'c'"),
        ({"overlap": "both"}, "overlap is 'both'"),
        ({"lists": ""}, "option lists is missing"),
        ({"root": ""}, "option root is missing"),
    ):
        with pytest.raises(ParamsError, match=why):
            read("test", {**params, **changed})
    with pytest.raises(DataError, match="does not exist; `lists` is a clone"):
        read("test", {**params, "lists": str(tmp_path / "none")})
