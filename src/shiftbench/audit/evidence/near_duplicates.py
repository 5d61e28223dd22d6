"""Near-duplicates: tested images that are nearly equal to a training image.

Images are compared as 16 by 16 grey values. A tested image counts if its nearest training image differs by at most
one grey level of 255 on average, so that a changed pixel, another encoder or slight noise do not hide a copy. Crops,
mirrored images and copies with other contrast are not found.
"""

from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import shards

LEARNED, TESTED = 4000, 500
"""Largest number of drawn images of a set: 4,000 of 60,000 contain a given copy with a probability of 7%."""
NEAR = 1.0
_SIDE, _LONGEST = 16, 512
Thumbs = tuple[list[str], NDArray[np.float32]]


@dataclass
class Images:
    """Thumbnails of sets; each set is read once."""

    case: Case
    _known: dict[tuple[Ref, int], Thumbs | None] = field(default_factory=dict)

    def nearest_pairs(self, learned: Ref, tested: Ref) -> tuple[int, int, int, list[tuple[float, str, str]]] | None:
        """Number of training and tested images, number of near tested images, and the three nearest pairs.

        None: the sets have no images, or are not here.
        """
        one, two = self._thumbs(learned, LEARNED), self._thumbs(tested, TESTED)
        if one is None or two is None or one[1].shape[1:] != two[1].shape[1:]:
            return None
        square = (one[1] ** 2).sum(1)[None] + (two[1] ** 2).sum(1)[:, None] - 2 * two[1] @ one[1].T
        at = square.argmin(1)
        distances = np.abs(two[1] - one[1][at]).mean(1)
        order = np.argsort(distances, kind="stable")[:3]
        pairs = [(float(distances[i]), two[0][i], one[0][at[i]]) for i in order if distances[i] <= NEAR]
        return len(one[0]), len(two[0]), int((distances <= NEAR).sum()), pairs

    def _thumbs(self, ref: Ref, most: int) -> Thumbs | None:
        if (ref, most) not in self._known:
            try:
                self._known[ref, most] = self._read(ref, most)
            except (DataError, OSError, KeyError, ValueError):
                self._known[ref, most] = None  # a finding of `digests` or `pixels`
        return self._known[ref, most]

    def _read(self, ref: Ref, most: int) -> Thumbs | None:
        about = shard_folders.manifest(self.case, ref)
        entries = shard_folders.entries(self.case, ref)
        if not about or not entries or "image" not in about["fields"]:
            return None
        drawn = self.case.draw(f"near-duplicates of {ref.name}", len(entries), most)
        drawn_keys: Container[str] = {entries[at].key for at in drawn}
        keys, thumbs = [], []
        for sample in shards.read(self.case.folder(ref), ("image",), drawn_keys):
            image = np.asarray(sample.fields["image"])
            if max(image.shape[:2]) > _LONGEST:
                step = -(-max(image.shape[:2]) // _LONGEST)
                image = image[::step, ::step]
            keys.append(sample.key)
            thumbs.append(_thumb(image))
        return (keys, np.stack(thumbs)) if thumbs else None


def _thumb(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of 16 by 16 blocks of an image's grey values, flat."""
    grey = image.astype(np.float32)
    grey = grey.mean(2) if grey.ndim == 3 else grey
    rows, columns = (np.minimum(np.arange(_SIDE) * n // _SIDE, n - 1) for n in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey, rows, 0), columns, 1)
    counts = np.outer(*(np.maximum(np.diff([*at, n]), 1) for at, n in zip((rows, columns), grey.shape, strict=True)))
    return np.asarray(sums / counts, dtype=np.float32).ravel()
