"""What somebody sends, looked at by a maintainer: sound, on the published data, or refused."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from makers.made_campaign import Made
from shiftbench.cli import submitting
from shiftbench.documents import leaderboard
from shiftbench.errors import DataError, ParamsError
from shiftbench.release import published as releases
from shiftbench.release import submission

ABOUT = {"name": "theirs", "scale": None, "created": "2026-01-01T00:00:00+00:00"}


@pytest.fixture
def archive(published: Made) -> Path:
    """What somebody sends who ran the campaign that is published."""
    plan, root = published.plan(), published.root
    releases.write(plan, root, root, None, ABOUT["created"])
    target = root.parent / "theirs.tar.gz"
    submission.write(plan, root, root, ABOUT, target)
    return target


def looked_at(published: Made, archive: Path, folder: Path) -> Any:
    submission.unpack(archive, folder)
    return submitting._looked_at(folder, None, releases.read(published.root, None))


def test_a_sound_submission_is_shown(published, archive, tmp_path):
    done, unlike, board = looked_at(published, archive, tmp_path / "there")
    failed = [
        str(one) for result in done.results for one in result.findings if one.verdict == "failed"
    ]
    assert (failed, done.verdict) == ([], "incomplete")  # tars and nets are not sent
    assert unlike == []
    sent = {path.suffix for path in (tmp_path / "there").rglob("*") if path.is_file()}
    assert sent.isdisjoint({".tar", ".safetensors", ".png"})
    board = board.replace(
        b"/convnet-erm,", b"/convnet-mine,"
    )  # a net that is not among the published
    submission.accept(
        published.root, {**submission.read(tmp_path / "there"), "verdict": "x"}, board
    )
    assert "convnet-mine plain (theirs)</th>" in leaderboard.page(published.root)


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
    done, unlike, _ = submitting._looked_at(folder, None, there)
    assert done.verdict == "failed"
    with pytest.raises(DataError, match="contradicts itself"):
        submitting._require(done, unlike)


def test_other_data_are_told(published, archive, tmp_path):
    folder = tmp_path / "there"
    submission.unpack(archive, folder)
    receipt = next((folder / "data/shards").rglob("manifest.json.receipt.json"))
    content = json.loads(receipt.read_text())
    content["made"] = dict.fromkeys(content["made"], "0" * 64)
    receipt.write_text(json.dumps(content))
    _, unlike, _ = submitting._looked_at(folder, None, releases.read(published.root, None))
    assert unlike == [receipt.relative_to(folder).as_posix().removesuffix(".receipt.json")]


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
        assert submission.unlike(part, tmp_path / "there", there) == [left.path]
        return
    receipt = next((tmp_path / "there/results/tables").rglob("*.receipt.json"))
    content = json.loads(receipt.read_text())
    content["recipe"]["draws"] += 1
    receipt.write_text(json.dumps(content))
    table = receipt.relative_to(tmp_path / "there").as_posix().removesuffix(".receipt.json")
    assert submission.unlike(plan, tmp_path / "there", there) == [table]


def test_a_scale_that_leads_elsewhere_is_refused(tmp_path):
    about = {
        **ABOUT,
        "format": submission.FORMAT,
        "root": "",
        "commit": "",
        "scale": "../../elsewhere",
    }
    (tmp_path / submission.ABOUT).write_text(json.dumps(about))
    with pytest.raises(DataError, match="no submission"):
        submission.read(tmp_path)


def tarred(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, size, "/etc/passwd"
        archive.addfile(
            member, io.BytesIO(b"\\0" * min(size, 10)) if size else None
        ) if size <= 10 else (archive.fileobj.write(member.tobuf()))
    return stream.getvalue()


HOSTILE = {
    "no archive": b"not a tar",
    "empty": b"",
    "a link": tarred("a", tarfile.SYMTYPE),
    "a hard link": tarred("a", tarfile.LNKTYPE),
    "a device": tarred("a", tarfile.CHRTYPE),
    "above": tarred("../a"),
    "absolute": tarred("/etc/a"),
    "endless": tarred("a", size=1 << 40),
    "nothing of ours": tarred("a"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_submission_is_refused(tmp_path, what):
    archive, folder = tmp_path / "sent", tmp_path / "there"
    archive.write_bytes(HOSTILE[what])
    folder.mkdir()
    with pytest.raises(DataError):
        submission.unpack(archive, folder)
    assert {path.name for path in folder.iterdir()} <= {"a"}
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_a_torn_archive_is_refused(archive, tmp_path):
    """Wherever it ends."""
    data, draw = archive.read_bytes(), np.random.default_rng(0)
    for number in range(6):
        torn = tmp_path / f"torn{number}.tar.gz"
        torn.write_bytes(data[: int(draw.integers(len(data) - 1000))])
        with pytest.raises(DataError, match="cannot be unpacked|no submission"):
            submission.unpack(torn, tmp_path / f"there{number}")


def test_a_name_becomes_a_folder(published):
    with pytest.raises(ParamsError, match="no name for a submission"):
        submission.write(
            published.plan(), published.root, published.root, {**ABOUT, "name": "../a"}, Path("a")
        )
