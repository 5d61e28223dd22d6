"""Answers of models about tables: the query or the word that answered, with the table."""

import json
from collections.abc import Mapping
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.report import completions
from shiftbench.report.completions import Written

COLUMNS = ("key", "answer", "correct", "query", "status")
FIELDS = ("text", "table", "meta")
ROWS = 12  # of a table


def of(row: Mapping[str, Any]) -> Written:
    """Read a row of records: the query if there is one, and its answer, or the reason why there is none."""
    answer = row["answer"] if row["answer"] is not None else f"no answer: {row['status'] or 'none'}"
    text = f"{row['query']}\n\N{RIGHTWARDS ARROW} {answer}" if row["query"] else answer
    return Written(row["key"], text, row["correct"], None, None, closed=False, truncated=False)


def asked(sample: Sample) -> dict[str, Any]:
    """A claim or question, its truth, and its table: caption, header and the first ROWS rows."""
    table = sample.fields["table"]
    lines = [table["header"], *table["rows"][:ROWS]]
    cells = [[completions.shortened(cell or "") for cell in line] for line in lines]
    more = len(table["rows"]) - ROWS
    caption = table["caption"] + (f" ({more} more rows)" if more > 0 else "")
    return {
        "text": completions.shortened(sample.fields["text"]),
        "answer": json.dumps(sample.fields["meta"]["answer"], ensure_ascii=False),
        "table": {"caption": caption, "cells": cells},
    }
