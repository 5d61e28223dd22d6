"""Joints of persons are drawn over previews on the page, and on the sheet of `shiftbench preview`."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs
from shiftbench.provenance.recipe import Artifact
from shiftbench.report import gallery
from shiftbench.workflow.stages import report
from shiftbench.workflow.tools import preview

NAMES = ["left_hip", "right_hip", "<nose>"]
POSE = [[4, 5.5, 2], [10, 5, 1], [0, 0, 0]]


def shown(tmp_path: Path, poses: object) -> dict[Ref, Path]:
    """Write a preview of one picture of 30 x 20 pixels."""
    png = base64.b64encode(codecs.encode("png", np.zeros((20, 30, 3), np.uint8))).decode()
    sample = {"key": "people/test/0", "label": None, "png": png, "poses": poses}
    file = tmp_path / "0.json"
    file.write_text(json.dumps({"classes": NAMES, "samples": [sample], "skipped": []}))
    return {Ref("previews", "people/test/identity/0"): file}


def test_joints_are_drawn_and_joined_on_the_page(tmp_path: Path) -> None:
    boards = gallery.boards(shown(tmp_path, [POSE]))
    recipe = {"benchmarks": {}, "datasets": {"people": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe, ()), [], boards)
    assert '<svg class="marks" viewBox="0 0 30 20"' in html
    assert '<circle cx="4.0" cy="5.5" r="0.3125"><title>left_hip</title></circle>' in html
    assert '<line x1="4.0" y1="5.5" x2="10.0" y2="5.0"/>' in html
    assert "nose" not in html.partition('<svg class="marks"')[2].partition("</svg>")[0]  # not labelled


def test_what_is_no_pose_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the poses of 'people/test/0' are not x, y and visibility"):
        gallery.boards(shown(tmp_path, [[[1, 2]]]))


def test_joints_are_points_on_the_sheet() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    pose = {"joints": [[20.0, 40.0, 2], [0.0, 0.0, 0]], "box": [10.0, 10.0, 50.0, 50.0]}
    with_joints, without = (
        np.asarray(preview.sheet("fog", [Sample("a/b/0", {"image": image, "poses": poses})])) for poses in ([pose], [])
    )
    changed = np.argwhere((with_joints != without).any(axis=2))
    assert len(changed)
    first = changed[changed[:, 1] < preview.GAP + preview.SIDE].mean(axis=0)
    assert np.allclose(first, [preview.HEADER + 80, preview.GAP + 40], atol=1)  # at twice the size
