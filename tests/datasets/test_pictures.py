"""Image files become arrays: modes, formats, sizes, and programs that none of them starts."""

import contextlib
import io
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from makers import small_files
from shiftbench.base.errors import DataError
from shiftbench.plugins.datasets import _pictures
from shiftbench.workflow.tools import preview


def test_what_is_wrong_with_a_picture_is_said_alike_in_every_process() -> None:
    """And tells how a run goes on."""
    with pytest.raises(DataError) as caught:
        _pictures.open_picture(io.BytesIO(b"<html>"), "mine/all/1")
    assert str(caught.value) == "mine/all/1: the image cannot be read: cannot identify image file"


def test_pictures_become_uint8_whatever_their_mode(tmp_path: Path) -> None:
    deep = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert _pictures.to_array(deep).tolist() == [[0, 1, 255]]
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert _pictures.to_array(clear).tolist() == [[[255, 255, 255]]]
    assert _pictures.to_array(Image.new("CMYK", (2, 1))).shape == (1, 2, 3)
    turned = small_files.picture(0)
    exif = turned.getexif()
    exif[0x0112] = 6  # "rotate by 90 degrees", which is ignored
    turned.save(tmp_path / "a.png", exif=exif)
    assert _pictures.read_array(tmp_path / "a.png", "a").shape == (9, 12, 3)


def test_huge_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pictures, "MAX_PIXELS", 100)
    small_files.picture(0).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="k: 12 x 9 pixels; at most 100 are read"):
        _pictures.read_array(tmp_path / "a.png", "k")


def test_no_picture_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow calls Ghostscript for PostScript, whatever the file is called."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    small_files.picture(0).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    for read in (partial(_pictures.read_array, key="k"), preview.own_image):
        with pytest.raises(DataError, match="cannot"):
            read(tmp_path / "a.jpg")
    assert not (tmp_path / "ran").exists()
    with contextlib.suppress(OSError), Image.open(tmp_path / "a.jpg") as opened:
        opened.load()  # and so it would be
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", _pictures._FORMATS)
def test_every_format_of_the_suffixes_is_read(tmp_path: Path, kind: str) -> None:
    small_files.picture(0).convert("L").save(tmp_path / "a", kind)
    assert _pictures.read_array(tmp_path / "a", "k").shape[:2] == (9, 12)
