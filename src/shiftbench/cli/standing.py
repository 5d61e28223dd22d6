"""`shiftbench compare`: where a model stands among models whose accuracies others released."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer
from rich import box
from rich.table import Table

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.cli.application import Json, escaped, out
from shiftbench.cli.commands import command

if TYPE_CHECKING:
    from shiftbench.statistics.standing import Standing

_NEAREST = 5


@command
def compare(
    mine: Annotated[
        list[str],
        typer.Argument(
            metavar="MINE...",
            help="DATASET=ACCURACY for each data set, a CSV of dataset and accuracy, metrics.parquet of a run, or the "
            "name of a model of the release",
        ),
    ],
    release: Annotated[str, typer.Option("--with", help="released results, such as open_clip")] = "timm",
    clean: Annotated[str, typer.Option(help="the clean data set")] = "imagenet",
    parameters: Annotated[
        float | None, typer.Option(min=0, help="millions; the nearest models have half to twice as many")
    ] = None,
    model: Annotated[str | None, typer.Option(help="model of the run, where its table has several")] = None,
    as_json: Json = False,
) -> None:
    """Compare a model with a thousand others under ImageNet's shifts.

    For each data set: the rank, the accuracy that is expected at the model's
    clean accuracy, and how far the model is above it (effective robustness).
    """
    from shiftbench.data import releases, source_files
    from shiftbench.statistics import standing

    rows = releases.rows(release).filter(metric="accuracy", shift="identity")
    accuracies = _read(mine, rows, model)
    known = rows["dataset"].unique().to_list()
    for dataset in (clean, *accuracies):
        if dataset not in known:
            raise ParamsError(f"{release} has no data set {dataset!r}; {suggest(dataset, known)}")
    if clean not in accuracies or len(accuracies) == 1:
        raise ParamsError(f"expected an accuracy on {clean}, which is the clean data set, and one on another data set")
    standings = [standing.of(rows, accuracies, clean, dataset) for dataset in accuracies if dataset != clean]
    others = rows.filter(pl.col("model") != mine[0])
    near = standing.nearest(others, accuracies[clean], clean, parameters, _NEAREST)
    card, licence = releases.card(release), source_files.load_source(release).licence
    if as_json:
        places = [
            {"model": row["model"], "accuracy": row["value"], "source": card.address(row["file"], row["row"])}
            for row in near.iter_rows(named=True)
        ]
        told = {"release": release, "repository": card.repository, "commit": card.commit, "licence": licence}
        typer.echo(json.dumps({**told, "standings": [asdict(one) for one in standings], "nearest": places}, indent=1))
    else:
        out.print(_table(standings))
        models = rows.filter(dataset=clean)["model"].n_unique()
        out.print(f"Nearest on {clean}: {escaped(', '.join(near['model']) or 'none of that size')}.")
        out.print(
            f"Ranks are among {models:,} rows of {card.repository}, commit {card.commit[:8]}, {licence}. Expected "
            f"is the accuracy on their line at the same accuracy on {clean}. Intervals are 95%: of the test images, "
            "and of the line over architectures."
        )


def _read(mine: list[str], rows: pl.DataFrame, model: str | None) -> dict[str, float]:
    """Accuracies by data set, as shares.

    Raises:
        ParamsError: what was given is no pair, no CSV file and no model.
        DataError: a file or a number that cannot be read.
    """
    if len(mine) == 1 and mine[0].endswith(".parquet"):
        return _of_run(Path(mine[0]), model)
    if len(mine) == 1 and mine[0].endswith(".csv"):
        return _shares(_pairs(Path(mine[0])))
    if len(mine) == 1 and "=" not in mine[0]:
        of_model = rows.filter(model=mine[0])
        if of_model.is_empty():
            raise ParamsError(f"no model is called {mine[0]!r}; {suggest(mine[0], rows['model'].unique().to_list())}")
        return dict(of_model.select("dataset", "value").iter_rows())
    if wrong := [one for one in mine if "=" not in one]:
        raise ParamsError(f"{wrong[0]!r} is no DATASET=ACCURACY, such as imagenet_v2=69.1")
    pairs = [(name.strip(), value.strip()) for name, _, value in (one.partition("=") for one in mine)]
    if len(dict(pairs)) < len(pairs):
        raise ParamsError("a data set is named twice; give one accuracy for each")
    return _shares(dict(pairs))


def _of_run(file: Path, model: str | None) -> dict[str, float]:
    """The accuracies of a model of a run on data sets without a shift of ours, from the table of its metrics."""
    from shiftbench.data import formats, schema

    table = pl.from_arrow(schema.read(file, form=formats.METRICS))
    assert isinstance(table, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    plain = table.filter(pl.col("seed").is_null() | pl.lit(model is not None), pl.col("group").is_null())
    rows = plain.filter(metric="accuracy", method="plain", shift="identity").drop_nulls("value")
    models = rows["model"].unique().sort().to_list()
    if model is None and len(models) > 1:
        raise ParamsError(f"{file} has {len(models)} models; add --model, one of {', '.join(models)}")
    chosen = models[0] if model is None and models else model
    if chosen not in models:
        raise ParamsError(f"{file} has no accuracy of {chosen!r}; {suggest(str(chosen), models)}")
    own = rows.filter(model=chosen).sort(pl.col("split") == "test")  # of two splits the test set counts
    return dict(own.select("dataset", "value").iter_rows())


def _pairs(file: Path) -> dict[str, str]:
    try:
        table = pl.read_csv(file, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file} is no readable CSV file: {error}") from None
    if missing := [column for column in ("dataset", "accuracy") if column not in table.columns]:
        raise DataError(f"{file} has no column {missing[0]!r}; expected `dataset` and `accuracy`")
    if table["dataset"].is_duplicated().any():
        raise DataError(f"{file} names a data set twice; expected one row for each")
    return dict(table.select("dataset", "accuracy").fill_null("").iter_rows())


def _shares(pairs: Mapping[str, str]) -> dict[str, float]:
    """Numbers as shares: where one is above 1, all are percent."""
    numbers = {}
    for dataset, text in pairs.items():
        try:
            numbers[dataset] = float(text)
        except ValueError:
            raise DataError(f"the accuracy on {dataset} is {text!r}; expected a number, such as 69.1") from None
    unit = 100 if any(number > 1 for number in numbers.values()) else 1
    if wrong := [dataset for dataset, number in numbers.items() if not 0 <= number <= unit]:
        raise DataError(f"the accuracy on {wrong[0]} is {pairs[wrong[0]]}; expected 0 to {unit}")
    return {dataset: number / unit for dataset, number in numbers.items()}


def _table(standings: list[Standing]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("data set", "accuracy", "rank", "expected", "above it"):
        table.add_column(heading, justify="left" if heading == "data set" else "right", no_wrap=True)
    for one in standings:
        above, low, high = (100 * number for number in one.above)
        table.add_row(
            escaped(one.dataset),
            f"{100 * one.accuracy[0]:.1f}",
            "{} [{}, {}]".format(*one.rank),
            f"{100 * one.expected:.1f}",
            f"{above:+.1f} [{low:+.1f}, {high:+.1f}]",
        )
    return table
