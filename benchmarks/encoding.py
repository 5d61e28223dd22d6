"""Size and speed of lossless image encodings, on one core: the measurement behind docs/encoding.md.

    python benchmarks/encoding.py [--seconds 0.5]

Three sets of 40 images, cut from the two photographs of scikit-learn: 28 px grey, 128 px colour clean,
128 px colour under Gaussian noise of severity 3. Times are processor time, so that a busy machine
does not count. QOI is measured where the package `qoi` is installed.
"""

import argparse
import importlib.util
import io
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.corruption import corrupt

Codec = tuple[Callable[[np.ndarray], bytes], Callable[[bytes], np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="least time of each measurement")
    seconds = parser.parse_args().seconds
    cv2.setNumThreads(1)
    sets = pictures()
    print("Each cell: bytes per image; encoded, decoded images per second.\n")
    print("| encoding | " + " | ".join(sets) + " |")
    print("| --- |" + " --- |" * len(sets))
    for name, codec in candidates().items():
        cells = [measured(codec, images, seconds) for images in sets.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def pictures(count: int = 40) -> dict[str, list[np.ndarray]]:
    photos = load_sample_images().images
    rng = RandomStream(0, "crops", "benchmark", "encoding")
    clean = []
    for number in range(count):
        photo = photos[number % len(photos)]
        top, left = (int(rng.integers(0, side - 256)) for side in photo.shape[:2])
        crop = photo[top : top + 256, left : left + 256]
        clean.append(cv2.resize(crop, (128, 128), interpolation=cv2.INTER_AREA))
    small = [cv2.resize(image[..., 1], (28, 28), interpolation=cv2.INTER_AREA) for image in clean]
    noisy = [corrupt(image, "gaussian_noise", key=str(i)) for i, image in enumerate(clean)]
    return {"28 px grey": small, "128 px photo": clean, "128 px noise": noisy}


def candidates() -> dict[str, Codec]:
    level, strategy = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY
    rle, huffman = cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY
    filtered = cv2.IMWRITE_PNG_STRATEGY_FILTERED
    found = {
        "**PNG, OpenCV, level 1, run-length**": opencv(level, 1, strategy, rle),
        "PNG, OpenCV, its default": opencv(),
        "PNG, OpenCV, level 1, Huffman only": opencv(level, 1, strategy, huffman),
        "PNG, OpenCV, level 1, filtered": opencv(level, 1, strategy, filtered),
        "PNG, OpenCV, level 6, filtered": opencv(level, 6, strategy, filtered),
        **{f"PNG, Pillow, level {n}": pillow("PNG", compress_level=n) for n in (1, 3, 6, 9)},
        "WebP lossless, Pillow, method 0": pillow("WEBP", lossless=True, method=0, quality=0),
        "WebP lossless, Pillow, method 4": pillow("WEBP", lossless=True, method=4),
        "WebP lossless, Pillow, method 6": pillow("WEBP", lossless=True, method=6, quality=100),
        "raw npy": (npy, lambda data: np.load(io.BytesIO(data))),
    }
    if importlib.util.find_spec("qoi"):
        import qoi

        found["QOI (grey stored as colour)"] = (lambda image: qoi.encode(colour(image)), qoi.decode)
    return found


def opencv(*options: int) -> Codec:
    def encode(image: np.ndarray) -> bytes:
        ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
        return cv2.imencode(".png", ordered, options)[1].tobytes()

    def decode(data: bytes) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image

    return encode, decode


def pillow(form: str, **options: Any) -> Codec:
    def encode(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, form, **options)
        return buffer.getvalue()

    return encode, lambda data: np.asarray(Image.open(io.BytesIO(data)))


def npy(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


def colour(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def measured(codec: Codec, images: list[np.ndarray], seconds: float) -> str:
    encode, decode = codec
    encoded, encodes = repeated(encode, images, seconds)
    decoded, decodes = repeated(decode, encoded, seconds)
    for image, back in zip(images, decoded, strict=True):
        assert np.array_equal(back, image) or np.array_equal(back, colour(image)), "not lossless"
    size = sum(map(len, encoded)) / len(encoded)
    return f"{size:,.0f}; {encodes:,.0f}, {decodes:,.0f}"


def repeated(call: Callable[[Any], Any], values: list[Any], seconds: float) -> tuple[list[Any], float]:
    """Return the results and the calls per second of processor time."""
    start, rounds = time.process_time(), 0
    while time.process_time() - start < seconds:
        results = [call(value) for value in values]
        rounds += 1
    return results, rounds * len(values) / (time.process_time() - start)


if __name__ == "__main__":
    main()
