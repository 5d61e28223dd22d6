"""Clips of sound and picture: whether they are in sync, and means over clips of a measure of each."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.data.formats import E9
from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, Sums, mean, ratio
from shiftbench.statistics.rows import Floats, Rows, SeverityPath


@declare.sample_metric(columns=("offset",), finish=mean, higher_is_better=True)
def offset_hit_share(
    rows: Rows, within: Annotated[int, Field(ge=0, description="largest offset of a clip in sync, in frames")] = 1
) -> Contributions:
    """Share of clips whose sound and picture are in sync: the measured offset is 0, within `within` frames.

    Source: the offset of Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, who
    count a clip as correct within one frame.
    """
    present = rows.present("offset")
    return Contributions(present, (present * (abs(rows.column("offset")) <= within),))


def _shares_and_mean(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    shares = [ratio(moved, sums.count) for moved in sums.sums]
    total = np.sum(shares, axis=0) / len(shares)
    return {None: total, **dict(zip(path.severities[1:], shares, strict=True))}


@declare.path_metric(columns=("offset",), finish=_shares_and_mean, higher_is_better=True)
def offset_moved(path: SeverityPath) -> Contributions:
    """Share of clips whose offset moves by as many frames as the sound was moved: k at severity k.

    The offset is compared with that of the unshifted clip. For shifts whose severity is a number of frames, such as
    `audio_offset`.

    Source: the check of Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, by
    sounds moved by known offsets.
    """
    counting = np.prod([rows.present("offset") for rows in path.rows], axis=0)
    clean = path.rows[0].column("offset")
    moved = [
        counting * (rows.column("offset") - clean == severity)
        for severity, rows in zip(path.severities[1:], path.rows[1:], strict=True)
    ]
    return Contributions(counting, tuple(moved))


def _facts(options: Mapping[str, Any]) -> dict[str, object]:
    return {
        "COLUMNS": (options["column"],),
        "UNIT": options["unit"],
        "RANGE": (options["low"], None if options["low"] != -1 else 1.0),
        "HIGHER_IS_BETTER": options["higher"],
    }


def _means(sums: Sums, column: str, **_: object) -> Floats:
    return ratio(sums.sums[0] / (E9 if column.endswith("_e9") else 1), sums.count)


@declare.sample_metric(finish=_means, facts=_facts)
def _clip_mean(
    rows: Rows,
    column: fields.Column = "",
    unit: fields.Unit = "score",
    low: Annotated[
        float | None, Field(description="smallest value, with -1 the largest is 1; null: no smallest value")
    ] = None,
    higher: fields.Higher = True,  # noqa: FBT002
) -> Contributions:
    """Mean over clips of a measure of each; clips without the measure do not count."""
    return Contributions(rows.present(column), (rows.column(column),))
