"""CLIP towers are merged under our names, and as the released code merges transformers' modules."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from makers.two_tasks import CANDIDATES, CLASSES, MERGERS, job, tuned, written
from shiftbench.base import refs
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins.models import clip_vision
from shiftbench.systems.regmean_plus_plus.trainers import _merging
from shiftbench.workflow.stages.train import train_weights


def test_a_clip_tower_of_transformers_is_merged_under_our_names(tmp_path: Path) -> None:
    """A miniature with the names and shapes of `CLIPVisionModel`, from files to merged weights."""
    sizes = {"width": 8, "depth": 2, "heads": 2, "patch": 14, "out": 6, "size": 28}
    heads = tmp_path / "heads.safetensors"
    random = torch.Generator().manual_seed(0)
    heads.write_bytes(
        nets.state_bytes({"visual_projection.weight": torch.randn(6, 8), "head.weight": torch.randn(8, 6)})
    )
    inputs = {}
    for name in ("start", *CANDIDATES.values()):
        file = tmp_path / f"hub-{name}.safetensors"
        file.write_bytes(nets.state_bytes(tower(8, 2, random)))
        made = replace(
            job("regmean"),
            model="clip_vision",
            trainer="given",
            params={"path": str(file)},
            model_params={**sizes, "path": str(heads)},
        )
        state, _ = train_weights(made)
        assert torch.equal(state["head.weight"], nets.read_state(heads)["head.weight"])
        inputs[refs.checkpoint("tiny", "clip", name)] = training_jobs.write(
            tmp_path / f"{name}.safetensors", state, CLASSES
        )
    inputs |= {ref: path for ref, path in written(tmp_path / "vit", *tuned()).items() if ref.kind == "shards"}
    for trainer in MERGERS:
        made = replace(job(trainer, inputs), model="clip_vision", model_params={**sizes, "path": str(heads)})
        state, rows = train_weights(made)
        assert {name for _, name, _ in rows} >= {"val_accuracy", "val_accuracy_left"}
        assert torch.equal(state["project.weight"], nets.read_state(heads)["visual_projection.weight"])


def small_clip() -> tuple[Any, list[Any]]:
    """Return a small `CLIPVisionModel` of transformers, and two moved away from it."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 8, "intermediate_size": 32, "projection_dim": 6, "patch_size": 14}
    config = transformers.CLIPVisionConfig(**sizes, num_hidden_layers=2, num_attention_heads=2, image_size=28)
    torch.manual_seed(0)
    start = transformers.CLIPVisionModel(config).eval()
    candidates = []
    for _ in CANDIDATES:
        moved = copy.deepcopy(start)
        with torch.no_grad():
            for parameter in moved.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
        candidates.append(moved)
    return start, candidates


def released(start: Any, candidates: list[Any], inputs: list[list[torch.Tensor]], a: float) -> Any:
    """RegMean++ as its code walks through transformers' modules: running means, plain inverses in float32."""
    merged = copy.deepcopy(start)
    states = [_vision(model).state_dict() for model in candidates]
    outside = [name for name in states[0] if name.startswith(("embeddings", "pre_layrnorm"))]
    _vision(merged).load_state_dict(
        {name: sum(s[name] for s in states) / 2 for name in outside if "ids" not in name}, strict=False
    )
    embed = nn.Sequential(_vision(merged).embeddings, _vision(merged).pre_layrnorm)
    hidden = [[embed(batch) for batch in own] for own in inputs]
    for number, layer in enumerate(_vision(merged).encoder.layers):
        own = [_vision(model).encoder.layers[number] for model in candidates]
        grams = [_running_means(*pair) for pair in zip(own, hidden, strict=True)]
        layer.load_state_dict(_solved([one.state_dict() for one in own], grams, a))
        hidden = [[_first(layer(batch, attention_mask=None)) for batch in own] for own in hidden]
    return merged


def _vision(model: Any) -> Any:
    return getattr(model, "vision_model", model)  # two versions of transformers


def _running_means(layer: Any, batches: list[torch.Tensor]) -> State:
    """Return the mean of x x' over tokens, batch by batch, of each linear layer of a block."""
    means: State = {}
    counts: dict[str, int] = {}

    def hook(name: str) -> Any:
        def record(_: Any, given: Any, __: Any) -> None:
            x, before = given[0].reshape(-1, given[0].shape[-1]), counts.get(name, 0)
            means[name] = (means.get(name, 0) * before + x.T @ x) / (before + len(x))
            counts[name] = before + len(x)

        return record

    linear = [(n, m) for n, m in layer.named_modules() if isinstance(m, nn.Linear)]
    handles = [module.register_forward_hook(hook(name)) for name, module in linear]
    for batch in batches:
        layer(batch, attention_mask=None)
    for handle in handles:
        handle.remove()
    return means


def _solved(parts: list[State], grams: list[State], a: float) -> State:
    """Return a block of linear layers by plain inverses, all else by means."""
    made = {}
    for name, first in parts[0].items():
        module = name.removesuffix(".weight")
        if name.endswith(".weight") and module in grams[0]:
            diagonal = torch.eye(first.shape[1])
            less = [one[module] * (diagonal * (1 - a) + a) for one in grams]
            right = sum(g @ part[name].T for g, part in zip(less, parts, strict=True))
            made[name] = (torch.inverse(sum(less)) @ right).T
        else:
            made[name] = sum(part[name] for part in parts) / len(parts)
    return made


def _first(output: Any) -> torch.Tensor:
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found


def test_the_released_code_on_transformers_modules_gives_the_same_net(tmp_path: Path) -> None:
    """Files as `save_pretrained` writes them, FusionBench's layout; everything outside stays as in the code."""
    start, candidates = small_clip()
    sizes = {"width": 8, "depth": 2, "heads": 2, "patch": 14, "out": 6, "size": 28}
    heads = tmp_path / "heads.safetensors"
    head = {"visual_projection.weight": torch.randn(6, 8), "head.weight": torch.randn(8, 6)}
    heads.write_bytes(nets.state_bytes(head))
    options = {**sizes, "path": str(heads)}
    found = {}
    for name, model in zip(("start", *CANDIDATES.values()), (start, *candidates), strict=True):
        model.save_pretrained(tmp_path / name)
        file = tmp_path / name / "model.safetensors"
        given = {"trainer": "given", "params": {"path": str(file)}}
        made = replace(job("regmean"), model="clip_vision", model_params=options, **given)
        state, _ = train_weights(made)
        found[refs.checkpoint("tiny", "clip", name)] = training_jobs.write(
            tmp_path / f"{name}.safetensors", state, CLASSES
        )
    shared = written(tmp_path / "vit", *tuned())
    found |= {ref: path for ref, path in shared.items() if ref.kind == "shards"}
    asked = replace(
        job("regmean_plus_plus", found, outside="pretrained", batch_size=5), model="clip_vision", model_params=options
    )
    ours, _ = train_weights(asked)
    net = _merging.model_of(asked, ours)
    pixels = [
        (torch.from_numpy(nets.prepare(asked.plugin, own, options)).float() - net.mean) / net.std
        for own in _merging.calibration(asked).values()
    ]
    with torch.no_grad():
        theirs = released(start, candidates, [list(own.split(5)) for own in pixels], 0.95)
        answers = theirs(pixels[0]).pooler_output @ head["visual_projection.weight"].T
    expected = clip_vision.adopted(theirs.state_dict())
    assert {n for n in ours if n not in expected} == {"project.weight", "head.weight"}
    for name, value in expected.items():
        assert torch.allclose(ours[name], value, atol=2e-4), name
    images = torch.from_numpy(nets.prepare(asked.plugin, _merging.calibration(asked)["left"], options))
    with torch.inference_mode():
        features = net.features(images)
    assert torch.allclose(features, nn.functional.normalize(answers, dim=1), atol=1e-3)


def tower(width: int, depth: int, random: torch.Generator) -> State:
    """Return random tensors as transformers' `CLIPVisionModel` names them."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, 3, 14, 14),
        "embeddings.position_embedding.weight": (5, width),
        "pre_layrnorm.weight": (width,),
        "pre_layrnorm.bias": (width,),
        "post_layernorm.weight": (width,),
        "post_layernorm.bias": (width,),
    }
    layers = {"self_attn.q_proj": (1, 1), "self_attn.k_proj": (1, 1), "self_attn.v_proj": (1, 1)}
    layers |= {"self_attn.out_proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for number in range(depth):
        for name, (out, given) in layers.items():
            shapes[f"encoder.layers.{number}.{name}.weight"] = (out * width, given * width)
            shapes[f"encoder.layers.{number}.{name}.bias"] = (out * width,)
        for name in ("layer_norm1", "layer_norm2"):
            for kind in ("weight", "bias"):
                shapes[f"encoder.layers.{number}.{name}.{kind}"] = (width,)
    state = {f"vision_model.{n}": torch.randn(s, generator=random) for n, s in shapes.items()}
    return state | {"vision_model.embeddings.position_ids": torch.arange(5)}
