"""Forging of a split of pictures: real, fully synthetic and tampered ones; helper.

Each picture of the split is the source of one sample: by its place in the order of keys it is shown as it is, gives
way to a generator's picture of it, or has a square in which a generator's picture of another item stands. Generators
take turns. Partners and other items are of the same split, so that nothing of a picture is in two.

A square has a side of 8 to 14 pixels and lies anywhere in the picture. It is drawn again, `TRIES` times at most, while
fewer than a quarter of its pixels differ by more than `SEEN` grey levels from what was there: an edit of black on black
is none. The mask is the whole square.

Every picture of whatever class then goes through one path (`encoded`), so that nothing but its pixels says what it is.

Source: the construction of So-Fake, arXiv:2505.18660; sides of squares are the specification's, the rest is ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.systems.so_fake.datasets import _generators
from shiftbench.systems.so_fake.datasets._generators import REAL, Item, Pixels

CLASSES = (REAL, "full_synthetic", "tampered")
SYNTHETIC, TAMPERED = 1, 2
TRIES, SEEN = 8, 16


class Plan(NamedTuple):
    """Plan of the forgery of a source.

    Attributes:
        source: the picture.
        label: the sample's class.
        generator: its name; `real` for none.
        item: what the generator makes a picture of.
        partner: of the same class as the item.
        words: random words of the sample, which do not depend on the generator.
    """

    source: Item
    label: int
    generator: str
    item: Item
    partner: Item
    words: RandomStream


def samples(
    name: str, split: str, sources: Sequence[Sample], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> Iterator[Sample]:
    """Yield a sample for each source, in their order.

    Args:
        name: of the dataset; begins the keys.
        split: what the sources are of.
        sources: pictures with a `label`.
        params: `generators`, `learnt_from`, `square` and `quality`.
        inputs: of the generators.
    """
    items = [Item(source.key, source.fields["image"], source.fields["label"]) for source in sources]
    plans = [_planned(items, item_number, split, params["generators"]) for item_number in range(len(items))]
    pictures = _generated(plans, params, inputs)
    for number, plan in enumerate(plans):
        image, mask = _image(plan, pictures.get(number), params["square"])
        fields: dict[str, Any] = {"image": encoded(image, params["quality"]), "label": plan.label}
        if mask is not None:
            fields["mask"] = mask
        yield Sample(f"{name}/{split}/{number:06d}", {**fields, "meta": _meta(plan)})


def encoded(image: Pixels, quality: int) -> Pixels:
    """An image after the path that all images take: encoded as a JPEG of that quality, and decoded again.

    Raises:
        DataError: it cannot be coded.
    """
    options = (cv2.IMWRITE_JPEG_QUALITY, quality)
    colour = image.ndim == 3
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else np.ascontiguousarray(image)
    flag = cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE
    pixels = cv2.imdecode(cv2.imencode(".jpg", ordered, options)[1], flag)
    if pixels is None:
        raise DataError(f"an image of shape {image.shape} cannot be coded as JPEG")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if colour else pixels, np.uint8)


def _planned(items: Sequence[Item], number: int, split: str, generators: Sequence[str]) -> Plan:
    turn, label = divmod(number, len(CLASSES))
    words = RandomStream(0, "forged", "forged_fashion_mnist", f"{split}/{number:06d}")
    item_word, partner_word = (int(word) for word in words.raw(2))
    source = items[number]
    item = _other_item(items, number, item_word) if label == TAMPERED else source
    partners = [
        candidate
        for candidate in items
        if candidate.label == item.label and candidate.key not in (item.key, source.key)
    ]
    if not partners:
        raise DataError(f"{source.key}: no other picture of class {item.label} is in its split")
    generator = generators[turn % len(generators)] if label else REAL
    return Plan(source, label, generator, item, partners[partner_word % len(partners)], words)


def _other_item(items: Sequence[Item], number: int, word: int) -> Item:
    return items[(number + 1 + word % (len(items) - 1)) % len(items)]


def _generated(plans: Sequence[Plan], params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> dict[int, Pixels]:
    """The generators' pictures, by the number of the sample."""
    pictures: dict[int, Pixels] = {}
    for name in params["generators"]:
        numbers = [number for number, plan in enumerate(plans) if plan.generator == name]
        if numbers:
            generate = _generators.make(name, params["learnt_from"], inputs)
            words = [plans[number].words.of("generator") for number in numbers]
            items, partners = ([getattr(plans[n], role) for n in numbers] for role in ("item", "partner"))
            pictures |= dict(zip(numbers, generate(items, partners, words), strict=True))
    return pictures


def _image(plan: Plan, forged: Pixels | None, sides: Sequence[int]) -> tuple[Pixels, Pixels | None]:
    """The pixels of a sample and, of a tampered one, its mask."""
    if forged is None:
        return plan.source.image, None
    if plan.label == SYNTHETIC:
        return forged, None
    place = _square(plan, forged, sides)
    image, mask = plan.source.image.copy(), np.zeros_like(plan.source.image)
    image[place], mask[place] = forged[place], 255
    return image, mask


def _square(plan: Plan, forged: Pixels, sides: Sequence[int]) -> tuple[slice, slice]:
    differs = np.abs(forged.astype(np.int16) - plan.source.image) > SEEN
    height, width = forged.shape
    words = plan.words.of("square")
    place = slice(0, height), slice(0, width)
    for _ in range(TRIES):
        side = int(words.integers(sides[0], sides[1] + 1))
        top, left = (int(words.integers(0, size - side + 1)) for size in (height, width))
        place = slice(top, top + side), slice(left, left + side)
        if 4 * differs[place].sum() >= side**2:
            break
    return place


def _meta(plan: Plan) -> dict[str, Any]:
    """The generator as group and cluster; of a real picture, which has none, the cluster is its source."""
    family = REAL if plan.generator == REAL else _generators.family(plan.generator)
    donors = {plan.item.key, plan.partner.key} - {plan.source.key} if plan.label else set()
    return {
        "group": plan.generator,
        "cluster": plan.source.key if plan.generator == REAL else plan.generator,
        "generator": plan.generator,
        "family": family,
        "source": plan.source.key,
        "donors": sorted(donors),
    }
