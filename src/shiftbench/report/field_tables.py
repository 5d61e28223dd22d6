"""The table of models on the page Field: its columns, rows as text, compact data for its script, and a CSV of all."""

from __future__ import annotations

import csv
import io
from typing import Any

from shiftbench.report.field import Release
from shiftbench.report.field_models import Models, family
from shiftbench.report.field_text import DATASETS

SHOWN = 50
"""Rows of the table without a script."""


def rows(models: Models, count: int | None = None) -> list[dict[str, Any]]:
    """The models, best first.

    Args:
        models: of a release.
        count: how many; None: all.

    Returns:
        For each model its `rank` on the clean set, `model`, `pretraining`, `parameters` (millions) and `image_size`;
        `cells`: for each data set what was copied, or None; `above`: for each shift the effective robustness with its
        ends in shares, or None.
    """
    residuals = models.residuals()
    found = []
    for rank, row in enumerate(models.table.head(count or len(models.table)).iter_rows(named=True), 1):
        above = [residuals[shift.name].get(row["model"]) for shift in models.shifts]
        facts = {name: row[name] for name in ("model", "pretraining", "parameters", "image_size")}
        found.append({"rank": rank, **facts, "cells": [row[name] for name in models.datasets], "above": above})
    return found


def compact(models: Models, release: Release) -> dict[str, Any]:
    """All rows for the script, as short as it gets.

    Returns:
        `datasets`: name, title, file, column and address of a line without its number; `kinds` of pretraining;
        `families`; `rows`: model, kind, family, parameters, image size, then for each data set percent and line, then
        for each shift three numbers in hundredths of a percentage point.
    """
    families = sorted({family(model) for model in models.table["model"]})
    files = {}
    for name in models.datasets:
        cell = models.table[name].drop_nulls()[0]
        link = release.address(cell["file"], 0).removesuffix("0")
        files[name] = {"file": cell["file"], "column": cell["column"], "link": link}
    content = [
        [
            row["model"],
            models.kinds.index(row["pretraining"]) if row["pretraining"] in models.kinds else None,
            families.index(family(row["model"])),
            row["parameters"],
            row["image_size"],
            [None if cell is None else [round(100 * cell["value"], 4), cell["row"]] for cell in row["cells"]],
            [None if ends is None else [round(1e4 * float(end)) for end in ends] for ends in row["above"]],
        ]
        for row in rows(models)
    ]
    datasets = [{"name": name, "title": DATASETS[name], **files[name]} for name in models.datasets]
    return {
        "datasets": datasets,
        "kinds": list(models.kinds),
        "families": families,
        "repository": release.repository,
        "commit": release.commit,
        "rows": content,
    }


def text(models: Models, release: Release) -> str:
    """All rows as CSV: percent and percentage points, with the line that each number was copied from."""
    columns = ["rank", "model", "pretraining", "parameters_million", "image_size"]
    for name in models.datasets:
        columns += [name, f"{name}_source"]
    for shift in models.shifts:
        columns += [f"{shift.name}_above_line", f"{shift.name}_above_low", f"{shift.name}_above_high"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows(models):
        line = [row[name] for name in ("rank", "model", "pretraining", "parameters", "image_size")]
        for cell in row["cells"]:
            line += ["", ""] if cell is None else [cell["printed"], release.address(cell["file"], cell["row"])]
        for ends in row["above"]:
            line += ["", "", ""] if ends is None else [f"{100 * end:.2f}" for end in ends]
        writer.writerow(line)
    return file.getvalue()
