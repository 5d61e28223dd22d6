"""Images that tables describe: several tables joined, rows chosen, groups, and what is wrong with them."""

from pathlib import Path

import pytest

from makers.small_files import picture
from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.plugins.datasets import metadata_table


def test_tables_in_the_layout_of_celeba_are_joined_and_filtered(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    attributes, splits = ["image_id,Blond_Hair,Male,Bald"], ["image_id,partition"]
    for n in range(12):
        picture(n, (20, 24)).save(tmp_path / "img" / f"{n:06d}.jpg")
        attributes.append(f"{n:06d}.jpg,{1 if n % 2 else -1},{1 if n % 3 else -1},-1")
        splits.append(f"{n:06d}.jpg,{n % 3}")
    (tmp_path / "attr.csv").write_text("\n".join(attributes))
    (tmp_path / "part.csv").write_text("\n".join(splits))
    options = {
        **defaults(metadata_table), "root": str(tmp_path), "images": "img",
        "tables": ["attr.csv", "part.csv"], "labels": {"-1": 0, "1": 1}, "groups": ["Blond_Hair", "Male"],
        "columns": {"image": "image_id", "label": "Blond_Hair", "split": "partition"},
        "classes": ["other", "blond"], "shorter": 16,
    }  # fmt: skip
    found = list(metadata_table.samples("val", {}, options))
    assert [s.key for s in found] == [f"metadata_table/{n:06d}" for n in (1, 4, 7, 10)]
    assert [s.fields["label"] for s in found] == [1, 0, 1, 0]
    assert found[0].fields["meta"] == {"group": "Blond_Hair 1, Male 1"}
    assert found[0].fields["image"].shape == (16, 16, 3)
    blond = list(metadata_table.samples("val", {}, {**options, "where": {"Blond_Hair": "1"}}))
    assert [s.key for s in blond] == [f"metadata_table/{n:06d}" for n in (1, 7)]
    with pytest.raises(DataError, match="has 4 rows of val, expected 5"):
        list(metadata_table.samples("val", {}, {**options, "counts": {"val": 5}}))
    with pytest.raises(ParamsError, match="no table has the column 'Mal'"):
        list(metadata_table.samples("val", {}, {**options, "groups": ["Mal"]}))
    (tmp_path / "attr.csv").write_text("\n".join([*attributes, attributes[2]]))
    with pytest.raises(DuplicateKeyError, match="metadata_table/000001 is named by two rows"):
        list(metadata_table.samples("val", {}, options))
    wrong = list(metadata_table.samples("train", {}, {**options, "labels": {"1": 1}}))
    assert any("the label is '-1'" in str(one) for one in wrong)
