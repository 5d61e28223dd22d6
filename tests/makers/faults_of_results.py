"""Faults of computed outputs: checkpoints, records, scores, searches, tables, figures."""

import struct
from pathlib import Path

import numpy as np
import polars as pl
import safetensors.numpy
import torch
from safetensors import safe_open

from makers import forgeries
from makers.faults import (
    ACCURACY,
    ALL,
    CLEAN,
    FEATURES,
    ONE,
    RECORDS,
    REPORT,
    SCORES,
    SEARCH,
    TABLES,
    TEST,
    TRAIN,
    TWO,
    Faults,
    copy_in,
    metadata,
)
from makers.made_benchmark import Made, commit
from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.workflow.tools import run_local

FAULTS = Faults()
planted = FAULTS.planted


def _missing(row: dict) -> float:
    return max(row["logits"]) - row["logits"][row["label"]]


@planted("a tested sample copied into training, digests updated", "selection", TEST)
def _(made: Made) -> None:
    copy_in(made, Ref("shards", TRAIN), Ref("shards", TEST))


@planted("validation OOD reused as tested OOD, digests updated", "selection", CLEAN.path)
def _(made: Made) -> None:
    copy_in(made, CLEAN, made.one("shards", "secret"))


@planted("a row of a record deleted, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    forgeries.table(made.root, RECORDS, lambda frame: frame[1:])


@planted("a row of a record twice, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    forgeries.table(made.root, RECORDS, lambda frame: pl.concat([frame[:1], frame]))


@planted("a row of a record with another label, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    other = {"label": 1 - pl.col("label") % 2, "correct": pl.lit(value=True)}
    forgeries.cell(made.root, RECORDS, forgeries.row(0), **other)


@planted("logits of a record scaled, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    scaled = pl.col("logits").list.eval(pl.element() * 2)
    forgeries.cell(made.root, RECORDS, ALL, logits=scaled)


@planted("a logit that is NaN, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    spoilt = pl.col("logits").list.eval(pl.element() * np.nan)
    forgeries.cell(made.root, RECORDS, forgeries.row(0), logits=spoilt)


@planted("logits and all values that follow from them replaced, digests updated", "reevaluation", RECORDS.path)
def _(made: Made) -> None:
    other = pl.read_parquet(made.root / RECORDS.path.replace("contrast/3", "contrast/5"))
    forgeries.table(made.root, RECORDS, lambda _: other)


@planted("features of a model replaced, digests updated", "reevaluation", "tiny/val/identity/0")
def _(made: Made) -> None:
    features = np.load(made.root / FEATURES.path)
    np.save(made.root / FEATURES.path, features * np.float32(1.001))
    forgeries.update(made.root, FEATURES)


@planted("scores of a detector edited, digests updated", "rows", SCORES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, SCORES, ALL, score=pl.col("score") + 0.01)


@planted("a metric edited by 0.0001, digests updated", "aggregates", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, value=pl.col("value") + 1e-4)


@planted("the end of an interval edited, digests updated", "aggregates", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, ci_high=pl.col("ci_high") - 1e-3)


@planted("a number of the report edited, digests updated", "figures", "leaderboard.csv")
def _(made: Made) -> None:
    file = made.folder(REPORT) / "leaderboard.csv"
    table = pl.read_csv(file).with_columns(pl.col("value") + 0.0001)
    file.write_text(table.write_csv())
    forgeries.update(made.root, REPORT)


@planted("checkpoints swapped, digests updated", "checkpoints", ONE.path)
def _(made: Made) -> None:
    forgeries.swap(made.root, ONE, TWO)


@planted("checkpoints swapped, their names and digests updated", "reevaluation", "convnet-erm-s0")
def _(made: Made) -> None:
    other = safetensors.numpy.load_file(made.root / TWO.path)
    forgeries.checkpoint(made.root, ONE, lambda state, _: state.update(other))


@planted("a checkpoint as a pickle, which can run code, digests updated", "checkpoints", ONE.path)
def _(made: Made) -> None:
    torch.save({"a": torch.zeros(1)}, made.root / ONE.path)
    forgeries.update(made.root, ONE)


@planted("options of a detector tuned on tested data", "selection", SEARCH.path)
def _(made: Made) -> None:
    tuned = {"id": RECORDS.name.replace("contrast/3", "identity/0")}
    made.edit(f"{SEARCH.path}.receipt.json", lambda content: content["recipe"].update(tuned))


@planted("other options than the best of the search, digests updated", "selection", SEARCH.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, SEARCH, ALL, chosen=~pl.col("chosen"))


@planted("a search without effect", "selection", SEARCH.path)
def _(made: Made) -> None:
    plan = made.plan(detectors={"gen": {"gamma": 0.1, "M": [3, 4]}})  # there are three classes
    for ref in plan.artifacts:
        if ref.kind in ("searches", "scores", "tables", "report") and "msp" not in ref.name:
            recipe.receipt_path(made.root, ref).unlink()
    run_local.make(plan, made.root)


@planted("sensitivity in run files inflated", "sensitivity", RECORDS.path.rpartition("/tiny/")[0])
def _(made: Made) -> None:
    moved = {"batch": {"sizes": [1, 60], "samples": 16, "largest": 5.0, "flip_rate": 0.0}}
    for file in (made.root / "results").rglob("*.run.json"):
        made.edit(file, lambda run: "sensitivity" in run and run.update(sensitivity=moved))


@planted("borderline predictions corrected and another CPU claimed, digests updated", "reevaluation", RECORDS.path)
def _(made: Made) -> None:
    """The two wrong rows whose logits lie closest; all that follows from them does so."""
    table = pl.read_parquet(made.root / RECORDS.path)
    near = sorted(table.filter(~pl.col("correct")).rows(named=True), key=_missing)[:2]
    for row in near:
        logits = np.array(row["logits"], dtype=np.float32)
        logits[row["label"]] = np.nextafter(logits.max(), np.float32(np.inf))
        picked = pl.col("key") == row["key"]
        right = {"logits": pl.lit(logits.tolist()), "correct": pl.lit(value=True)}
        forgeries.cell(made.root, RECORDS, picked, prediction=pl.col("label"), **right)
    for file in (made.root / "results").rglob("*.run.json"):
        made.edit(file, lambda run: run["environment"].update(cpu="another", cpu_features=["avx"]))


@planted("scores of a fitted detector raised, digests updated", "rescoring", "/plain/mds/")
def _(made: Made) -> None:
    for ref in made.plan().artifacts:
        if ref.kind == "scores" and "/mds/" in ref.name:
            forgeries.cell(made.root, ref, ALL, score=pl.col("score") + 1)


@planted("the AUROC of a search edited, digests updated", "rescoring", SEARCH.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, SEARCH, ALL, auroc=pl.col("auroc") * 0.99)


@planted("one bias of a model changed, its outputs made again", "training", "convnet-erm-s")
def _(made: Made) -> None:
    plan = made.plan()
    for ref in (ONE, TWO):  # of two, one is drawn
        forgeries.checkpoint(made.root, ref, lambda state, _: state["head.bias"].__iadd__(1e-3))
    for ref in plan.artifacts:
        if ref.kind in ("records", "features", "scores", "searches", "tables", "report"):
            recipe.receipt_path(made.root, ref).unlink()
    run_local.make(plan, made.root)


@planted("a model of one seed copied to another, digests updated", "checkpoints", TWO.path)
def _(made: Made) -> None:
    with safe_open(made.root / ONE.path, framework="np") as opened:
        other = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    forgeries.checkpoint(made.root, TWO, lambda state, _: state.update(other))


KNOWS = """
NEEDS, PARAMS = ("logits",), {}
def score(rows, state, options):
    return [(TELLS) + 0.0 for name in rows.keys]

def fit(known, options):
    pass
"""


@planted("a detector that tells OOD by the names of samples", "rescoring", "knows")
def _(made: Made) -> None:
    _with_detector(made, "not name.startswith('tiny/')")


@planted("a detector that knows OOD by the name of the cell", "rescoring", "knows")
def _(made: Made) -> None:
    _with_detector(made, "'/tiny/' not in rows.name")


@planted("a detector that knows which predictions are right", "rescoring", "knows")
def _(made: Made) -> None:
    _with_detector(made, "rows.labels[rows.keys.index(name)] == rows.predictions[0]")


def _with_detector(made: Made, tells: str) -> None:
    folder = made.root / "mine/detectors"
    folder.mkdir(exist_ok=True)
    (folder / "knows.py").write_text(KNOWS.replace("TELLS", tells))
    made.plan(benchmarks__tiny__detectors=["msp", "gen", "mds", "knows"])
    commit()
    run_local.make(made.plan(), made.root)


@planted("the Parquet statistics of a table edited, digests updated", "rows", TABLES.path)
def _(made: Made) -> None:
    file = made.root / TABLES.path
    data = bytearray(file.read_bytes())
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    most = struct.pack("<d", pl.read_parquet(file)["value"].max())
    assert most in data[at:]
    data[at:] = data[at:].replace(most, struct.pack("<d", 0.25))
    file.write_bytes(data)
    forgeries.update(made.root, TABLES)


@planted("the values of a training log halved, digests updated", "checkpoints", f"{ONE.path}.log.parquet")
def _(made: Made) -> None:
    half = pl.col("value") / 2
    forgeries.table(made.root, ONE, lambda f: f.with_columns(value=half), Path(f"{ONE.path}.log.parquet").name)


@planted("foreign keys in the metadata of a table, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    metadata(made, RECORDS, made.root / RECORDS.path)
