import itertools
from types import ModuleType, SimpleNamespace
from typing import cast

import pytest

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import splits

SAMPLES = [Sample(f"toy/all/{i:04d}", {"label": 0}) for i in range(2000)]


def dataset(*native: str, **more: object) -> ModuleType:
    return cast("ModuleType", SimpleNamespace(__name__="datasets.toy", NATIVE=native, **more))


def keys(split: str, module: ModuleType) -> set[str]:
    return {s.key for s in splits.select_split(SAMPLES, split, module) if isinstance(s, Sample)}


def test_all_is_cut_in_three() -> None:
    parts = {split: keys(split, dataset("all")) for split in splits.SPLITS}
    assert sum(map(len, parts.values())) == len(SAMPLES) == len(set.union(*parts.values()))
    assert len(parts["test"]) == pytest.approx(400, abs=60)  # a fifth
    assert len(parts["val"]) == pytest.approx(160, abs=40)  # a tenth of the rest


def test_val_is_cut_from_train() -> None:
    module = dataset("train", "test")
    assert [splits.native(split, module) for split in splits.SPLITS] == ["train", "train", "test"]
    train, val = keys("train", module), keys("val", module)
    assert len(train) + len(val) == len(SAMPLES) == len(train | val)
    assert len(val) == pytest.approx(200, abs=45)
    assert len(keys("test", module)) == len(SAMPLES)


def test_val_within_train_is_the_same_tenth_and_train_keeps_it() -> None:
    module = dataset("train", "test")
    whole = {s.key for s in splits.select_split(SAMPLES, "train", module, apart=False) if isinstance(s, Sample)}
    within = {s.key for s in splits.select_split(SAMPLES, "val", module, apart=False) if isinstance(s, Sample)}
    assert len(whole) == len(SAMPLES)
    assert within == keys("val", module)


def test_what_the_original_has_is_kept() -> None:
    module = dataset("train", "val", "test")
    assert all(len(keys(split, module)) == len(SAMPLES) for split in splits.SPLITS)


def test_groups_stay_together_and_agree_between_datasets() -> None:
    def group(sample: Sample) -> str:
        return sample.key[-2:]  # a hundred groups of twenty

    one, other = dataset("all", group=group), dataset("all", group=lambda s: s.key[-2:])
    groups = {split: {key[-2:] for key in keys(split, one)} for split in splits.SPLITS}
    assert sum(map(len, groups.values())) == 100
    assert keys("test", one) == keys("test", other)


def test_slices_share_no_sample_and_keep_groups_whole() -> None:
    def sliced(low: float, high: float, module: ModuleType) -> set[str]:
        found = splits.select_slice(SAMPLES, low, high, module)
        return {s.key for s in found if isinstance(s, Sample)}

    one, other = sliced(0.0, 0.3, dataset("all")), sliced(0.3, 1.0, dataset("all"))
    assert not one & other
    assert len(one | other) == len(SAMPLES)
    assert len(one) == pytest.approx(600, abs=60)
    grouped = dataset("all", group=lambda sample: sample.key[-2:])
    assert len(sliced(0.0, 0.3, grouped)) % 20 == 0  # a hundred groups of twenty


def test_errors_pass_through() -> None:
    bad = DataError("toy/all/x: broken")
    assert list(splits.select_split([bad], "val", dataset("all"))) == [bad]
    assert list(splits.subset([bad], 0.001)) == list(splits.subset([bad], 1)) == [bad]


def test_subsets_are_nested() -> None:
    amounts: list[float] = [10, 0.05, 150, 0.1, 500, 0.5, 1.0]
    parts = [{s.key for s in splits.subset(SAMPLES, a) if isinstance(s, Sample)} for a in amounts]
    assert all(small < large for small, large in itertools.pairwise(parts))
    assert [len(parts[i]) for i in (0, 2, 4, 6)] == [10, 150, 500, 2000]
    assert len(list(splits.subset(SAMPLES, 9999))) == len(list(splits.subset(SAMPLES, None))) == 2000


def test_subset_is_independent_of_order_and_of_the_split() -> None:
    some = {s.key for s in splits.subset(SAMPLES, 500) if isinstance(s, Sample)}
    assert some == {s.key for s in splits.subset(SAMPLES[::-1], 500) if isinstance(s, Sample)}
    in_test = len(some & keys("test", dataset("all")))
    assert in_test == pytest.approx(100, abs=35)


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        (0, "a number of samples is at least 1"),
        (1.5, r"a fraction lies in \(0, 1\]"),
        (True, "expected a number of samples or a fraction"),
        ("all", "subset is 'all'"),
    ],
)
def test_wrong_amount(amount: float, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        splits.subset(SAMPLES, amount)


def test_wrong_split() -> None:
    with pytest.raises(ParamsError, match=r"no split 'tset'; did you mean test\?"):
        splits.native("tset", dataset("all"))
    with pytest.raises(ParamsError, match="dataset toy has no split 'train' .* it has test"):
        splits.native("train", dataset("test"))
