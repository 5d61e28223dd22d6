"""Folders and weights that LAPT's tests begin with."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from makers import lapt_miniature
from shiftbench.base import refs, registry
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences
from shiftbench.systems.lapt.models import _towers


@pytest.fixture
def encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a small sentence encoder of two layers."""
    monkeypatch.setattr(_sentences, "LAYERS", 2)
    _towers._load.cache_clear()
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": lapt_miniature.VOCABULARY}}))
    (folder / "model.safetensors").write_bytes(nets.state_bytes(lapt_miniature.small_encoder()))
    yield folder
    _towers._load.cache_clear()


@pytest.fixture
def inputs(tmp_path: Path, encoder: Path) -> dict[refs.Ref, Path]:
    """Weights of a small dual encoder, its sentence encoder, WordNet and images of negative labels."""
    model = registry.find("models", "dual_encoder")
    torch.manual_seed(3)
    net = model.build(defaults(model), 9)
    start = training_jobs.write(tmp_path / "start.safetensors", net.state_dict(), tuple("abcdefghi"))
    wordnet = tmp_path / "wordnet"
    wordnet.mkdir()
    (wordnet / "index.noun").write_text("zebra n 1\nphoto n 1\nlight n 1\nhall n 1\na n 1\nnice_hall n\n")
    (wordnet / "index.adj").write_text("green a 1\nbad a 1\nnice a 1\n")
    return {
        refs.checkpoint("elsewhere", "dual_encoder", "contrastive"): start,
        refs.sources(_sentences.SOURCE): encoder / "manifest.json",
        refs.sources("wordnet"): wordnet / "manifest.json",
        **lapt_miniature.images_of_negatives(tmp_path),
    }
