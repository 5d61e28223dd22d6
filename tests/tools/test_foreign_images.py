"""An image of a stranger's: what lies beside its pixels changes none of them, takes no memory, ends no process."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from shiftbench.base.errors import DataError
from shiftbench.workflow.tools.preview import own_image

RNG = np.random.Generator
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED = {3: np.rot90(PIXELS, 2), 6: np.rot90(PIXELS, -1), 8: np.rot90(PIXELS)}


def encoded(kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    lossless = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(PIXELS).save(stream, kind, **lossless, **how)  # type: ignore[arg-type]
    return stream.getvalue()


def png_with(name: bytes, content: bytes) -> bytes:
    """Return a PNG with a chunk after its header."""
    data, body = encoded("PNG"), name + content
    chunk = struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes()


def looped_exif() -> bytes:
    """Return a directory of EXIF that is its own child."""
    entry = struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    return b"Exif\0\0II*\0\x08\0\0\0" + entry


def profile(rng: RNG) -> bytes:
    """Return a colour profile: a real one, damaged, noise, or a large one."""
    damaged = bytearray(SRGB)
    for at in rng.integers(0, len(SRGB), 8):
        damaged[at] = int(rng.integers(256))
    kinds = [SRGB, bytes(damaged), rng.bytes(300), SRGB[:50], rng.bytes(500_000), b""]
    return kinds[rng.integers(len(kinds))]


def packed_profile(rng: RNG) -> bytes:
    data = zlib.compress(profile(rng))
    return png_with(b"iCCP", b"x\0\0" + (data if rng.integers(2) else data[: len(data) // 2]))


BESIDE: dict[str, Callable[[RNG], bytes]] = {
    "a profile in a PNG": packed_profile,
    "a profile in a WebP": lambda rng: encoded("WEBP", icc_profile=profile(rng)),
    "EXIF that is noise": lambda rng: png_with(b"eXIf", rng.bytes(int(rng.integers(5_000)))),
    "EXIF of no turn": lambda rng: png_with(b"eXIf", exif(int(rng.choice([0, 1, 9, 99, 65_535])))[6:]),
    "EXIF that holds itself": lambda _: encoded("WEBP", exif=looped_exif()),
    "a brightness": lambda rng: png_with(b"gAMA", rng.bytes(4)),
    "colours of a screen": lambda rng: png_with(b"cHRM", rng.bytes(32)),
    "a text": lambda rng: png_with(b"tEXt", b"a\0" + rng.bytes(int(rng.integers(3_000)))),
    "a chunk of nobody's": lambda rng: png_with(b"evIl", rng.bytes(99)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BESIDE)
def test_what_lies_beside_the_pixels_changes_none(tmp_path: Path, kind: str) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "drawn.png"
    for _ in range(12):
        file.write_bytes(BESIDE[kind](rng))
        found = own_image(file).fields["image"]
        assert np.array_equal(found, PIXELS)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_shown_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    """As a folder of images is read, and as every viewer shows it."""
    file = tmp_path / "turned.img"
    file.write_bytes(encoded(kind, exif=exif(orientation)))
    assert np.array_equal(own_image(file).fields["image"], TURNED[orientation])


def empty_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 999)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def bomb(name: bytes, head: bytes) -> bytes:
    return png_with(name, head + zlib.compress(bytes(100_000_000), 1))


BOMBS: dict[str, Callable[[], bytes]] = {
    "a profile": lambda: bomb(b"iCCP", b"x\0\0"),
    "a packed text": lambda: bomb(b"zTXt", b"x\0\0"),
    "an international text": lambda: bomb(b"iTXt", b"x\0\1\0\0\0"),
    "pixels": lambda: empty_png(2**31 - 1, 2**31 - 1),
    "a line": lambda: empty_png(80_000_001, 1),
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_in_words_and_little_memory(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "bomb.png"
    file.write_bytes(BOMBS[kind]())
    tracemalloc.start()
    with pytest.raises(DataError, match=r"own/bomb: .*(cannot be read|at most)"):
        own_image(file)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
