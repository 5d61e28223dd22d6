"""Share of clips whose offset moves by as many frames as the sound was moved: k at severity k.

The offset is compared with that of the clip as it was.

For shifts whose severity is a number of frames, such as `audio_offset`.

Source: the check of Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, by
sounds moved by known offsets.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("offset",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath) -> Contributions:
    """Each clip adds, at each severity, 1 where its offset moved by that many frames."""
    counting = np.prod([rows.present("offset") for rows in path.rows], axis=0)
    clean = path.rows[0].column("offset")
    moved = [
        counting * (rows.column("offset") - clean == severity)
        for severity, rows in zip(path.severities[1:], path.rows[1:], strict=True)
    ]
    return Contributions(counting, tuple(moved))


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the share at each severity and their mean (None), float64 (k,)."""
    shares = [ratio(moved, sums.count) for moved in sums.sums]
    total = np.sum(shares, axis=0) / len(shares)
    return {None: total, **dict(zip(path.severities[1:], shares, strict=True))}
