"""Rows of tasks with several answers for each image: the checks of counts, and the table; helper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data.formats import Format
from shiftbench.plugins.tasks import _classified


def check(outputs: Mapping[str, np.ndarray], names: Sequence[str], samples: Sequence[Sample], who: str) -> None:
    """Refuse outputs that lack one of the names, or have another number of entries than there are samples."""
    if any(name not in outputs or len(outputs[name]) != len(samples) for name in names):
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        raise ModelError(
            f"{who} gives {listed}, one entry per image ({len(samples)}); this one gives "
            f"{ {name: len(value) for name, value in outputs.items()} or 'nothing' }"
        )


def table(form: Format, samples: Sequence[Sample], rows: Sequence[Mapping[str, Any]], **columns: Any) -> pa.Table:
    """The records of samples, in their order.

    Args:
        form: of the records.
        samples: n of them; `key`, `group` and `cluster` are theirs.
        rows: what is known of each.
        columns: more of n values, by name.
    """
    known = {
        "key": [sample.key for sample in samples],
        **_classified.metas(list(samples)),
        **{name: [row[name] for row in rows] for name in (rows[0] if rows else {})},
        **columns,
    }
    arrow = form.arrow
    return pa.table({name: pa.array(known.get(name, []), arrow.field(name).type) for name in arrow.names}, schema=arrow)
