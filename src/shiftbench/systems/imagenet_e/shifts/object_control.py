"""Object control: the object is cut out, resized by 1, turned by 0, and set back where it was, over the filled hole.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3, "Inver": the same pipeline without
an edit, which tells what the pipeline itself costs: the fair reference for the edits of an object. Ours costs next
to nothing: opaque pixels keep their bytes, at soft edges the guessed background may show. All severities above 0
are the same.

Takes no random words.
"""

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks, _objects, _turning

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = _levels.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A sample that went through the edits' pipeline with nothing changed.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
        severity: 0 to 5; 0 leaves the pipeline out.
        rng: not used.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field is missing or of the wrong size, or the mask shows no object.
    """
    _levels.check(__name__, severity)
    image, mask = _masks.fields(__name__, value)
    if severity == 0:
        return _objects.unchanged(value)
    parts = _objects.find(__name__, image, mask)
    layer = _turning.turned(_objects.resized(parts, 1.0), 0.0, mask.shape)
    top, left = _turning.beside(parts.box, layer, mask.shape)
    return _objects.placed(value, parts.background, layer, top, left)
