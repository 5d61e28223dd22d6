"""The header-only baseline: what tells real pictures from fakes before a pixel is looked at.

A picture's header is what stands in its file beside the pixels: format, size, kind of colour, how it was coded, and
the names of its parts. The score of a header is the share of fakes among the pictures with the same one that were
learnt from (one more of each, so that a new one scores a half). Where every picture went through one path all headers
are alike and the area under the ROC curve is 0.5; where classes were coded differently it is near 1 (tested on both).

How many bytes a file has is not among it: smooth pictures are coded in fewer whatever path they took, so that it tells
of the pixels (`sizes` is there to say how much).

Source: ours; that headers alone separate such pools is known of So-Fake's kind of data (specification, "Traps").
"""

import io
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from shiftbench.base.errors import DataError


def header(data: bytes) -> str:
    """Return the header of a picture's file as text.

    Raises:
        DataError: it is no picture.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            told = sorted(f"{name}={value}" for name, value in picture.info.items() if name != "exif")
            tables = getattr(picture, "quantization", None) or {}
            coded = sorted(f"{name}:{list(table)}" for name, table in tables.items())
            parts = [str(picture.format), str(picture.size), picture.mode, *told, *coded]
            return ";".join([*parts, f"exif={bool(picture.info.get('exif'))}"])
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{len(data)} bytes are no picture: {error}") from error


def scores(known: Sequence[bytes], fakes: Sequence[bool], tested: Sequence[bytes]) -> list[float]:
    """Return how much the header of each tested file is that of a fake, 0 to 1.

    Args:
        known: files to learn from.
        fakes: which of them are fakes.
        tested: files to be scored.
    """
    headers = [header(data) for data in known]
    all_of = Counter(headers)
    false = Counter(one for one, fake in zip(headers, fakes, strict=True) if fake)
    return [(false[one] + 1) / (all_of[one] + 2) for one in map(header, tested)]


def sizes(tested: Sequence[bytes]) -> list[int]:
    """Return minus the number of bytes of each file: smooth pictures, more often decoded ones, score higher."""
    return [-len(data) for data in tested]
