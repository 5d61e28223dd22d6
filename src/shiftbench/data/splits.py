"""Splits and subsets: decided by hashes of names, never by the order of files.

| original has  | train                    | val                  | test            |
| ------------- | ------------------------ | -------------------- | --------------- |
| train and test| nine tenths of train     | a tenth of train     | test            |
| only `all`    | 0.8 of all x nine tenths | 0.8 of all x a tenth | a fifth of all  |

A group of a dataset (an object, a review; the key by default) falls into one split as a whole. The hash
knows the group's name only: datasets that share group names (our five looks of one label space) are cut
alike, so an object that one of them trains on is a test object in none.
"""

import functools
import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample

SPLITS = ("train", "val", "test")
VAL = 0.1
TEST = 0.2


def unit(purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on both arguments only; purposes are independent.

    Example:
        >>> unit("test", "cat") == unit("test", "cat"), unit("test", "cat") == unit("val", "cat")
        (True, False)
    """
    hasher = _hasher(purpose).copy()
    hasher.update(name.encode())
    return (int.from_bytes(hasher.digest(), "big") >> 11) / 2**53


@functools.cache
def _hasher(purpose: str) -> hashlib.blake2b:
    """Hash state that is copied for each name, which takes a third less time than a new one."""
    return hashlib.blake2b(digest_size=8, person=purpose.encode())


def native(split: str, module: ModuleType) -> str:
    """Native split of a dataset that `split` is read (and perhaps cut) from.

    Raises:
        ParamsError: the dataset has no such split, and none that it can be cut from.
    """
    if split not in SPLITS:
        raise ParamsError(f"no split {split!r}; {suggest(split, SPLITS)}")
    names: tuple[str, ...] = module.NATIVE
    for name in (split, "all") if split != "val" else (split, "train", "all"):
        if name in names:
            return name
    raise ParamsError(
        f"dataset {registry.called(module)} has no split {split!r} and none to cut it from; it has {', '.join(names)}"
    )


def belongs(split: str, group: str, native_splits: tuple[str, ...], *, apart: bool = True) -> bool:
    """Whether a group of the native split that `split` is read from belongs to `split`.

    Args:
        split: train, val or test.
        group: its name.
        native_splits: what the original has.
        apart: a val that is cut from train is taken out of it.
    """
    if "all" in native_splits and "test" not in native_splits:
        in_test = unit("test", group) < TEST
        if in_test or split == "test":
            return in_test and split == "test"
    if split == "test" or "val" in native_splits or (split == "train" and not apart):
        return True
    return (unit("val", group) < VAL) == (split == "val")


def select_split(
    samples: Iterable[Sample | DataError], split: str, module: ModuleType, *, apart: bool = True
) -> Iterator[Sample | DataError]:
    """Keep the samples of the native split that belong to `split`; errors pass through.

    Args:
        samples: of `native(split, module)`.
        split: train, val or test.
        module: the dataset; its `NATIVE` and, where it has one, `group(sample) -> str`.
        apart: as for `belongs`.
    """
    group: Callable[[Sample], str] = getattr(module, "group", _key)
    for sample in samples:
        if isinstance(sample, DataError) or belongs(split, group(sample), module.NATIVE, apart=apart):
            yield sample


def select_slice(
    samples: Iterable[Sample | DataError], low: float, high: float, module: ModuleType
) -> Iterator[Sample | DataError]:
    """Keep the groups whose hash lies in [low, high): slices that do not overlap share no sample, whatever they are of.

    Args:
        samples: of one split; errors pass through.
        low: from 0.
        high: to 1.
        module: the dataset, as for `select_split`.
    """
    if (low, high) == (0, 1):
        yield from samples
        return
    group: Callable[[Sample], str] = getattr(module, "group", _key)
    for sample in samples:
        if isinstance(sample, DataError) or low <= unit("slice", group(sample)) < high:
            yield sample


def subset(samples: Iterable[Sample | DataError], amount: float | None) -> Iterator[Sample | DataError]:
    """Keep a part that is nested: every smaller amount is contained in every larger one.

    Args:
        samples: of one split; errors pass through.
        amount: how many (an int of at least 1; all when there are fewer), which fraction in (0, 1]
            (a float; the number kept is near it, not equal), or None for all.

    Raises:
        ParamsError: another amount.
    """
    if amount is None:
        return iter(samples)
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise ParamsError(f"subset is {amount!r}; expected a number of samples or a fraction in (0, 1]")
    if isinstance(amount, int):
        if amount < 1:
            raise ParamsError(f"subset is {amount}; a number of samples is at least 1")
        return _smallest(samples, amount)
    if not 0 < amount <= 1:
        raise ParamsError(f"subset is {amount}; a fraction lies in (0, 1]")
    return (s for s in samples if isinstance(s, DataError) or unit("subset", s.key) < amount)


def _smallest(samples: Iterable[Sample | DataError], amount: int) -> Iterator[Sample | DataError]:
    """Yield the errors, then the `amount` samples of smallest hash, holding no more than those."""
    heap: list[tuple[float, str, Sample]] = []
    for sample in samples:
        if isinstance(sample, DataError):
            yield sample
            continue
        entry = (-unit("subset", sample.key), sample.key, sample)
        if len(heap) < amount:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    yield from (sample for _, _, sample in sorted(heap, key=lambda entry: entry[1]))


def part(labels: Mapping[str, object], number: int, of: int) -> list[str]:
    """Keys in one of several disjoint parts, each with the classes in nearly equal numbers.

    Args:
        labels: key -> class.
        number: which part, 0 to `of` - 1.
        of: how many parts there are; each class is dealt out to them in the order of its keys' hashes.

    Example:
        >>> part({"a": 0, "b": 0, "c": 1, "d": 1}, 0, 2)
        ['b', 'd']
    """
    turns: dict[object, int] = {}
    keys = []
    for key in sorted(labels, key=lambda key: (unit("part", key), key)):
        turn = turns[labels[key]] = turns.get(labels[key], -1) + 1
        if turn % of == number:
            keys.append(key)
    return sorted(keys)


def _key(sample: Sample) -> str:
    return sample.key
