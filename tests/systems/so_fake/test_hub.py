"""So-Fake's sets in the hub's layout: a pinned revision, labels as files state them, one path, answers of others."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from makers import hub_miniature
from makers.hub_miniature import SECOND_ORDER, SO_FAKE, so_fake_files, so_fake_rows
from makers.small_files import encoded
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.plugins.tasks import LabelSpace, forgery
from shiftbench.systems.so_fake.datasets import _hub, so_fake_ood, so_fake_set
from shiftbench.workflow.stages.train import train_weights

CLASSES = ("real", "full_synthetic", "tampered")
FIRST_ORDER = ("full_synthetic", "real", "tampered")
SPACE = LabelSpace(CLASSES, CLASSES)


def ood(root: Path, **options: Any) -> list[Any]:
    own = {"path": str(root), "revision": SO_FAKE, "side": 32, "name": "so_fake_ood", **options}
    return list(so_fake_ood.samples("test", {}, {**defaults(so_fake_ood), **own}))


@pytest.mark.parametrize("names", [SECOND_ORDER, FIRST_ORDER, None])
def test_labels_mean_what_the_files_say(tmp_path: Path, names: tuple[str, ...] | None) -> None:
    so_fake_files(tmp_path, "test", so_fake_rows(30, names), names)
    found = ood(tmp_path)
    assert [one.fields["label"] for one in found] == [0, 1, 2] * 10
    for one in found:
        forgery.check(one, list(CLASSES))
        meta = one.fields["meta"]
        assert one.fields["image"].shape == (32, 32, 3)
        assert meta["group"] == ("real" if one.fields["label"] == 0 else meta["generator"])
        assert ("cluster" in meta) == (one.fields["label"] > 0)
    assert found[5].key == "so_fake_ood/test/00000_000005"
    assert found[5].fields["meta"]["source"] == "00005"


def test_both_sets_read_their_splits(tmp_path: Path) -> None:
    _, options = hub_miniature.so_fake_set(tmp_path)
    params = {**defaults(so_fake_set), **options, "name": "so_fake_set"}
    counts = {split: len(list(so_fake_set.samples(split, {}, params))) for split in so_fake_set.NATIVE}
    assert counts == {"train": 60, "test": 24}
    assert set(so_fake_set.wants("test", params)) == {str(tmp_path)}
    assert so_fake_set.wants("test", {**params, "path": ""}) == {}


def test_without_a_pinned_revision_nothing_is_read(tmp_path: Path) -> None:
    hub_miniature.so_fake_ood(tmp_path)
    for wrong in ("", "main", "v2", SO_FAKE[:6], SO_FAKE.upper()):
        with pytest.raises(ParamsError, match=f"revision is '{wrong}'; expected the commit"):
            ood(tmp_path, revision=wrong)
    with pytest.raises(ParamsError, match="path is missing"):
        ood(tmp_path, path="")
    assert len(ood(tmp_path, revision=SO_FAKE[:8])) == 30
    with pytest.raises(DataError, match=f"is of revision {SO_FAKE}; expected {'f' * 40}"):
        ood(tmp_path, revision="f" * 40)
    (tmp_path / ".cache/huggingface/download/data/test-00000-of-00001.parquet.metadata").unlink()
    with pytest.raises(DataError, match="of revision that nothing tells"):
        ood(tmp_path)


def test_a_snapshot_names_its_revision(tmp_path: Path) -> None:
    hub_miniature.so_fake_ood(tmp_path / "snapshots" / SO_FAKE)
    assert len(ood(tmp_path / "snapshots" / SO_FAKE)) == 30
    with pytest.raises(DataError, match="expected ffff"):
        ood(tmp_path / "snapshots" / SO_FAKE, revision="ffffffff")


def test_the_mapping_is_checked_on_a_sample(tmp_path: Path) -> None:
    """Numbers of one revision under the names of another: masks and generators speak against them."""
    so_fake_files(tmp_path, "test", so_fake_rows(30, SECOND_ORDER), FIRST_ORDER)
    with pytest.raises(DataError, match="is this the encoding of the revision|and the generator"):
        ood(tmp_path)
    bare = [{**row, "filename": None, "generator": None} for row in so_fake_rows(30, SECOND_ORDER)]
    so_fake_files(tmp_path, "test", bare, ("real", "full_synthetic", "tampered"))  # the third order
    with pytest.raises(DataError, match="the mask has (no )?marked pixels"):
        ood(tmp_path)
    swapped = ("full_synthetic", "tampered", "real")  # masks fit, generators do not
    named = [{**row, "filename": None} for row in so_fake_rows(30, SECOND_ORDER)]
    so_fake_files(tmp_path, "test", named, swapped)
    with pytest.raises(DataError, match="and the generator"):
        ood(tmp_path)


VIEWED = (
    ("tampered", "openai", "part1_09462_openai_tampered.png"),
    ("real", None, "reddit_17083.jpg"),
    ("full_synthetic", "Seedream3.0", "image_00661_A_baby_smiles_while_holding_a_sign_seedream.png"),
    ("full_synthetic", "Ideogram2", "image_8142_1743630583.jpg"),
    ("full_synthetic", "imagen3", "9183_image3.png"),
    ("full_synthetic", "GPT4o", "real_reddit_3009_20250513_231642.png"),
)
"""Rows of the second revision as the hub's viewer shows them: class, generator, file name."""
FIRST_VIEWED = (
    ("real", "reddit_18500.jpg"),
    ("tampered", "06068_sd_tampered.png"),
    ("tampered", "04280_flux_part2_tampered.png"),
    ("full_synthetic", "full_synthetic_14576.png"),
)
"""Likewise of the first, which has no generators."""


def viewed(rows: Any, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return rows of a class, perhaps a generator, and a file name each."""
    made = {CLASSES[at]: row for at, row in enumerate(so_fake_rows(3, names))}
    return [made[said] | {"filename": file} | ({"generator": told[0]} if told else {}) for said, *told, file in rows]


def test_the_second_revision_names_synthetic_pictures_as_it_likes(tmp_path: Path) -> None:
    so_fake_files(tmp_path, "test", viewed(VIEWED, SECOND_ORDER), SECOND_ORDER)
    found = ood(tmp_path)
    assert [CLASSES[one.fields["label"]] for one in found] == [said for said, _, _ in VIEWED]
    assert [one.fields["meta"]["group"] for one in found] == [told or "real" for _, told, _ in VIEWED]
    clusters = {one.fields["meta"].get("cluster") for one in found}
    assert clusters == {None, "Seedream3.0", "Ideogram2", "imagen3", "GPT4o"}  # openai is GPT-4o
    sources = [one.fields["meta"]["source"] for one in found]
    assert (sources[0], sources[4]) == ("09462", "9183_image3")
    unmade = [{**row, "generator": None} for row in viewed(VIEWED, SECOND_ORDER)]
    so_fake_files(tmp_path, "test", unmade, SECOND_ORDER)
    with pytest.raises(DataError, match="the label is tampered, and the generator ''"):
        ood(tmp_path)


def test_the_first_revision_is_checked_by_its_names(tmp_path: Path) -> None:
    def rows(names: tuple[str, ...]) -> list[dict[str, Any]]:
        made = viewed(FIRST_VIEWED, names)
        return [{key: row[key] for key in ("image", "mask", "label", "filename")} for row in made]

    so_fake_files(tmp_path, "test", rows(FIRST_ORDER), FIRST_ORDER)
    with pytest.raises(DataError, match="no column 'generator': intervals could not be clustered"):
        ood(tmp_path)
    with pytest.raises(ParamsError, match="generators is 'none'"):
        ood(tmp_path, generators="none")
    found = ood(tmp_path, generators="unknown")
    assert [CLASSES[one.fields["label"]] for one in found] == [said for said, _ in FIRST_VIEWED]
    assert not any("generator" in one.fields["meta"] for one in found[1:])
    so_fake_files(tmp_path, "test", rows(FIRST_ORDER), ("real", "full_synthetic", "tampered"))
    with pytest.raises(DataError, match="and the file is named 'reddit_18500.jpg'"):
        ood(tmp_path, generators="unknown")


def test_numbers_without_names_are_refused(tmp_path: Path) -> None:
    so_fake_files(tmp_path, "test", so_fake_rows(30, SECOND_ORDER))
    with pytest.raises(DataError, match="neither the file nor the option `labels` says"):
        ood(tmp_path)
    assert [one.fields["label"] for one in ood(tmp_path, labels=list(SECOND_ORDER))][:3] == [0, 1, 2]
    with pytest.raises(DataError, match=r"labels are \('real', 'fake'\)"):
        ood(tmp_path, labels=["real", "fake"])
    so_fake_files(tmp_path, "test", so_fake_rows(30, SECOND_ORDER), SECOND_ORDER)
    with pytest.raises(DataError, match="expected one order"):
        ood(tmp_path, labels=list(FIRST_ORDER))


def test_a_later_row_that_contradicts_itself_is_a_bad_one(tmp_path: Path) -> None:
    rows = so_fake_rows(60, None)
    rows[59] = {**rows[59], "mask": None}  # tampered, without a mask; the sample of 20 does not reach it
    rows[58] = {**rows[58], "image": {"bytes": b"no picture", "path": None}}
    so_fake_files(tmp_path, "test", rows)
    found = ood(tmp_path)
    assert [isinstance(one, Sample) for one in found[-3:]] == [True, False, False]
    assert "the mask has no marked pixels" in str(found[-1])
    assert "row 58" in str(found[-2])


def test_masks_are_tracked_through_resizing(tmp_path: Path) -> None:
    rows = so_fake_rows(30, None)
    dot = np.zeros((48, 64), np.uint8)
    dot[5, 5] = 255  # a fiftieth of a pixel at 7 px
    rows[29]["mask"] = {"bytes": encoded(Image.fromarray(dot)), "path": None}
    so_fake_files(tmp_path, "test", rows)
    found = ood(tmp_path, side=7)
    assert "nothing is left of the mask at 7 x 7 pixels" in str(found[29])
    before, after = found[26].fields["meta"]["mask_share"]
    assert before == pytest.approx(22 * 30 / (48 * 64), abs=1e-6)
    assert abs(after - before) < 0.1
    whole = ood(tmp_path, side=0)
    assert whole[2].fields["image"].shape == (9, 12, 3)
    assert whole[2].fields["mask"].shape == (9, 12)


def test_columns_have_other_names(tmp_path: Path) -> None:
    rows = [
        {("picture" if name == "image" else name): value for name, value in row.items()}
        for row in so_fake_rows(12, None)
    ]
    so_fake_files(tmp_path, "test", rows)
    with pytest.raises(DataError, match=r"no column 'image'.*`columns: \{image: ITS_NAME\}`"):
        ood(tmp_path)
    assert len(ood(tmp_path, columns={"image": "picture"})) == 12
    bad = [{**row, "label": "fake"} for row in so_fake_rows(12, None)]
    so_fake_files(tmp_path, "test", bad)
    with pytest.raises(DataError, match="label is 'fake'"):
        ood(tmp_path)
    with pytest.raises(DataError, match="has no file test-"):
        ood(tmp_path / "nowhere")


def test_rows_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more rows at a time than AT_ONCE, and the first sample comes before the last row is decoded."""
    hub_miniature.so_fake_ood(tmp_path)
    decoded = []
    real = _hub._decoded
    monkeypatch.setattr(_hub, "_decoded", lambda *given: decoded.append(1) or real(*given))
    own = {"path": str(tmp_path), "revision": SO_FAKE, "side": 32, "name": "so_fake_ood"}
    stream = so_fake_ood.samples("test", {}, {**defaults(so_fake_ood), **own})
    next(stream)
    assert len(decoded) <= _hub.CHECKED + 1


# ------------------------------------------------------------------ answers of others


def published(folder: Path, table: dict[str, list[Any]], dataset: str = "so_fake_ood") -> Any:
    """Return the predictor of a file of answers."""
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(table), folder / f"{dataset}.parquet", row_group_size=4)
    job = training_jobs.job("forgery_predictions", "given", model_params={"path": str(folder)})
    file = training_jobs.write(folder.parent / "weights.safetensors", train_weights(job)[0])
    model = registry.find("models", "forgery_predictions")
    return model.load(file, {**defaults(model), "path": str(folder)}, CLASSES, "cpu", {})


@pytest.fixture
def images(tmp_path: Path) -> list[Sample]:
    hub_miniature.so_fake_ood(tmp_path / "hub")
    return ood(tmp_path / "hub")[:9]


def test_answers_are_found_by_file_name(tmp_path: Path, images: list[Sample]) -> None:
    names = [one.fields["meta"]["filename"] for one in images]
    called = ["real", "real", "tampered"] * 3
    masks = [
        {"bytes": encoded(Image.fromarray(one.fields["mask"]))} if "mask" in one.fields else None for one in images
    ]
    predict = published(tmp_path / "theirs", {"filename": names[::-1], "prediction": called[::-1], "mask": masks[::-1]})
    table = forgery.rows(images, predict(images), SPACE, "full")
    assert table["correct"].to_pylist() == [True, False, True] * 3
    assert table["mask_false"].to_pylist() == table["mask_missed"].to_pylist() == [None, None, 0] * 3


def test_answers_are_texts_with_boxes(tmp_path: Path, images: list[Sample]) -> None:
    texts = [
        "<think>a</think><answer>REAL</answer>",
        "<think>a</think><answer>FULL_SYNTHETIC</answer>",
        "<think>a</think><answer>TAMPERED,(0,0),(16,32)</answer>",
    ]
    keys = [one.key for one in images]
    predict = published(tmp_path / "theirs", {"key": keys, "answer": texts * 3})
    found = predict(images)
    assert found["logits"].argmax(1).tolist() == [0, 1, 2] * 3
    assert found["masks"][2].sum() == 16 * 32
    assert not found["masks"][0].any()
    predict = published(tmp_path / "theirs", {"key": keys, "answer": [*texts * 2, "so", *texts[:2]]})
    with pytest.raises(ModelError, match="the answer to .* is not in the format; state the class"):
        predict(images)


def test_answers_are_logits(tmp_path: Path, images: list[Sample]) -> None:
    keys = [one.key for one in images]
    logits = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    found = published(tmp_path / "theirs", {"key": keys, "logits": logits.tolist()})(images)
    assert np.array_equal(found["logits"], logits)
    assert "masks" not in found


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": ["a"]}, "expected key or filename, and one of logits, prediction, answer"),
        ({"key": ["a", "a"], "prediction": ["real"] * 2}, "has a key twice"),
        ({"key": ["a"], "prediction": ["real"]}, "has no row for key 'so_fake_ood/test/00000_000000'"),
        ({"key": ["so_fake_ood/test/00000_000000"], "prediction": ["fake"]}, "is called 'fake'"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, images: list[Sample], table: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        published(tmp_path / "theirs", table)(images)


def test_a_data_set_without_answers_is_named(tmp_path: Path, images: list[Sample]) -> None:
    predict = published(tmp_path / "theirs", {"key": ["a"], "prediction": ["real"]}, "so_fake_set")
    with pytest.raises(ModelError, match=r"so_fake_ood.parquet is not there"):
        predict(images)
