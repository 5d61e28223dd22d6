"""Formats of a system's tables: verdicts on claims, numbers compared with reported ones, points of figures."""

import pyarrow as pa

from shiftbench.data.formats import Column, Format

_VALUE = (
    Column("value", pa.float64(), "metric's", "value on the samples as they are", nullable=True),
    Column("ci_low", pa.float64(), "metric's", "lower end of its interval", nullable=True),
    Column("ci_high", pa.float64(), "metric's", "its upper end", nullable=True),
)

CLAIMS = Format(
    "claims",
    "Claims of a system's card with their verdicts; see claims.py.",
    ("claim", "part"),
    (
        Column("claim", pa.string(), "", "name in the card"),
        Column("part", pa.string(), "", "of a quantified claim, one of the values; null: the whole", nullable=True),
        Column("verdict", pa.string(), "", "see claims.py"),
        *_VALUE,
        Column("confidence", pa.float64(), "share", "of the interval, corrected", 0, 1, nullable=True),
        Column(
            "seeds",
            pa.int32(),
            "",
            "training seeds, models, ... that are its units; null: samples alone",
            1,
            nullable=True,
        ),
        Column("units", pa.int64(), "", "samples or clusters, fewest of a row; null: not known", 0, nullable=True),
        Column("reason", pa.string(), "", "why it is not evaluable or inconclusive, or a note", nullable=True),
    ),
)

CLAIM_REPLICATES = Format(
    "claim_replicates",
    "What claims are judged from: the value of each claim under each bootstrap draw, see claim_replicates.py.",
    ("claim", "part", "among", "seed", "role"),
    (
        Column("claim", pa.string(), "", "name in the card"),
        Column("part", pa.string(), "", "of a quantified claim, one of the values; null: the whole", nullable=True),
        Column("among", pa.int32(), "", "number of a value of which the claim is about the largest or smallest", 0),
        Column("seed", pa.int32(), "", "number of the training seed, a unit; null: samples are", 0, nullable=True),
        Column("role", pa.string(), "", "value; max or min: of these the claim is about the largest or smallest; gate"),
        Column("kind", pa.string(), "", "of its interval: draws, share or biased"),
        Column("units", pa.int64(), "", "samples or clusters, fewest of a row; null: not known", 0, nullable=True),
        Column("clustered", pa.bool_(), "", "the units are clusters of samples"),
        _VALUE[0],
        Column("draws", pa.list_(pa.float64()), "metric's", "under each draw; null inside: not defined in it"),
    ),
)

MEASURED = Format(
    "measured",
    "Numbers that a paper reports, and what stands beside them at this scale.",
    ("number",),
    (
        Column("number", pa.int32(), "", "place in the card's list `reported`", 0),
        *_VALUE,
        Column("reason", pa.string(), "", "why there is no value, or the values of several numbers", nullable=True),
    ),
)

ACROSS, UP = "across", "up"
"""Values of `x` in the two rows of a point of a scatter."""

FIGURES = Format(
    "figures",
    "Points of the figures that a card asks for.",
    ("figure", "colour", "x"),
    (
        Column("figure", pa.int32(), "", "place in the card's list `figures`", 0),
        Column("colour", pa.string(), "", "value of its column `colour`", nullable=True),
        Column("x", pa.string(), "", "value of its column `x`", nullable=True),
        *_VALUE,
    ),
)
