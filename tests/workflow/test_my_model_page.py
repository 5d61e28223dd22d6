"""docs/my_model.md as a new user reads it: every command of its steps runs as printed, on drawn images."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from isolation import ROOT
from makers.repositories import Repository

pytestmark = pytest.mark.workflow


def draw_images(folder: Path) -> None:
    """Write 6 images of each of 3 classes, which differ in the strongest channel."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "fox")):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 120, (40, 48, 3)).astype(np.uint8)
            pixels[..., label] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


class Channels(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) * 5


def test_commands_of_the_page_run_as_printed(tmp_path: Path) -> None:
    draw_images(tmp_path / "photos")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit, which users have files of
        torch.jit.trace(Channels(), torch.zeros(2, 3, 32, 32)).save(tmp_path / "net.pt")
    first, second = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/my_model.md").read_text(), re.S)
    here = Repository(tmp_path, sources=ROOT / "src")
    for line in first.splitlines() + second.splitlines():
        command, *words = line.split()
        if command == "cd":
            here = Repository(tmp_path / words[0], sources=ROOT / "src")
            continue
        if words[:2] == ["init", "other"]:
            here = Repository(tmp_path, sources=ROOT / "src")
        here.run(command, *words)
    found = (tmp_path / "my-benchmark/results/report/findings.txt").read_text()
    assert "accuracy 100.0% on clean data" in found
    assert "mean: [0.5, 0.5, 0.5]" in (tmp_path / "other/params.yaml").read_text()
