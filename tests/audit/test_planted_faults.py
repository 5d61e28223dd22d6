"""Planted faults, one at a time: each is caught by the check whose business it is, and the file is named.

Whoever plants them is thorough: where a fault is marked *digests updated*, manifest, index, receipt and all that was
made from the file state the new digests. `docs/audit.md` shows this table; a test there compares the two.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import io
import py_compile
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch

from makers import forgeries
from makers.made_campaign import Made, commit, forget, git
from shiftbench.data import shards
from shiftbench.files import sha256
from shiftbench.inference.apply_shift import Shifter
from shiftbench.provenance import recipe
from shiftbench.refs import Ref
from shiftbench.sample import Sample
from shiftbench.tools import run_local


@dataclass(frozen=True)
class Fault:
    """A fault: who catches it, which file the finding names, and how it is planted."""

    check: str
    file: str
    plant: Callable[[Made], object]


FAULTS: dict[str, Fault] = {}


def planted(
    name: str, check: str, file: str
) -> Callable[[Callable[[Made], object]], Callable[[Made], object]]:
    def keep(plant: Callable[[Made], object]) -> Callable[[Made], object]:
        FAULTS[name] = Fault(check, file, plant)
        return plant

    return keep


NOISE, CONTRAST3, CONTRAST5 = (
    Ref("shards", f"tiny/test/{name}") for name in ("gaussian_noise/3", "contrast/3", "contrast/5")
)
CLEAN, TRAIN, TEST = (
    Ref("shards", "other/test/identity/0"),
    "tiny/train/identity/0",
    "tiny/test/identity/0",
)
RECORDS = Ref("records", "tiny/convnet-erm-s0/plain/tiny/test/contrast/3")
FEATURES = Ref("features", "tiny/convnet-erm-s0/plain/tiny/val/identity/0")
SCORES = Ref("scores", "tiny/convnet-erm-s0/plain/msp/tiny/test/identity/0")
SEARCH = Ref("searches", "tiny/convnet-erm-s0/plain/gen")
TABLES, REPORT = Ref("tables", "tiny"), Ref("report", "index")
ONE, TWO = (Ref("weights", f"tiny/convnet-erm-s{seed}") for seed in (0, 1))
PREVIEW = Ref("previews", "tiny/test/jpeg_compression/3")
ALL = pl.lit(value=True)
ACCURACY = (
    (pl.col("metric") == "accuracy")
    & (pl.col("shift") == "contrast")
    & (pl.col("severity") == 3)
    & pl.col("weights").str.ends_with("-s0")
)


# --- bytes, digests as they were ---------------------------------------------------------------


for _name, _file in {
    "a byte flipped in a source file": "data/sources/spots/spots.txt",
    "a byte flipped in a shard, its time stamp forged": "data/shards/tiny/test/contrast/3/000000.tar",
    "a byte flipped in a record": RECORDS.path,
    "a byte flipped in a table": TABLES.path,
    "a byte flipped in a weight file": ONE.path,
    "a byte flipped in features": FEATURES.path,
    "a byte flipped in the report": REPORT.path,
    "a manifest edited": CONTRAST3.path,
}.items():
    planted(_name, "digests", _file)(lambda made, file=_file: forgeries.flip(made.root / file))


@planted("a model file swapped for another of the same size", "digests", ONE.path)
def _(made: Made) -> None:
    shutil.copyfile(made.root / TWO.path, made.root / ONE.path)


@planted("the end of a tar cut off", "digests", "000000.tar")
def _(made: Made) -> None:
    file = made.folder(NOISE) / "000000.tar"
    file.write_bytes(file.read_bytes()[:-512])


# --- shards, digests updated ------------------------------------------------------------------


@planted("a shard rebuilt with another seed, digests updated", "rebuild", "gaussian_noise/3")
def _(made: Made) -> None:
    other = {**made.plan().artifacts[NOISE].recipe, "seed": 1}
    clean = list(shards.read(made.folder(Ref("shards", TEST))))
    forgeries.samples(made.root, NOISE, lambda _: map(Shifter.of(other, "tiny", {}), clean))


@planted("one pixel of one sample changed, digests updated", "rebuild", "contrast/3")
def _(made: Made) -> None:
    forgeries.samples(made.root, CONTRAST3, one_pixel)


@planted(
    "one pixel of an unshifted sample changed, digests updated", "rebuild", "other/test/identity"
)
def _(made: Made) -> None:
    forgeries.samples(made.root, CLEAN, one_pixel)


@planted("a preview changed, digests updated", "rebuild", PREVIEW.path)
def _(made: Made) -> None:
    def change(content: dict) -> None:
        content["samples"][0]["png"] = content["samples"][1]["png"]

    made.edit(PREVIEW.path, change)
    forgeries.update(made.root, PREVIEW)


@planted("levels of severity swapped, digests updated", "coverage", "contrast/3")
def _(made: Made) -> None:
    forgeries.swap(made.root, CONTRAST3, CONTRAST5)


@planted("levels of severity swapped, manifests and digests updated", "rebuild", "contrast/3")
def _(made: Made) -> None:
    forgeries.swap(made.root, CONTRAST3, CONTRAST5)
    forgeries.manifest(made.root, CONTRAST3, severity=3.0)
    forgeries.manifest(made.root, CONTRAST5, severity=5.0)


@planted("the order of classes permuted, digests updated", "coverage", "contrast/3")
def _(made: Made) -> None:
    classes = shards.manifest(made.folder(CONTRAST3))["classes"]
    forgeries.manifest(made.root, CONTRAST3, classes=classes[::-1])


@planted("the count in a manifest edited, digests updated", "coverage", "contrast/3")
def _(made: Made) -> None:
    forgeries.manifest(made.root, CONTRAST3, samples=61)


@planted("a sample left out of a shard, digests updated", "coverage", "contrast/3")
def _(made: Made) -> None:
    forgeries.samples(made.root, CONTRAST3, lambda samples: samples[1:])


@planted("the licence of a shard missing, digests updated", "licences", "contrast/3")
def _(made: Made) -> None:
    forgeries.manifest(made.root, CONTRAST3, licence="")


@planted("a tested sample copied into training, digests updated", "selection", TEST)
def _(made: Made) -> None:
    copy_in(made, Ref("shards", TRAIN), Ref("shards", TEST))


@planted("validation OOD reused as tested OOD, digests updated", "selection", CLEAN.path)
def _(made: Made) -> None:
    copy_in(made, CLEAN, made.one("shards", "secret"))


@planted("the pixel digests in an index edited, digests updated", "pixels", "contrast/3")
def _(made: Made) -> None:
    pixels = pl.lit("0" * 32)
    forgeries.index(made.root, CONTRAST3, lambda frame: frame.with_columns(pixels=pixels))


@planted("a file added to a tar, digests updated", "archives", "000000.tar")
def _(made: Made) -> None:
    def change(data: bytes) -> bytes:
        file = io.BytesIO(data)
        with tarfile.open(fileobj=file, mode="a") as tar:
            tar.add(made.root / "params.yaml", "extra.txt")
        return file.getvalue()

    forgeries.tar(made.root, CONTRAST3, change)


@planted("a time stamp in a tar, digests updated", "archives", "000000.tar")
def _(made: Made) -> None:
    def change(data: bytes) -> bytes:
        header = tarfile.TarInfo.frombuf(data[:512], "utf-8", "strict")
        header.mtime = 1
        return header.tobuf(tarfile.USTAR_FORMAT) + data[512:]

    forgeries.tar(made.root, CONTRAST3, change)


@planted("a symbolic link in the store", "archives", "contrast/5/000000.tar")
def _(made: Made) -> None:
    file = made.folder(CONTRAST5) / "000000.tar"
    file.rename(made.root / "elsewhere.tar")
    file.symlink_to(made.root / "elsewhere.tar")


@planted("a hidden cache of outputs", "archives", ".cache.npy")
def _(made: Made) -> None:
    np.save(made.folder(RECORDS) / ".cache.npy", np.zeros(3))


@planted("data that may not be passed on, where it would be pushed", "licences", "secret")
def _(made: Made) -> None:
    shutil.copytree(made.root / "data/local/secret", made.root / "data/shards/secret")


# --- records, scores, tables, digests updated -------------------------------------------------------


@planted("a row of a record deleted, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    forgeries.table(made.root, RECORDS, lambda frame: frame[1:])


@planted("a row of a record twice, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    forgeries.table(made.root, RECORDS, lambda frame: pl.concat([frame[:1], frame]))


@planted("a row of a record relabelled, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    other = {"label": 1 - pl.col("label") % 2, "correct": pl.lit(value=True)}
    forgeries.cell(made.root, RECORDS, forgeries.row(0), **other)


@planted("logits of a record scaled, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    scaled = pl.col("logits").list.eval(pl.element() * 2)
    forgeries.cell(made.root, RECORDS, ALL, logits=scaled)


@planted("a logit that is no number, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    spoilt = pl.col("logits").list.eval(pl.element() * np.nan)
    forgeries.cell(made.root, RECORDS, forgeries.row(0), logits=spoilt)


@planted(
    "logits and all that follows from them replaced, digests updated", "reevaluation", RECORDS.path
)
def _(made: Made) -> None:
    other = pl.read_parquet(made.root / RECORDS.path.replace("contrast/3", "contrast/5"))
    forgeries.table(made.root, RECORDS, lambda _: other)


@planted("features of a net replaced, digests updated", "reevaluation", "tiny/val/identity/0")
def _(made: Made) -> None:
    features = np.load(made.root / FEATURES.path)
    np.save(made.root / FEATURES.path, features * np.float32(1.001))
    forgeries.update(made.root, FEATURES)


@planted("scores of a detector edited, digests updated", "rows", SCORES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, SCORES, ALL, score=pl.col("score") + 0.01)


@planted("the data behind a record replaced in its receipt", "pixels", RECORDS.path)
def _(made: Made) -> None:
    made.edit(
        f"{RECORDS.path}.receipt.json", lambda content: content["facts"].update(pixels="0" * 64)
    )


@planted("a metric edited by 0.0001, digests updated", "aggregates", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, value=pl.col("value") + 1e-4)


@planted("the end of an interval edited, digests updated", "aggregates", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, ci_high=pl.col("ci_high") - 1e-3)


@planted("the rows of a severity dropped from a table, digests updated", "coverage", TABLES.path)
def _(made: Made) -> None:
    forgeries.table(made.root, TABLES, lambda frame: frame.filter(pl.col("severity").ne_missing(5)))


@planted("a number of the report edited, digests updated", "figures", "leaderboard.csv")
def _(made: Made) -> None:
    file = made.folder(REPORT) / "leaderboard.csv"
    table = pl.read_csv(file).with_columns(pl.col("value") + 0.0001)
    file.write_text(table.write_csv())
    forgeries.update(made.root, REPORT)


# --- weights, searches -----------------------------------------------------------------------


@planted("weights swapped, digests updated", "weights", ONE.path)
def _(made: Made) -> None:
    forgeries.swap(made.root, ONE, TWO)


@planted("weights swapped, their names and digests updated", "reevaluation", "convnet-erm-s0")
def _(made: Made) -> None:
    other = safetensors.numpy.load_file(made.root / TWO.path)
    forgeries.weights(made.root, ONE, lambda state, _: state.update(other))


@planted("weights as a pickle, which can run code, digests updated", "weights", ONE.path)
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


# --- evidence -------------------------------------------------------------------------------


@planted("results of an older version of shards copied in", "coherence", "contrast/3")
def _(made: Made) -> None:
    receipts = {file: file.read_text() for file in (made.root / "results").rglob("*.receipt.json")}
    forgeries.samples(made.root, CONTRAST3, one_pixel)
    for file, text in receipts.items():
        file.write_text(text)


@planted("a recipe in a receipt edited", "coherence", f"{RECORDS.path}.receipt.json")
def _(made: Made) -> None:
    made.edit(
        f"{RECORDS.path}.receipt.json", lambda content: content["recipe"].update(batch_size=1)
    )


@planted("a receipt of another output", "coherence", f"{RECORDS.path}.receipt.json")
def _(made: Made) -> None:
    other = made.root / f"{RECORDS.path.replace('contrast/3', 'contrast/5')}.receipt.json"
    shutil.copyfile(other, made.root / f"{RECORDS.path}.receipt.json")


@planted("a receipt deleted", "chain", RECORDS.path)
def _(made: Made) -> None:
    (made.root / f"{RECORDS.path}.receipt.json").unlink()


@planted("a run file deleted", "chain", f"{RECORDS.path}.run.json")
def _(made: Made) -> None:
    (made.root / f"{RECORDS.path}.run.json").unlink()


@planted("a severity dropped, its receipts too", "chain", "results/records/tiny")
def _(made: Made) -> None:
    for folder in (made.root / "results/records").rglob("contrast"):
        shutil.rmtree(folder)


@planted("a run file without what the batch size moves", "environment", f"{RECORDS.path}.run.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.pop("sensitivity"))


@planted("a library downgraded", "environment", "contrast/3")
def _(made: Made) -> None:
    folder = made.root.parent / "older"
    (folder / "numpy-1.0.0.dist-info").mkdir(parents=True)
    (folder / "numpy-1.0.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: numpy\nVersion: 1.0.0\n"
    )
    sys.path.insert(0, str(folder))
    try:
        assert importlib.metadata.version("numpy") == "1.0.0"
        forget()
        plan = made.plan()
        recipe.receipt_path(made.root, CONTRAST3).unlink()
        run_local.make(plan, made.root)
    finally:
        sys.path.remove(str(folder))
        forget()


@planted("the seed in a receipt edited, digests updated", "seeds", "gaussian_noise/3")
def _(made: Made) -> None:
    def change(content: dict) -> None:
        content["recipe"]["seed"] = 1
        content["fingerprint"] = recipe.fingerprint(content["recipe"])

    made.edit(f"{NOISE.path}.receipt.json", change)


@planted("a shift that draws from a global generator", "seeds", "spotted")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    file.write_text(
        file.read_text().replace("image.copy()", "image.copy() + (np.random.rand() > 2)")
    )
    commit()


@planted("results from after the audit", "sampling", RECORDS.path)
def _(made: Made) -> None:
    made.edit(
        f"{RECORDS.path}.run.json",
        lambda content: content.update(finished="2999-01-01T00:00:00+00:00"),
    )


@planted("a parameter changed after the run", "reruns", "tiny")
def _(made: Made) -> None:
    made.plan(bootstrap__draws=60)
    commit()


@planted("code changed after the run", "reruns", "spotted")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    file.write_text(file.read_text().replace("40 * severity", "41 * severity"))
    commit()


@planted("an unknown parameter", "parameters", "params.yaml")
def _(made: Made) -> None:
    file = made.root / "params.yaml"
    file.write_text(file.read_text() + "trust: me\n")


@planted("code edited and not committed", "commit", "mine/shifts/spotted.py")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    file.write_text(file.read_text().replace("40 * severity", "41 * severity"))


@planted("the lock edited", "commit", "requirements.lock")
def _(made: Made) -> None:
    file = made.root / "requirements.lock"
    file.write_text(file.read_text().replace("numpy==", "numpy==1."))


@planted("a card of claims edited", "commit", "systems/card.yaml")
def _(made: Made) -> None:
    (made.root / "systems/card.yaml").write_text("claims: [invincible]\n")


@planted("a run file of a commit that nobody has", "commit", f"{RECORDS.path}.run.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.update(commit="1" * 40))


@planted("a field that no stage writes in a receipt", "coherence", f"{RECORDS.path}.receipt.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.receipt.json", lambda content: content.update(nonce=7))


@planted("a check of the audit or other code hidden by `git replace`", "commit", "refs/replace/")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    file.write_text(file.read_text().replace("40 * severity", "41 * severity"))
    blob, other = (
        git("rev-parse", f"HEAD:{file.relative_to(made.root)}"),
        git("hash-object", "-w", str(file)),
    )
    git("replace", blob, other)


@planted("code hidden by a filter in .git/config", "commit", "mine/shifts/spotted.py")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    git("config", "filter.hide.clean", "git show HEAD:mine/shifts/spotted.py")
    (made.root / ".git/info/attributes").write_text("spotted.py filter=hide\n")
    file.write_text(file.read_text().replace("40 * severity", "41 * severity"))
    git("add", "mine/shifts/spotted.py")
    assert git("status", "--porcelain") == ""


@planted("bytecode that is not compared with its source", "commit", ".pyc")
def _(made: Made) -> None:
    source = made.root / "mine/shifts/spotted.py"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(source), invalidation_mode=mode, doraise=True)


@planted("a compiled module beside a source", "commit", "spotted")
def _(made: Made) -> None:
    made.plan()  # imports the source, which nothing would do afterwards
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (made.root / f"mine/shifts/spotted{suffix}").write_bytes(b"ELF")
    ignore = made.root / ".gitignore"
    ignore.write_text(ignore.read_text() + "*.so\n")
    commit()


@planted("plugins outside of the repository", "commit", "beside")
def _(made: Made) -> None:
    shutil.copytree(made.root / "mine/shifts", made.root.with_name("beside") / "shifts")
    (made.root.with_name("beside") / "shifts/spotted.py").rename(
        made.root.with_name("beside") / "shifts/speckled.py"
    )
    (made.root.with_name("beside") / "shifts/slow_contrast.py").unlink()
    made.plan(plugins=["mine", "../beside"])
    commit()


@planted("a file that a plugin opens and that no ASSETS names", "rebuild", "spotted")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    (made.root / "mine/shifts/factor.txt").write_text("40")
    said = "int(open(__file__.replace('spotted.py', 'factor.txt')).read())"
    file.write_text(file.read_text().replace("40 * severity", f"{said} * severity"))
    commit()
    run_local.make(made.plan(), made.root)


@planted("an installed library edited", "installed", "webdataset/tariterators.py")
def _(made: Made) -> None:
    home = Path(str(importlib.metadata.distribution("webdataset").locate_file("")))
    copy = made.root.parent / "older"
    for name in ("webdataset", next(home.glob("webdataset-*.dist-info")).name):
        shutil.copytree(home / name, copy / name)
    with (copy / "webdataset/tariterators.py").open("a") as stream:
        stream.write("# one line more\n")
    sys.path.insert(0, str(copy))
    forget()


@planted("sensitivity in run files inflated", "sensitivity", RECORDS.path.rpartition("/tiny/")[0])
def _(made: Made) -> None:
    moved = {"batch": {"sizes": [1, 60], "samples": 16, "largest": 5.0, "flip_rate": 0.0}}
    for file in (made.root / "results").rglob("*.run.json"):
        made.edit(file, lambda run: "sensitivity" in run and run.update(sensitivity=moved))


@planted(
    "borderline predictions made right, and another CPU claimed, digests updated",
    "reevaluation",
    RECORDS.path,
)
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


def _missing(row: dict) -> float:
    return max(row["logits"]) - row["logits"][row["label"]]


@planted("scores of a fitted detector raised, digests updated", "rescoring", "/plain/mds/")
def _(made: Made) -> None:
    for ref in made.plan().artifacts:
        if ref.kind == "scores" and "/mds/" in ref.name:
            forgeries.cell(made.root, ref, ALL, score=pl.col("score") + 1)


@planted("the AUROC of a search edited, digests updated", "rescoring", SEARCH.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, SEARCH, ALL, auroc=pl.col("auroc") * 0.99)


@planted("one bias of a net moved, all below made again", "training", "convnet-erm-s")
def _(made: Made) -> None:
    plan = made.plan()
    for ref in (ONE, TWO):  # of two, one is drawn
        forgeries.weights(made.root, ref, lambda state, _: state["head.bias"].__iadd__(1e-3))
    for ref in plan.artifacts:
        if ref.kind in ("records", "features", "scores", "searches", "tables", "report"):
            recipe.receipt_path(made.root, ref).unlink()
    run_local.make(plan, made.root)


@planted("the log of a training halved, digests updated", "weights", f"{ONE.path}.log.parquet")
def _(made: Made) -> None:
    half = pl.col("value") / 2
    forgeries.table(
        made.root, ONE, lambda f: f.with_columns(value=half), Path(f"{ONE.path}.log.parquet").name
    )


@planted("foreign keys in the metadata of a table, digests updated", "rows", RECORDS.path)
def _(made: Made) -> None:
    metadata(made, RECORDS, made.root / RECORDS.path)


@planted("foreign keys in the metadata of an index, digests updated", "archives", "index.parquet")
def _(made: Made) -> None:
    metadata(made, CONTRAST3, made.folder(CONTRAST3) / shards.INDEX)
    forgeries.manifest(made.root, CONTRAST3, index=sha256(made.folder(CONTRAST3) / shards.INDEX))


@planted("a tar replaced by a link into the DVC cache", "archives", "contrast/5/000000.tar")
def _(made: Made) -> None:
    file, kept = made.folder(CONTRAST5) / "000000.tar", made.root / ".dvc/cache/files/md5/ab/cd"
    kept.parent.mkdir(parents=True)
    file.rename(kept)
    file.symlink_to(kept)


# --- releases -------------------------------------------------------------------------------


@planted("the manifest of a release edited", "tampering", "releases/v1")
def _(made: Made) -> None:
    made.edit("releases/v1/manifest.json", lambda content: content["artefacts"].pop())


@planted("an artefact replaced after its release, digests updated", "tampering", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, value=pl.col("value") + 1e-4)


@planted("the statement of a release edited", "attestation", ".receipt.json")
def _(made: Made) -> None:
    made.edit("releases/v1/statement.intoto.json", lambda content: content["subject"].pop())


# --- helpers --------------------------------------------------------------------------------


def one_pixel(samples: list[Sample]) -> list[Sample]:
    image = samples[7].fields["image"].copy()
    image[0, 0] ^= 3
    return [*samples[:7], samples[7].with_field("image", image), *samples[8:]]


def metadata(made: Made, ref: Ref, file: Path) -> None:
    """Add a key to the metadata of a Parquet file."""
    with pq.ParquetFile(file) as parquet:
        table, facts = parquet.read(), parquet.metadata.metadata or {}
    with pq.ParquetWriter(file, table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
        kept = {key: value for key, value in facts.items() if key != b"ARROW:schema"}
        writer.add_key_value_metadata({**kept, b"nonce": b"7"})
    forgeries.update(made.root, ref)


def copy_in(made: Made, into: Ref, source: Ref) -> None:
    """Put a sample of one folder into another, under a key of its own."""
    guest = next(iter(shards.read(made.folder(source))))
    key = f"{into.parts[0]}/all/zzzz"
    forgeries.samples(made.root, into, lambda samples: [*samples, Sample(key, guest.fields)])


# --- the tests --------------------------------------------------------------------------------


def test_there_are_forty_faults_and_more():
    assert len(FAULTS) >= 60


def test_without_a_fault_all_is_exact(published):
    done = published.audit(level=3)
    assert {
        result.name: (result.verdict, result.findings)
        for result in done.results
        if result.verdict != "exact"
    } == {"clone": ("not run", ())}
    assert done.exit_code == 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_and_named(published, name):
    fault = FAULTS[name]
    fault.plant(published)
    try:
        result = published.result(fault.check)
    finally:
        sys.path[:] = [place for place in sys.path if not place.endswith("/older")]
    hits = [finding for finding in result.findings if fault.file in finding.file]
    wanted = "incomplete" if name == "a severity dropped, its receipts too" else "failed"
    assert [finding.verdict for finding in hits][:1] == [wanted], [str(f) for f in result.findings]
    assert any(finding.why for finding in hits)


def test_the_page_has_this_table(root):
    """Printed by `python tests/audit/test_planted_faults.py`."""
    assert listed() in (root / "docs/audit.md").read_text()


def listed() -> str:
    """Return the faults as a table of Markdown, by the number of the check."""
    rows = [
        (importlib.import_module(f"shiftbench.audit.checks.{f.check}").NUMBER, f.check, name)
        for name, f in FAULTS.items()
    ]
    rows.sort(key=lambda row: int(row[0][1:]))
    lines = [f"| {name} | {number} | {check} |" for number, check, name in rows]
    return "\n".join(["| fault | caught by | |", "| --- | --- | --- |", *lines])


if __name__ == "__main__":
    sys.stdout.write(listed() + "\n")
