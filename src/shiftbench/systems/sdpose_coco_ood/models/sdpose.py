"""SDPose as it was released: a folder of diffusers' parts and a head, `sdpose: {path: ...}`, with the trainer `given`.

The checkpoint has `unet/`, `vae/`, `text_encoder/`, `tokenizer/`, `scheduler/` as diffusers writes
them, and `decoder/decoder.safetensors`, the head under MMPose's names. A person's crop of 768 x 1024 pixels, -1 to 1,
goes through the VAE (times 0.18215; the mode of its distribution, where the released code draws a sample, so that
results are the same every time), and once through the U-Net at step 999 under the empty prompt, unpadded, and the task
of pose; the head reads its last block on the way up for 17 joints, the one before for 133. Needs `pip install diffusers
transformers`. Safetensors alone are read, so that no file can run code.

Joints are the classes of the weights' dataset, in its order. Options of `_heatmaps`: for COCO's files `middle: 0.0`, as
MMPose counts pixels, and `detections`, the boxes of persons that the paper's numbers are for.

Source: "SDPose", 2025, arXiv:2509.24980; T-S-Liang/SDPose-OOD, `SDPose_Evaluator.py`, `SDPose_D_Pipeline.py`,
`HeatmapHead.py`, `ModifiedUNet.py`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _given, _heatmaps
from shiftbench.systems.sdpose_coco_ood.models import pose_unet

TASK = "keypoints"
CITATION = "Liang et al., SDPose, 2025, arXiv:2509.24980"
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
HEAD = "decoder/decoder.safetensors"
SCALE = 0.18215
"""Of the VAE's latents, Stable Diffusion's."""
BODY = 17
"""Joints of the checkpoint whose head reads the last block; of others (133) it is the one before."""
LATENT = 8
"""Pixels along a side of a latent; heatmaps have two cells there."""


class Options(_heatmaps.Options):
    path: str = Field("", description="folder of the unpacked checkpoint")
    height_px: int = Field(1024, ge=1, description="height of the input, in pixels")
    width_px: int = Field(768, ge=1, description="width of the input, in pixels")
    timestep: int = Field(999, ge=0, le=999, description="time step of the diffusion that the U-Net is given")
    blur: int = Field(
        11, ge=1, description="side of the Gaussian filter of heatmaps before their maximum, odd, in pixels"
    )


def pretrained(params: Mapping[str, Any], inputs: Mapping[Any, Any]) -> nets.State:
    """State that identifies the folder in a file of weights.

    Raises:
        ParamsError: no path is given.
        ModelError: a part of the folder is not there; names it.
    """
    return _given.folder_state(folder(params))


def folder(params: Mapping[str, Any]) -> Path:
    """The checkpoint's folder, after all its parts were found."""
    if not params["path"]:
        raise ParamsError("sdpose: path is missing; give the folder of the released checkpoint")
    checkpoint = Path(params["path"]).expanduser()
    missing = [name for name in (*PARTS, HEAD) if not (checkpoint / name).exists()]
    if missing:
        raise ModelError(f"sdpose: {checkpoint} has no {missing[0]}; a checkpoint has {', '.join(PARTS)} and {HEAD}")
    return checkpoint


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor of a folder.

    Raises:
        ModelError: the files are others, diffusers is not installed, or the head is of another number of joints.
    """
    checkpoint = folder(params)
    _given.check_folder(weights, checkpoint)
    model = Released(checkpoint, params, len(classes))
    class_names = SimpleNamespace(names=lambda _: tuple(classes))
    return _heatmaps.PosePredictor(model, class_names, params, device)  # type: ignore[arg-type]


class Released(nn.Module):
    """The released model: images uint8 (n, 3, H, W) to heatmaps (n, K, H/4, W/4)."""

    def __init__(self, checkpoint: Path, params: Mapping[str, Any], joints: int) -> None:
        super().__init__()
        try:
            import diffusers
            import transformers
        except ImportError as error:
            raise ModelError(f"sdpose needs {error.name}; `pip install diffusers transformers`") from error
        local: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
        task_embedding = {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 4}
        no_lazy_loading = {"low_cpu_mem_usage": False, "device_map": None}  # so that the switch may be new
        self.unet: Any = diffusers.UNet2DConditionModel.from_pretrained(
            checkpoint / "unet", **task_embedding, **no_lazy_loading, **local
        )
        self.vae: Any = diffusers.AutoencoderKL.from_pretrained(checkpoint / "vae", **local)
        scheduler = diffusers.DDPMScheduler.from_pretrained(checkpoint / "scheduler", local_files_only=True)
        if scheduler.config.prediction_type != "sample":
            raise ModelError(
                f"sdpose: {checkpoint}/scheduler predicts {scheduler.config.prediction_type!r}; "
                "SDPose predicts 'sample'"
            )
        tokenizer: Any = transformers.CLIPTokenizer.from_pretrained(checkpoint / "tokenizer", local_files_only=True)
        text: Any = transformers.CLIPTextModel.from_pretrained(checkpoint / "text_encoder", **local)
        words = tokenizer("", padding="do_not_pad", truncation=True, return_tensors="pt")
        text.eval()
        with torch.no_grad():
            self.register_buffer("prompt", text(words.input_ids)[0])
        state = nets.read_state(checkpoint / HEAD)
        self.body = joints == BODY
        width = state["final_layer.weight"].shape[1]
        self.head = pose_unet.head(width, joints)
        nets.load_into(self.head, renamed(state), checkpoint / HEAD)
        self.crop = params["height_px"], params["width_px"]
        self.heat = (2 * self.crop[0] // LATENT, 2 * self.crop[1] // LATENT)
        self.blur, self.timestep = params["blur"], params["timestep"]

    def heatmaps(self, images: torch.Tensor) -> torch.Tensor:
        """Heatmaps of images uint8 (n, 3, H, W)."""
        z = SCALE * self.vae.encode(images.float() / 127.5 - 1).latent_dist.mode()
        maps: torch.Tensor = self.head(self.features(z, pose_unet.POSE))
        return maps

    def features(self, z: torch.Tensor, task: tuple[float, float]) -> torch.Tensor:
        """Input of the head, from latents (n, 4, H/8, W/8) under a task."""
        outputs: list[torch.Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, output: outputs.append(output)) for block in self.unet.up_blocks
        ]
        v = torch.tensor(task, device=z.device)
        switch = torch.cat([v.sin(), v.cos()])[None].expand(len(z), -1)
        prompt = self.get_buffer("prompt").expand(len(z), -1, -1)
        try:
            self.unet(z, self.timestep, prompt, class_labels=switch)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs[-1 if self.body else -2]


def renamed(state: nets.State) -> nets.State:
    """The head's tensors under our names, out of MMPose's: deconv_layers, conv_layers, final_layer."""
    places = {
        "deconv_layers.0": "0",
        "deconv_layers.1": "1",
        "conv_layers.0": "3",
        "conv_layers.1": "4",
        "final_layer": "6",
    }
    tensors = {}
    for name, tensor in state.items():
        layer, _, part = name.rpartition(".")
        if layer not in places:
            raise ModelError(f"the head has a layer {layer!r}; SDPose's has {', '.join(places)}")
        tensors[f"{places[layer]}.{part}"] = tensor
    return tensors
