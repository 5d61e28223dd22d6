"""What somebody sends, looked at by a maintainer: sound, on the published data, or refused."""

import gzip
import io
import json
import lzma
import subprocess
import tarfile
import tracemalloc
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from makers.hostile_json import REFUSED
from makers.made_benchmark import Made
from shiftbench.audit import run
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import sha256
from shiftbench.cli import submissions
from shiftbench.cli.documents import leaderboard
from shiftbench.data import pins
from shiftbench.provenance import recipe
from shiftbench.release import manifest, submission
from shiftbench.release import published as releases

ABOUT = {"name": "theirs", "scale": None, "created": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def archive(published: Made) -> Path:
    """What somebody sends who ran the benchmark that is published."""
    plan, root = published.plan(), published.root
    releases.write(plan, root, root, None, ABOUT["created"])
    target = root.parent / "theirs.tar.gz"
    submission.write(plan, root, root, ABOUT, target)
    return target


def reviewed(published: Made, archive: Path, folder: Path) -> Any:
    submission.unpack(archive, folder)
    return submissions._audit_submission(folder, None, releases.read(published.root, None))


def test_a_sound_submission_is_shown(published, archive, tmp_path):
    done, unlike, board, sent = reviewed(published, archive, tmp_path / "there")
    failed = [str(one) for result in done.results for one in result.findings if one.verdict == "failed"]
    assert (failed, done.verdict) == ([], "incomplete")  # tars and nets are not sent
    assert unlike == []
    submissions._require(done, unlike)
    assert submissions._same_board(board, sent) == sent
    sent = {path.suffix for path in (tmp_path / "there").rglob("*") if path.is_file()}
    assert sent.isdisjoint({".tar", ".safetensors", ".png"})
    board = board.replace(b"/convnet-erm,", b"/convnet-mine,")  # a net that is not among the published
    submission.accept(published.root, {**submission.read(tmp_path / "there"), "verdict": "x"}, board)
    (row,) = [line for line in leaderboard.page(published.root).splitlines() if " | theirs | " in line]
    assert row.endswith("| level 1, x |")


def test_the_same_run_is_packed_in_the_same_bytes(published, archive):
    before = archive.read_bytes()
    submission.write(published.plan(), published.root, published.root, ABOUT, archive)
    assert archive.read_bytes() == before


def test_an_edited_number_fails(published, archive, tmp_path):
    folder = tmp_path / "there"
    submission.unpack(archive, folder)
    file = next((folder / "results/records").rglob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    there = releases.read(published.root, None)
    done, unlike, *_ = submissions._audit_submission(folder, None, there)
    assert done.verdict == "failed"
    with pytest.raises(DataError, match="contradicts itself"):
        submissions._require(done, unlike)


def test_other_data_are_told(published, archive, tmp_path):
    folder = tmp_path / "there"
    submission.unpack(archive, folder)
    receipt = next((folder / "data/shards").rglob("manifest.json.receipt.json"))
    content = json.loads(receipt.read_text())
    content["made"] = dict.fromkeys(content["made"], "0" * 64)
    receipt.write_text(json.dumps(content))
    _, unlike, *_ = submissions._audit_submission(folder, None, releases.read(published.root, None))
    assert unlike == [receipt.relative_to(folder).as_posix().removesuffix(".receipt.json")]


def forge_board(folder: Path, draw: np.random.Generator) -> str:
    """Change a cell of the leaderboard, and say so in its receipt."""
    file = folder / releases.LEADERBOARD
    lines = [line.split(",") for line in file.read_text().splitlines()]
    row = lines[int(draw.integers(1, len(lines)))]
    row[4] = "0.999"
    if draw.random() < 0.3:
        lines.remove(row)
    elif draw.random() < 0.3:
        row[1] = "tiny/mine"
    file.write_text("".join(",".join(line) + "\n" for line in lines))
    restate(file, file.with_name("index.html.receipt.json"))
    return "leaderboard.csv differs from the one that its tables give"


def forge_table(folder: Path, draw: np.random.Generator) -> str:
    """Change a value of a table, say so in its receipt, and let the leaderboard and its receipt follow."""
    file = folder / "results/tables/tiny/metrics.parquet"
    if not file.is_file():
        file = next((folder / "results/tables").rglob("*metrics.parquet"))
    table = pq.read_table(file)
    column = str(draw.choice(["value", "ci_low", "ci_high"]))
    values = [one and one * 0.99 for one in table[column].to_pylist()]
    at = table.schema.get_field_index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), [values]), file)
    restate(file, next(file.parent.glob("*metrics.parquet.receipt.json")))
    return "contradicts itself|check `aggregates` is not exact"


def forge_recipe(folder: Path, draw: np.random.Generator) -> str:
    """Change what a receipt says of how a table was computed."""
    receipt = next((folder / "results/tables").rglob("*.receipt.json"))
    content = json.loads(receipt.read_text())
    key = str(draw.choice(["verb", "task", "name", "draws", "seed"]))
    content["recipe"][key] = f"{content['recipe'].get(key)}x"
    receipt.write_text(json.dumps(content))
    return "contradicts itself|are other than the published|is not exact"


def drop(folder: Path, draw: np.random.Generator) -> str:
    """Leave out rows that a table was computed from."""
    files = sorted((folder / "results/records").rglob("*.parquet"))
    files[int(draw.integers(len(files)))].unlink()
    return "contradicts itself|is not exact"


def restate(file: Path, receipt: Path) -> None:
    content = json.loads(receipt.read_text())
    content["made"][file.name] = sha256(file)
    receipt.write_text(json.dumps(content))


def accepted(found: Any) -> bytes:
    """Return the leaderboard that is shown, as the command does."""
    submissions._require(found.audit, found.incomparable)
    return submissions._same_board(found.board, found.sent)


FORGERIES = [(forge_board, 0), (forge_table, 0), (forge_recipe, 0), (drop, 0)]


@pytest.mark.parametrize(("forge", "seed"), FORGERIES)
def test_a_forgery_is_not_accepted(published, archive, tmp_path, monkeypatch, forge, seed):
    """Whoever sends results can put their digests into the receipts: numbers have to follow from the rows."""
    folder = tmp_path / "there"
    submission.unpack(archive, folder)
    why = forge(folder, np.random.default_rng(seed))
    checks = (*submissions._EXACT, *submissions._MAY_LACK)
    monkeypatch.setattr(run, "AuditRequest", partial(run.AuditRequest, only=checks))
    found = submissions._audit_submission(folder, None, releases.read(published.root, None))
    with pytest.raises(DataError, match=why):
        accepted(found)


@pytest.mark.parametrize("seed", range(30))
def test_any_other_leaderboard_is_refused(seed):
    draw = np.random.default_rng(seed)
    board = b"benchmark,value\n" + bytes(draw.integers(48, 58, 40).astype(np.uint8)) + b"\n"
    sent = bytearray(board)
    at = int(draw.integers(len(sent)))
    sent[at : at + int(draw.integers(2))] = bytes(draw.integers(0, 256, int(draw.integers(1, 3))).astype(np.uint8))
    if bytes(sent) != board:
        with pytest.raises(DataError, match="differs from the one that its tables give"):
            submissions._same_board(board, bytes(sent))
    with pytest.raises(DataError, match="lacks a table"):
        submissions._same_board(DataError("it lacks a table"), bytes(sent))


@pytest.mark.parametrize("fewer", [True, False])
def test_a_part_of_the_data_or_another_rule_is_told(published, archive, tmp_path, fewer):
    """One shift left out makes means easier; more bins make another ECE: both are sound, and no row of this board."""
    submission.unpack(archive, tmp_path / "there")
    there = releases.read(published.root, None)
    plan = published.plan()
    if fewer:
        refs = plan.artifacts
        left = next(ref for ref in refs if ref.kind == "shards" and "gaussian" in ref.name)
        part: Any = SimpleNamespace(artifacts={ref: refs[ref] for ref in refs if ref != left})
        assert submission.incomparable_outputs(part, tmp_path / "there", there) == [left.path]
        return
    receipt = next((tmp_path / "there/results/tables").rglob("*.receipt.json"))
    content = json.loads(receipt.read_text())
    content["recipe"]["draws"] += 1
    receipt.write_text(json.dumps(content))
    table = receipt.relative_to(tmp_path / "there").as_posix().removesuffix(".receipt.json")
    assert submission.incomparable_outputs(plan, tmp_path / "there", there) == [table]


@pytest.mark.parametrize("wrong", [{"scale": "../../elsewhere"}, {"parameters": [1]}])
def test_a_description_with_a_wrong_value_is_refused(tmp_path, wrong):
    about = {**ABOUT, "format": submission.FORMAT, "root": "", "commit": "", **wrong}
    (tmp_path / submission.ABOUT).write_text(json.dumps(about))
    with pytest.raises(DataError, match="no submission"):
        submission.read(tmp_path)


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_json_is_no_submission_no_manifest_and_no_list_of_pins(tmp_path, monkeypatch, name):
    text = REFUSED[name]
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    for file in (submission.ABOUT, "sources.lock"):
        (tmp_path / file).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no submission"):
        submission.read(tmp_path)
    with pytest.raises(DataError, match="not a manifest"):
        manifest.parse(data, tmp_path)
    with pytest.raises(DataError, match="no list of pinned files"):
        pins.is_pinned("a")


@pytest.mark.parametrize("name", ["deep lists", "deep objects", "digits that Python refuses", "UTF-16"])
def test_hostile_json_in_a_receipt_and_a_run_file_is_as_none(made, name):
    text = REFUSED[name]
    data = text if isinstance(text, bytes) else text.encode()
    ref = made.one("records")
    for file in (recipe.receipt_path(made.root, ref), recipe.run_path(made.root, ref)):
        file.write_bytes(data)
    about = made.audit("coherence").about
    assert about["here"] == about["planned"] - 1


def tarred(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, data: bytes = b"") -> bytes:
    """Return an archive with one member, which says that it has `size` bytes."""
    return gzip.compress(header(name, kind, size) + padded(data) + bytes(1024), 1)


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "/etc/passwd"
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(**records: object) -> bytes:
    """Return a header of records for the member after it."""
    return tarfile.TarInfo._create_pax_generic_header(
        {key.replace("_", "."): str(value) for key, value in records.items()}, b"x", "utf-8"
    )


def old_sparse(blocks: int) -> bytes:
    """Return the header of a sparse file as GNU tar wrote them, whose map goes on and on."""
    data = bytearray(header("a"))
    data[156:157], data[148:156], data[482:483] = b"S", b" " * 8, b"\1"
    data[148:156] = b"%06o\0 " % sum(data)
    more = (b"%011o\0%011o\0" % (1, 1)) * 21 + b"\1" + bytes(7)
    return bytes(data) + more * blocks


ENDLESS = 32 << 20
HOSTILE = {
    "no archive": b"not a tar",
    "empty": b"",
    "a link": tarred("a", tarfile.SYMTYPE),
    "a hard link": tarred("a", tarfile.LNKTYPE),
    "a device": tarred("a", tarfile.CHRTYPE),
    "a pipe": tarred("a", tarfile.FIFOTYPE),
    "above": tarred("../a"),
    "absolute": tarred("/etc/a"),
    "endless": tarred("a", size=1 << 40),
    "a folder with bytes": tarred("a", tarfile.DIRTYPE, 1 << 40, bytes(ENDLESS)),
    "nothing of ours": tarred("a"),
    "not packed": header("a") + bytes(1024),
    "packed by another": lzma.compress(header("a") + bytes(1024)),
    **{
        f"a header {kind!r} without end": tarred("a", kind, 1 << 35, bytes(ENDLESS))
        for kind in (b"x", b"g", b"X", b"L", b"K")
    },
    "a map without end": gzip.compress(old_sparse(ENDLESS // 512), 1),
    "a newer map without end": gzip.compress(
        pax(GNU_sparse_major=1, GNU_sparse_minor=0, GNU_sparse_realsize=1 << 32)
        + header("a", size=1 << 30)
        + padded(b"99999999\n" + b"1\n" * (ENDLESS // 2)),
        1,
    ),
    "a sparse file": gzip.compress(
        pax(GNU_sparse_major=1, GNU_sparse_minor=0, GNU_sparse_realsize=1 << 32)
        + header("a", size=512)
        + padded(b"0\n")
        + bytes(1024),
        1,
    ),
    "headers of headers": gzip.compress(pax(comment="a") * 1000, 1),
    "less than nothing": gzip.compress(pax(size=-1) + header("a", size=512) + bytes(1024), 1),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_submission_is_refused(tmp_path, what):
    """And neither memory nor the disk is filled before."""
    archive, folder = tmp_path / "sent", tmp_path / "there"
    archive.write_bytes(HOSTILE[what])
    folder.mkdir()
    tracemalloc.start()
    with pytest.raises(DataError):
        submission.unpack(archive, folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert {path.name for path in folder.iterdir()} <= {"a"}
    assert not any(path.is_symlink() for path in folder.iterdir())


@pytest.mark.parametrize("limit", ["LARGEST", "_MEMBERS"])
def test_an_archive_of_much_is_refused(archive, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(submission, limit, 20)
    with pytest.raises(DataError, match="the limit is"):
        submission.unpack(archive, tmp_path / "there")
    assert len(list((tmp_path / "there").rglob("*"))) < 60


def test_long_names_and_folders_of_other_writers_are_read(tmp_path):
    names = ["a" * 90 + "/" + "b" * 200, "c/d"]
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive, folder = tmp_path / f"{form}.tar.gz", tmp_path / str(form)
        with tarfile.open(archive, "w:gz", format=form) as packed:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 3
                packed.addfile(member, io.BytesIO(b"abc"))
        with pytest.raises(DataError, match="no submission"):
            submission.unpack(archive, folder)
        assert [(folder / name).read_bytes() for name in names] == [b"abc"] * 2


LINKED = ("README", "mine/secret", "results/tables", "results/report/index.html.run.json", "results")


@pytest.mark.parametrize("place", LINKED)
@pytest.mark.parametrize("target", ["secret.pem", "checkout/.git/config", "missing"])
def test_no_link_is_packed(made, place, target):
    """Tracked or an output, at the file or above it, out of the checkout or into its `.git`."""
    around = made.root.parent
    (around / "secret.pem").write_text("PRIVATE KEY")
    link = made.root / place
    if link.exists():
        link.rename(around / "moved")
    link.symlink_to(around / "moved" if (around / "moved").exists() else around / target)
    for words in (["init", "-q"], ["add", "-f", place]):
        subprocess.run(["git", *words], cwd=made.root, check=False, capture_output=True)
    with pytest.raises(DataError, match=f"{place}.* is a link, is behind one or is no file"):
        submission._files_by_name(made.plan(), made.root, made.root)


def test_what_dvc_links_to_its_cache_is_packed(made):
    ref = made.one("tables")
    kept = made.root / ".dvc/cache/files/md5/00/0"
    kept.parent.mkdir(parents=True)
    (made.root / ref.path).rename(kept)
    (made.root / ref.path).symlink_to(kept)
    assert submission._files_by_name(made.plan(), made.root, made.root)[ref.path].read_bytes()


def test_a_torn_archive_is_refused(archive, tmp_path):
    """Wherever it ends."""
    data, draw = archive.read_bytes(), np.random.default_rng(0)
    for number in range(6):
        torn = tmp_path / f"torn{number}.tar.gz"
        torn.write_bytes(data[: int(draw.integers(len(data) - 1000))])
        with pytest.raises(DataError, match="cannot be unpacked|no submission"):
            submission.unpack(torn, tmp_path / f"there{number}")


def test_a_name_becomes_a_folder(published):
    with pytest.raises(ParamsError, match="no valid name for a submission"):
        submission.write(published.plan(), published.root, published.root, {**ABOUT, "name": "../a"}, Path("a"))
