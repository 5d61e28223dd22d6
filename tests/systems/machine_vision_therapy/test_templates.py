"""The vision model of Machine Vision Therapy starts from the mean of eighty prompts, as the released one does."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.contracts import fake_open_clip, training_jobs
from shiftbench.plugins.models import _templates
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

CLASSES = training_jobs.CLASSES


@pytest.fixture
def given(tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    """A CLIP of random weights, and what a zero-shot job needs."""
    fake_open_clip.install()
    model = registry.find("models", "open_clip")
    torch.manual_seed(0)
    net = model.build(defaults(model), len(CLASSES))
    file = training_jobs.write(tmp_path / "start.safetensors", net.state_dict(), CLASSES)
    inputs = {refs.checkpoint("imagenet", "open_clip", "pretrained"): file}
    options = {"inputs": inputs, "learnt_from": "imagenet", "start": "pretrained"}
    return net.eval(), {**options, "same_seed": False, "scale": 100.0}


def released_head(net: Any, names: tuple[str, ...], scale: float) -> torch.Tensor:
    """`get_zeroshot_classifier` of tmllab/Machine_Vision_Therapy, model/utils.py, class by class."""
    model = registry.find("models", "open_clip")
    rows = []
    for name in names:
        prompts = [one.format(name.replace("_", " ")) for one in _templates.IMAGENET_80]
        with torch.inference_mode():
            told = model.texts(net, prompts, defaults(model), {})
        told = told / told.norm(dim=-1, keepdim=True)
        mean = told.mean(dim=0)
        rows.append(scale * mean / mean.norm())
    return torch.stack(rows)


def test_the_head_is_the_released_mean_of_eighty_directions(given: Any) -> None:
    net, options = given
    job = training_jobs.job("open_clip", "zero_shot", template="imagenet_80", **options)
    state, _ = train_weights(job)
    expected = released_head(net, CLASSES, 100.0)
    assert torch.allclose(state["head.weight"], expected, atol=1e-3)
    one, _ = train_weights(training_jobs.job("open_clip", "zero_shot", **options))
    cosines = F.cosine_similarity(one["head.weight"], expected)
    assert (cosines < 0.9999).any()


def test_the_set_has_eighty_prompts_with_one_name_each() -> None:
    assert len(set(_templates.IMAGENET_80)) == 80
    assert all(one.count("{}") == 1 for one in _templates.IMAGENET_80)
    assert _templates.IMAGENET_80[0] == "a bad photo of a {}."
    assert _templates.IMAGENET_80[-1] == "a tattoo of the {}."


@pytest.mark.parametrize("template", ["imagenet_81", "a photo of a", ""])
def test_a_template_without_a_name_is_refused(given: Any, template: str) -> None:
    job = training_jobs.job("open_clip", "zero_shot", template=template, **given[1])
    with pytest.raises(ParamsError, match=r"expected a prompt with \{\}.*imagenet_80"):
        train_weights(job)


@pytest.mark.parametrize("slug", ["fmr", "machine-vision-therapy", "successful-interpolation"])
def test_the_full_scale_starts_from_the_eighty(slug: str) -> None:
    assert cards.load(slug).params["full"]["trainers"]["zero_shot"]["template"] == "imagenet_80"


def test_the_full_scale_pins_the_chat_model() -> None:
    text = json.dumps(cards.load("machine-vision-therapy").params["full"])
    assert "Qwen2.5-VL-7B-Instruct" in text
    assert re.search(r"\b[0-9a-f]{40}\b", text)
