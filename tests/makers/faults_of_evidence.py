"""Faults of the evidence: receipts, run files, code, params, git, releases."""

import datetime
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import py_compile
import shutil
import struct
import sys
from pathlib import Path

import polars as pl

from makers import forgeries
from makers.faults import ACCURACY, CONTRAST3, NOISE, ONE, RECORDS, TABLES, Faults, one_pixel
from makers.made_benchmark import Made, commit, forget, git
from shiftbench.provenance import recipe
from shiftbench.workflow.tools import run_local

FAULTS = Faults()
planted = FAULTS.planted


@planted("results of an older version of shards copied in", "coherence", "contrast/3")
def _(made: Made) -> None:
    receipts = {file: file.read_text() for file in (made.root / "results").rglob("*.receipt.json")}
    forgeries.samples(made.root, CONTRAST3, one_pixel)
    for file, text in receipts.items():
        file.write_text(text)


@planted("a recipe in a receipt edited", "coherence", f"{RECORDS.path}.receipt.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.receipt.json", lambda content: content["recipe"].update(batch_size=1))


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


@planted("a run file without the sensitivity to the batch size", "environment", f"{RECORDS.path}.run.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.pop("sensitivity"))


@planted("a library downgraded", "environment", "contrast/3")
def _(made: Made) -> None:
    folder = made.root.parent / "older"
    (folder / "numpy-1.0.0.dist-info").mkdir(parents=True)
    (folder / "numpy-1.0.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0.0\n")
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
    file.write_text(file.read_text().replace("image.copy()", "image.copy() + (np.random.rand() > 2)"))
    commit()


@planted("results that are later than the audit", "sampling", RECORDS.path)
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.update(finished="2999-01-01T00:00:00+00:00"))


@planted("a parameter changed after the run", "reruns", "tiny")
def _(made: Made) -> None:
    made.plan(bootstrap__resamples=60)
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


@planted("a run file of an unknown commit", "commit", f"{RECORDS.path}.run.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.update(commit="1" * 40))


@planted("an unknown field in a receipt", "coherence", f"{RECORDS.path}.receipt.json")
def _(made: Made) -> None:
    made.edit(f"{RECORDS.path}.receipt.json", lambda content: content.update(nonce=7))


@planted("changed code, also of the audit, hidden by `git replace`", "commit", "refs/replace/")
def _(made: Made) -> None:
    file = made.root / "mine/shifts/spotted.py"
    file.write_text(file.read_text().replace("40 * severity", "41 * severity"))
    blob, other = (git("rev-parse", f"HEAD:{file.relative_to(made.root)}"), git("hash-object", "-w", str(file)))
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


@planted("a compiled module next to a source", "commit", "spotted")
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
    (made.root.with_name("beside") / "shifts/spotted.py").rename(made.root.with_name("beside") / "shifts/speckled.py")
    (made.root.with_name("beside") / "shifts/slow_contrast.py").unlink()
    made.plan(plugins=["mine", "../beside"])
    commit()


@planted("params committed as a link to a file that git ignores", "commit", "params.yaml")
def _(made: Made) -> None:
    params, hidden = made.root / "params.yaml", made.root / "logs/params.yaml"
    hidden.parent.mkdir(exist_ok=True)
    params.rename(hidden)
    params.symlink_to("logs/params.yaml")
    commit()


@planted("a plugin committed as a link to outside of the repository", "commit", "spotted.py")
def _(made: Made) -> None:
    file, other = made.root / "mine/shifts/spotted.py", made.root.with_name("beside")
    other.mkdir()
    file.rename(other / "spotted.py")
    file.symlink_to(other / "spotted.py")
    commit()


@planted("bytecode with the time and size of its source", "commit", ".pyc")
def _(made: Made) -> None:
    source = made.root / "mine/shifts/spotted.py"
    forged = made.root.with_name("forged.py")
    forged.write_text(source.read_text().replace("40 * severity", "41 * severity"))
    kept = Path(importlib.util.cache_from_source(str(source)))
    py_compile.compile(str(forged), str(kept), doraise=True)
    stat, data = source.stat(), bytearray(kept.read_bytes())
    data[8:16] = struct.pack("<II", int(stat.st_mtime), stat.st_size)
    kept.write_bytes(data)


@planted("an edited library before the installed one on Python's path", "installed", "webdataset/__init__.py")
def _(made: Made) -> None:
    home = Path(str(importlib.metadata.distribution("webdataset").locate_file("")))
    shutil.copytree(home / "webdataset", made.root.parent / "older" / "webdataset")
    for name in [name for name in sys.modules if name.partition(".")[0] == "webdataset"]:
        del sys.modules[name]
    sys.path.insert(0, str(made.root.parent / "older"))
    forget()


@planted("results of tomorrow in another time zone", "sampling", RECORDS.path)
def _(made: Made) -> None:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    made.edit(f"{RECORDS.path}.run.json", lambda content: content.update(finished=f"{today}T23:59:00-12:00"))


@planted("a run file of a GPU without the GPU's name", "environment", f"{ONE.path}.run.json")
def _(made: Made) -> None:
    made.edit(f"{ONE.path}.run.json", lambda content: content.update(device="cuda:0"))


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


@planted("the manifest of a release edited", "tampering", "releases/v1")
def _(made: Made) -> None:
    made.edit("releases/v1/manifest.json", lambda content: content["artefacts"].pop())


@planted("an artefact replaced after its release, digests updated", "tampering", TABLES.path)
def _(made: Made) -> None:
    forgeries.cell(made.root, TABLES, ACCURACY, value=pl.col("value") + 1e-4)


@planted("the statement of a release edited", "attestation", ".parquet")
def _(made: Made) -> None:
    made.edit("releases/v1/statement.intoto.json", lambda content: content["subject"].pop())
