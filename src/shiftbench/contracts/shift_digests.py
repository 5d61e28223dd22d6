"""Digests of what every shift and encoder makes; run as a script, it prints them as JSON.

    python tests/makers/shift_digests.py [NAME...]

The script is run under emulated CPUs and with older libraries as well, so it imports no more than it needs.
"""

import atexit
import hashlib
import json
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from PIL import Image

from shiftbench.base import registry, rng
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import codecs
from shiftbench.evaluation.apply_shift import shift_sample

TEXT = "The quick brown Fox didn't jump over 13 lazy dogs. Très bien, Straße!"
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
BETWEEN = (0.4, 2.5)


def picture(*shape: int) -> np.ndarray:
    """Return a smooth image with edges and some texture, from integers only."""
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width]
    base = (255 * y) // height + 64 * ((x * 5 // width) % 2) + (x * x + 3 * x * y) % 13
    layers = np.stack([base, 255 - base // 2, (x * 255) // width + (y * y) % 7], axis=-1)
    pixels: np.ndarray = np.clip(layers, 0, 255).astype(np.uint8)
    return pixels if len(shape) == 3 else pixels[..., 0].copy()


def disk(height: int, width: int) -> np.ndarray:
    """Return a mask uint8 (h, w): a disk over a third of the image, left of the middle, with a soft edge."""
    y, x = np.mgrid[:height, :width]
    far = (2 * y - height + 1) ** 2 * width * width + (2 * x - width * 3 // 4) ** 2 * height * height
    reach = 4 * (height * width) ** 2 // 9
    return np.clip((reach - far) * 1024 // max(reach, 1), 0, 255).astype(np.uint8)


def masked(*shape: int, key: str = "k") -> Sample:
    """Return a sample with an image and the mask of the object in it."""
    return Sample(key, {"image": picture(*shape), "mask": disk(*shape[:2]), "label": 0})


def sound(samples: int) -> np.ndarray:
    """Return audio int16 (samples,): two sawtooth tones that come and go, from integers only."""
    n = np.arange(samples, dtype=np.int64)
    tones = (n * 97 % 3200 - 1600) * 7 + (n * 311 % 2048 - 1024) * 3
    wave: np.ndarray = (tones * (n % 4096) // 4096).astype(np.int16)
    return wave


def clip(samples: int = 9000) -> Sample:
    """Return a clip with audio and two targets for each frame."""
    count = -(-samples // 640)
    values = [[at * 37 % 1001, at * 211 % 1001] for at in range(count)]
    targets = {"names": ["openness", "width"], "values": values}
    return Sample("k", {"audio": sound(samples), "targets": targets})


SOUNDS = (sound(640), sound(9001))
PICTURES = (picture(28, 28), picture(33, 57, 3), picture(224, 224, 3))
MASKED = (masked(28, 28), masked(33, 57, 3), masked(96, 96, 3))


def applied() -> list[str]:
    """Return the names of all shifts that can be applied (that are no domain shifts)."""
    names = registry.names("shifts")
    return [name for name in names if not hasattr(registry.find("shifts", name), "DOMAIN")]


SOLUTION = """    # every number
    total, limit = 0, 3
    for number in numbers:
        if number > limit and total >= 0:
            total += number
    while total > 100:
        total -= 100
    return total
"""
PROMPT = '''def add_large(numbers: list) -> int:
    """ Check the numbers, and return the sum of those that are larger than a limit.

    >>> add_large([1, 5])
    5
    """
'''


def prompt(given: int) -> Sample:
    """Return a code prompt with the first lines of its solution."""
    lines = SOLUTION.splitlines(keepends=True)
    test = "def check(candidate):\n    assert candidate([1, 5]) == 5\n"
    meta = {"task_id": "t", "entry_point": "add_large", "test": test}
    meta["canonical_solution"] = "".join(lines[given:])
    return Sample("k", {"text": PROMPT + "".join(lines[:given]), "meta": meta})


def values(module: ModuleType) -> tuple[Any, ...]:
    """Return what a shift is tried on, by its field, or by its task where it takes a whole sample."""
    if getattr(module, "TASK", "") == "generation":
        return (prompt(0), prompt(4))
    if getattr(module, "TASK", "") == "few_shot_regression":
        return sinusoids()
    if getattr(module, "TASK", "") == "audio_visual":
        return (clip(), clip(1300))
    if getattr(module, "TASK", "") == "free_text":
        return phrasings() if hasattr(module, "FORMS") else chains()
    if getattr(module, "TASK", "") == "text_classification":
        return translated()
    if getattr(module, "TASK", "") == "table_question":
        return claims()
    by_field = {"text": (TEXT,), None: MASKED, "label": (0, 3, 9), "audio": SOUNDS}
    return by_field.get(module.FIELD, PICTURES)


@cache
def sinusoids() -> tuple[Sample, ...]:
    """Return a dozen regression tasks."""
    dataset = registry.find("datasets", "sinusoid_tasks")
    return tuple(dataset.samples("test", {}, {**defaults(dataset), "count": 12, "query": 40}))


def translated() -> tuple[Sample, ...]:
    """Return an item with its translations into each language that a shift names."""
    told = {
        language: {"language": language, "text": f"{language} {TEXT}", "options": [["a", language]]}
        for language in "ar de es fr hi it ko pt ru zh".split()
    }
    meta = {"language": "en", "options": [["a", "a"]], "translations": told}
    return (Sample("k", {"text": TEXT, "label": 0, "meta": meta}),)


def phrasings() -> tuple[Sample, ...]:
    """Return questions about which of two is nearer, of the first and of the second."""
    text = "Which object is closer to {}?\n(A) red\n(B) blue"
    return tuple(
        Sample(answer, {"text": text.format(of), "meta": {"choices": ["red", "blue"], "answer": answer}})
        for of, answer in (("the camera", "A"), ("green", "B"))
    )


@cache
def chains() -> tuple[Sample, ...]:
    """Return questions of which each carries a program of twelve steps."""
    dataset = registry.find("datasets", "chain_mod")
    options = {"name": "chain_mod", "most": 12, "lengths": [12], "test_count": 6}
    return tuple(dataset.samples("test", {}, {**defaults(dataset), **options}))


@cache
def claims() -> tuple[Sample, ...]:
    """Return claims about tables of twenty rows, with as many columns of texts as of numbers."""
    found = []
    for number in range(6):
        header = [f"Sum of {letter}" for letter in "abcdefgh"] + [f"Size {n}" for n in range(8)]
        rows = [
            [f"{letter}{row} name" for letter in "abcdefgh"] + [f"{1000 * row + n}" for n in range(8)]
            for row in range(20)
        ]
        table = {"header": header, "rows": rows, "caption": f"table {number}"}
        form = {"operation": "highest", "column": "Size 3", "value": "19003"}
        meta = {"answer": True, "group": "highest", "form": form}
        fields = {"text": "the highest Size 3 is 19003", "table": table, "meta": meta}
        found.append(Sample(f"k{number}", fields))
    return tuple(found)


def apply(module: ModuleType, value: Any, severity: float, stream_rng: rng.RandomStream, **options: object) -> Any:
    """Apply a shift to a value, with miniatures of the originals that it reads."""
    files = {"sources": originals()} if getattr(module, "SOURCES", ()) else {}
    given = {**defaults(module), **options, **files}
    if isinstance(value, Sample):
        return shift_sample(value, module, severity, given, stream_rng)
    return module.apply(value, severity, stream_rng, **given)


@cache
def originals() -> dict[str, Path]:
    """Return folders that are laid out like the originals which shifts read, with images of ours."""
    from shiftbench.plugins.shifts import _backgrounds, _cutouts, _scikit_photos, frost

    home = Path(tempfile.mkdtemp(prefix="shiftbench-miniatures-"))
    atexit.register(shutil.rmtree, home)
    photos = {
        "frost_textures": frost.TEXTURES["photo6"],
        _backgrounds.SOURCE: _backgrounds.listed(),
        _scikit_photos.SOURCE: (*_scikit_photos.TRAINING, *_scikit_photos.HELD_OUT),
    }
    for source, names in photos.items():
        for number, name in enumerate(names):
            pixels = np.roll(picture(240 + 10 * (number % 3), 260, 3), 17 * number, axis=(0, 1))
            _save(home / source / name, Image.fromarray(pixels))
    for number, name in enumerate(_cutouts.listed()):
        size = (150, 40) if number == 0 else (80, 60 + number)  # a tall one, too
        stamp = Image.fromarray(picture(*size, 3))
        stamp.putalpha(Image.fromarray(disk(*size)))
        _save(home / _cutouts.SOURCE / name, stamp)
    _wordnet(home / "wordnet")
    _codespell(home / "codespell")
    return {folder.name: folder for folder in home.iterdir()}


def _wordnet(folder: Path) -> None:
    """Write a database of three senses: sum and total, dog and tyke; check and verify."""
    folder.mkdir()
    senses = {"noun": (("sum", "total"), ("dog", "tyke")), "verb": (("check", "verify"),)}
    for part in ("noun", "verb", "adj", "adv"):
        index = data = ""
        for words in senses.get(part, ()):
            named = " ".join(f"{word} 0" for word in words)
            line = f"{len(data):08d} 00 {part[0]} {len(words):02x} {named} 000 | so\n"
            index += "".join(f"{word} {part[0]} 1 0 1 0 {len(data):08d}\n" for word in words)
            data += line
        (folder / f"index.{part}").write_text(index)
        (folder / f"data.{part}").write_text(data)
        (folder / f"{part}.exc").write_text("")


def _codespell(folder: Path) -> None:
    """Write lists in which two words of the text are misspelt and two are spelt otherwise."""
    folder.mkdir()
    (folder / "dictionary.txt").write_text("quik->quick\nqick->quick\nlasy->lazy\nteh->the, then,\n")
    (folder / "dictionary_en-GB_to_en-US.txt").write_text("browne->brown\ndogges->dogs\n")


def _save(file: Path, image: Image.Image) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, "PNG")  # whatever it is called: decoders go by content


def cases(module: ModuleType) -> list[tuple[str, float, dict[str, object]]]:
    """Return (name, severity, options) of what is digested of a shift."""
    if getattr(module, "INPUTS", False) or "path" in defaults(module):
        return [("0", 0.0, {})]  # its bytes are those of a model, or of the user's files
    if not module.LEVELS:
        top = module.RANGE[1]
        return [(f"{severity:g}", severity, {}) for severity in sorted({0.0, top / 2, top})]
    options: dict[str, object] = getattr(module, "CONTINUOUS", {})
    found = [(f"{level:g}", level, dict[str, object]()) for level in LEVELS]
    found += [(f"{severity:g}", severity, options) for severity in BETWEEN]
    return found + ([("continuous 3", 3.0, options)] if options else [])


def shift_digest(name: str) -> dict[str, str]:
    """Return a digest over all inputs for each severity of a shift."""
    module = registry.find("shifts", name)
    found = {}
    for case, severity, options in cases(module):
        state = hashlib.sha256()
        for number, value in enumerate(values(module)):
            stream_rng = rng.RandomStream(0, name, "golden", str(number))
            state.update(digest(apply(module, value, severity, stream_rng, **options)).encode())
        found[case] = state.hexdigest()[:16]
    return found


def digest(value: Any) -> str:
    """Return the digest of an image, a text, a label, a sample's image and mask, or all that a sample without has."""
    if isinstance(value, Sample) and "query" in value.fields:
        return "".join(codecs.pixel_digest(value.fields[name]) for name in sorted(value.fields))
    if isinstance(value, Sample) and "audio" in value.fields:
        rest = {name: own for name, own in value.fields.items() if name != "audio"}
        return codecs.pixel_digest(value.fields["audio"]) + codecs.pixel_digest(rest)
    if isinstance(value, Sample) and "image" not in value.fields:
        return codecs.pixel_digest(value.fields)
    if isinstance(value, Sample):
        return codecs.pixel_digest(value.fields["image"]) + codecs.pixel_digest(value.fields["mask"])
    return f"{value}" if isinstance(value, int) else codecs.pixel_digest(value)


def encoder_digest() -> str:
    """Return a digest of the PNG bytes of clean and noisy images."""
    noise = registry.find("shifts", "gaussian_noise")
    state = hashlib.sha256()
    for value in PICTURES:
        state.update(codecs.encode("png", value))
        noisy = noise.apply(value, 3.0, rng.RandomStream(0, "gaussian_noise", "golden", "png"))
        state.update(codecs.encode("png", noisy))
    return state.hexdigest()[:32]


def table_digest() -> str:
    """Return a digest of the random tables."""
    state = hashlib.sha256(rng.normal_table().astype("<i4").tobytes())
    for rate in (0.01, 1.0, 3.7, 60.0, 1000.0):
        state.update(rng.poisson_table(rate).astype("<i8").tobytes())
    return state.hexdigest()[:32]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    digests: dict[str, Any] = {name: shift_digest(name) for name in sys.argv[1:] or applied()}
    if not sys.argv[1:]:
        digests |= {"png": encoder_digest(), "tables": table_digest()}
    sys.stdout.write(json.dumps(digests))
