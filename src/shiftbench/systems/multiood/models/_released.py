"""Weights of MultiOOD and of those that it starts from, under the names of `action_net`.

| file | holds |
| --- | --- |
| `slowfast*.pth` (mmaction2, Kinetics-400) | `state_dict`: `backbone.slow_path.layer4`, `backbone.fast_path.layer4` |
| `slowonly*.pth` (mmaction2, Kinetics-400) | `state_dict`: `backbone.layer4` |
| `vggsound*.pth.tar` (VGGSound) | `model_state_dict`: `audnet.layer4` |
| a checkpoint of MultiOOD (`.pt`) | `model_state_dict`, `model_flow_state_dict`, `mlp_cls_state_dict`, and with sound \
`audio_cls_model_state_dict` |

Heads of pretraining, of other classes, are left out; those of a checkpoint are kept. A `module.` is taken off. Stages
below the fourth are not read: their features are the samples.

Source: donghao51/MultiOOD, `train_video_flow.py` and `train_video_flow_audio.py`, what they load and save.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shiftbench.base.errors import ModelError
from shiftbench.data.places import places
from shiftbench.evaluation.nets import State

RGB = {
    "backbone.slow_path.layer4.": "branches.rgb.stages.rgb.",
    "backbone.fast_path.layer4.": "branches.rgb.stages.fast.",
    "cls_head.fc_cls.": "heads.rgb.",
}
FLOW = {"backbone.layer4.": "branches.flow.stages.flow.", "cls_head.fc_cls.": "heads.flow."}
AUDIO = {"layer4.": "branches.audio.stages.audio.", "fc.": "heads.audio."}
JOINT = {"enc_net.": "head."}
CHECKPOINT = {
    "model_state_dict": RGB,
    "model_flow_state_dict": FLOW,
    "audio_cls_model_state_dict": AUDIO,
    "mlp_cls_state_dict": JOINT,
}
PRETRAINED = {
    "slowfast": ("state_dict", RGB),
    "slowonly": ("state_dict", FLOW),
    "vggsound": ("model_state_dict", {"audnet.layer4.": "branches.audio.stages.audio."}),
}
"""By how a file's name begins: where its tensors lie, and their names."""


def read(path: str) -> State:
    """The tensors of files (several: `a::b`) under the names of `action_net`.

    Raises:
        ModelError: a file is missing, needs pickle, or holds nothing of these.
    """
    state: State = {}
    for file in map(Path, places(path)):
        state |= _tensors(_content(file), file)
    return state


def _tensors(content: Mapping[str, Any], file: Path) -> State:
    for beginning, (key, names) in PRETRAINED.items():
        if file.name.startswith(beginning):
            stages = {old: new for old, new in names.items() if not new.startswith("heads.")}
            return _some(rename(content.get(key, content), stages), file)
    parts = [rename(content[key], names) for key, names in CHECKPOINT.items() if key in content]
    return _some({name: tensor for part in parts for name, tensor in part.items()}, file)


def rename(state: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> State:
    """The tensors whose names begin so, under another beginning."""
    tensors = {}
    for name, tensor in state.items():
        plain = name.removeprefix("module.")
        for old, new in names.items():
            if plain.startswith(old):
                tensors[new + plain.removeprefix(old)] = tensor
    return tensors


def start(model: torch.nn.Module, state: State, source: str) -> None:
    """Load what a file has of a network; the rest keeps its fresh weights.

    Raises:
        ModelError: a whole stage is missing, or a tensor has another shape.
    """
    own = model.state_dict()
    missing = [name for name in own if name.startswith("branches.") and name not in state]
    wrong = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or wrong:
        problem = f"{missing[0]} is missing" if missing else f"{wrong[0]} is {tuple(state[wrong[0]].shape)}"
        raise ModelError(
            f"{source}: {problem}; expected the fourth stages of all modalities of the model; name all files, a::b"
        )
    model.load_state_dict({name: state.get(name, value) for name, value in own.items()})


def _some(state: State, file: Path) -> State:
    if not state:
        raise ModelError(
            f"{file} holds no tensor of MultiOOD's networks; expected slowfast*, slowonly* or vggsound* as "
            "released, or a checkpoint with model_state_dict, model_flow_state_dict and mlp_cls_state_dict"
        )
    return state


def _content(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise ModelError(f"checkpoint {file} does not exist; check `path:`")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ModelError(f"{file} is no torch checkpoint of plain tensors: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds a {type(content).__name__}; expected a dict of tensors")
    return content
