"""The released layout, as a miniature that diffusers itself writes, is loaded and answers for a picture."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation import nets
from shiftbench.systems.sdpose_coco_ood.models import pose_unet, sdpose

NAMES = {"0": "deconv_layers.0", "1": "deconv_layers.1", "3": "conv_layers.0", "4": "conv_layers.1", "6": "final_layer"}
SIDE = {
    "height_px": 64,
    "width_px": 48,
    "flip_test": True,
    "middle": 0.5,
    "detections": "",
    "timestep": 999,
    "blur": 11,
}
PICTURE = Sample(
    "mine/test/7",
    {
        "image": np.random.default_rng(0).integers(0, 255, (90, 80, 3), np.uint8),
        "poses": [{"joints": [[20.0, 30.0, 2], *[[0.0, 0.0, 0]] * 16], "box": [10.0, 10.0, 40.0, 60.0]}],
    },
)


def mmpose_head(width: int, joints: int) -> nets.State:
    """Return a head's tensors under the names that MMPose's `HeatmapHead` gives them."""
    state = pose_unet.head(width, joints).state_dict()
    return {f"{NAMES[name.split('.')[0]]}.{name.split('.')[1]}": tensor for name, tensor in state.items()}


def checkpoint(place: Path, prediction: str = "sample") -> Path:
    """Write a checkpoint of SD's parts, tiny, with diffusers and transformers."""
    diffusers: Any = pytest.importorskip("diffusers")
    transformers: Any = pytest.importorskip("transformers")
    torch.manual_seed(0)
    down, up = ("CrossAttnDownBlock2D", "DownBlock2D"), ("UpBlock2D", "CrossAttnUpBlock2D")
    diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(32, 64),
        norm_num_groups=8,
        down_block_types=down, up_block_types=up, cross_attention_dim=16, attention_head_dim=8,
        class_embed_type="projection", projection_class_embeddings_input_dim=4,
    ).save_pretrained(place / "unet")  # fmt: skip
    blocks = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4
    diffusers.AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=blocks[0], up_block_types=blocks[1],
        block_out_channels=(8, 8, 8, 8), latent_channels=4, norm_num_groups=4, sample_size=64,
    ).save_pretrained(place / "vae")  # fmt: skip
    diffusers.DDPMScheduler(prediction_type=prediction).save_pretrained(place / "scheduler")
    config = transformers.CLIPTextConfig(
        vocab_size=4, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=8, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    transformers.CLIPTextModel(config).save_pretrained(place / "text_encoder")
    (place / "tokenizer").mkdir()
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3}
    (place / "tokenizer/vocab.json").write_text(json.dumps(words))
    (place / "tokenizer/merges.txt").write_text("#version: 0.2\n")
    (place / "tokenizer/tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 8})
    )
    (place / "decoder").mkdir()
    safetensors.torch.save_file(mmpose_head(32, 17), place / sdpose.HEAD)
    return place


def test_a_miniature_of_the_released_layout_answers(tmp_path: Path) -> None:
    params = {**SIDE, "path": str(checkpoint(tmp_path / "SDPose-Body"))}
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(nets.state_bytes(sdpose.pretrained(params, {})))
    predictor = sdpose.load(weights, params, COCO_17, "cpu", {})
    first, again = predictor([PICTURE]), predictor([PICTURE])
    assert first["joints"][0].shape == (1, 17, 3)
    assert np.array_equal(first["joints"][0], again["joints"][0])  # the mode, no sample
    net: Any = predictor.net  # type: ignore[attr-defined]
    z = torch.randn(1, 4, 8, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pose, other = (net.features(z, task) for task in (pose_unet.POSE, pose_unet.RECONSTRUCTION))
        assert pose.shape == (1, 32, 8, 6)  # the last block on the way up
        assert not torch.allclose(pose, other)  # the switch switches
        maps = net.heatmaps(torch.zeros(1, 3, 64, 48, dtype=torch.uint8))
    assert maps.shape == (1, 17, *net.heat) == (1, 17, 16, 12)


def test_another_scheduler_is_refused(tmp_path: Path) -> None:
    place = checkpoint(tmp_path / "SDPose-Body", "epsilon")
    with pytest.raises(ModelError, match="predicts 'epsilon'; SDPose predicts 'sample'"):
        sdpose.Released(place, {**SIDE, "path": str(place)}, 17)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParamsError, match="sdpose: path is missing"):
        sdpose.pretrained({"path": ""}, {})
    for name in sdpose.PARTS:
        (tmp_path / name).mkdir()
    with pytest.raises(ModelError, match="has no decoder/decoder.safetensors; a checkpoint has unet, vae"):
        sdpose.pretrained({"path": str(tmp_path)}, {})
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModelError, match="sdpose needs diffusers; `pip install diffusers transformers`"):
        sdpose.Released(tmp_path, {**SIDE, "path": str(tmp_path)}, 17)


def test_the_heads_of_both_checkpoints_load() -> None:
    """SDPose-Body: 17 joints of 320 channels; SDPose-Wholebody: 133 of 640 (`HeatmapHead.py`)."""
    for joints, width in ((17, 320), (133, 640)):
        state = mmpose_head(width, joints)
        assert state["deconv_layers.0.weight"].shape == (width, width, 4, 4)
        assert state["final_layer.weight"].shape == (joints, width, 1, 1)
        nets.load_into(pose_unet.head(width, joints), sdpose.renamed(state), "here")
    with pytest.raises(ModelError, match="the head has a layer 'keypoint_head'"):
        sdpose.renamed({"keypoint_head.weight": torch.zeros(1)})


def test_facts_of_the_released_code() -> None:
    """The size of the input, VAE's factor, the step and the task vectors are those of the official repository."""
    assert (defaults(sdpose)["width_px"], defaults(sdpose)["height_px"], defaults(sdpose)["timestep"]) == (
        768,
        1024,
        999,
    )
    assert sdpose.SCALE == 0.18215
    assert pose_unet.POSE == (1.0, 0.0)
    assert defaults(registry.find("models", "pose_unet"))["timestep"] == 999
