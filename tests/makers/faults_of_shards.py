"""Faults of bytes: source files, shards, their manifests and indexes, pixels, previews, licences."""

import io
import shutil
import tarfile

import numpy as np
import polars as pl

from makers import forgeries
from makers.faults import (
    CLEAN,
    CONTRAST3,
    CONTRAST5,
    FEATURES,
    NOISE,
    ONE,
    PREVIEW,
    RECORDS,
    REPORT,
    TABLES,
    TEST,
    TWO,
    Faults,
    metadata,
    one_pixel,
)
from makers.made_benchmark import Made, commit
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.workflow.tools import run_local

FAULTS = Faults()
planted = FAULTS.planted


for _name, _file in {
    "a byte flipped in a source file": "data/sources/spots/spots.txt",
    "a byte flipped in a shard, its time stamp forged": "data/shards/tiny/test/contrast/3/000000.tar",
    "a byte flipped in a record": RECORDS.path,
    "a byte flipped in a table": TABLES.path,
    "a byte flipped in a checkpoint": ONE.path,
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


@planted("a shard rebuilt with another seed, digests updated", "rebuild", "gaussian_noise/3")
def _(made: Made) -> None:
    other = {**made.plan().artifacts[NOISE].recipe, "seed": 1}
    clean = list(shards.read(made.folder(Ref("shards", TEST))))
    forgeries.samples(made.root, NOISE, lambda _: map(Shifter.of(other, "tiny", {}), clean))


@planted("one pixel of one sample changed, digests updated", "rebuild", "contrast/3")
def _(made: Made) -> None:
    forgeries.samples(made.root, CONTRAST3, one_pixel)


@planted("one pixel of an unshifted sample changed, digests updated", "rebuild", "other/test/identity")
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


@planted("other names of classes in a card, digests updated", "archives", "contrast/3/README.md")
def _(made: Made) -> None:
    card = made.folder(CONTRAST3) / "README.md"
    card.write_text(card.read_text().replace("'1': one", "'1': two"))
    forgeries.update(made.root, CONTRAST3)


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


@planted("data that may not be shared in a folder that is pushed", "licences", "secret")
def _(made: Made) -> None:
    shutil.copytree(made.root / "data/local/secret", made.root / "data/shards/secret")


@planted("the data behind a record replaced in its receipt", "pixels", RECORDS.path)
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.receipt.json", lambda content: content["facts"].update(pixels="0" * 64))


@planted("the rows of a severity dropped from a table, digests updated", "coverage", TABLES.path)
def _(made: Made) -> None:
    forgeries.table(made.root, TABLES, lambda frame: frame.filter(pl.col("severity").ne_missing(5)))


@planted("a file that a plugin opens and that is in no ASSETS", "rebuild", "spotted")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    (made.root / "mine/shifts/factor.txt").write_text("40")
    said = "int(open(__file__.replace('spotted.py', 'factor.txt')).read())"
    file.write_text(file.read_text().replace("40 * severity", f"{said} * severity"))
    commit()
    run_local.make(made.plan(), made.root)


@planted("a definition that runs and is in no recipe", "rebuild", "spotted")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    module = "importlib.import_module('shift' + 'bench.shifts.identity')"
    said = f"len(str({module}.apply(1, 0.0, None)))"
    text = file.read_text().replace("40 * severity", f"40 * {said} * severity")
    file.write_text(text.replace("import numpy", "import importlib\nimport numpy", 1))
    commit()
    run_local.make(made.plan(), made.root)


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
