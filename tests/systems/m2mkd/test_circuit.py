"""NAC: shapes of the official configurations, graph priors against networkx, modulated layer and kernel by hand."""

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.systems.m2mkd.models import _circuit, _graphs, modular_vit, nac
from shiftbench.systems.m2mkd.trainers import _modules
from shiftbench.workflow.stages.train import train_weights

TINY: dict[str, Any] = {
    "size": 16, "width": 8, "signature": 4, "inputs": 3, "mediators": 6, "outputs": 2, "propagators": 2,
    "heads": 2, "head": 4, "convnext": [1, 1], "grid": 4, "prior": "ring_of_cliques", "graph": {"groups": 2}, "fit": 5,
}  # fmt: skip
PRIORS: dict[str, dict[str, Any]] = {
    "scale_free": {"m": 2},
    "planted_partition": {"groups": 8, "p_in": 0.9, "p_out": 0.2},
    "ring_of_cliques": {"groups": 8},
    "erdos_renyi": {"p": 0.1},
}


def circuit(**options: Any) -> Any:
    torch.manual_seed(0)
    return nac.build(defaults(nac) | TINY | options, 4).eval()


def test_circuits_of_the_paper_have_its_shapes() -> None:
    """Facts of configs/nac_*_{tinyimnet,imnet}_config.yml: the priors differ in what signatures begin with alone."""
    large = {"size": 224, "width": 512, "heads": 8, "capacity": 1.0, "inputs": 192, "mediators": 768}
    with torch.device("meta"):
        every = [nac.build(defaults(nac) | {"prior": p, "graph": g}, 200) for p, g in PRIORS.items()]
        huge = nac.build(defaults(nac) | large, 1000).state_dict()
        student = nac.build(defaults(nac) | {"stitch": 1280}, 1000)
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in every]
    assert shapes[0] == shapes[1] == shapes[2] == shapes[3]
    small = shapes[0]
    assert small["mediator_latents.signatures_"] == (256, 64)
    assert small["mediator_latents.codes_"] == (256, 384)
    assert small["output_latents.codes_"] == small["input_latents.codes_"] == (64, 384)
    assert small["propagators.7.ffn.ffn.0.native_weight"] == (4 * 384, 384)
    assert small["propagators.7.latent_attention.query_compiler.native_weight"] == (6 * 64, 384)
    assert small["read_in.read_in_attention.key_compiler.native_weight"] == (384, 192 + 64)
    assert small["input_tokenizer.positional_grid.grid"] == (64, 8, 8)
    assert "propagators.0.latent_attention.sender_layernorm.weight" not in small
    assert "read_out.latent_attention.sender_layernorm.weight" in small
    assert "propagators.0.latent_attention.query_compiler.native_bias" not in small
    assert huge["mediator_latents.codes_"].shape == (768, 512)
    assert huge["propagators.0.ffn.ffn.0.native_weight"].shape == (1024, 512)
    assert huge["input_tokenizer.positional_grid.grid"].shape == (64, 28, 28)
    assert len(student.depths) == 10
    assert student.pre_stitch["9"].weight.shape == (384, 1280)


def test_priors_are_graphs_of_networkx() -> None:
    nodes, expected = 256, {
        "scale_free": nx.barabasi_albert_graph(256, 2, seed=0),
        "planted_partition": nx.planted_partition_graph(8, 32, 0.9, 0.2, seed=0),
        "ring_of_cliques": nx.ring_of_cliques(8, 32),
        "erdos_renyi": nx.erdos_renyi_graph(256, 0.1, seed=0),
    }  # fmt: skip
    for prior, options in PRIORS.items():
        found = _graphs.adjacency(prior, nodes, options, RandomStream(0, "nac", prior, "graph"))
        peer = nx.to_numpy_array(expected[prior], nodelist=sorted(expected[prior])) > 0
        assert np.array_equal(found, found.T)
        assert not found.diagonal().any()
        if prior in ("scale_free", "ring_of_cliques"):
            assert found.sum() == peer.sum()
        assert abs(found.mean() - peer.mean()) < 0.02, prior
        if prior == "ring_of_cliques":
            assert nx.is_isomorphic(nx.from_numpy_array(found), expected[prior])
        degrees = np.sort(found.sum(0))[::-1], np.sort(peer.sum(0))[::-1]
        assert abs(degrees[0][:5].mean() / degrees[1][:5].mean() - 1) < 0.4, prior
    with pytest.raises(ParamsError, match="prior is"):
        _graphs.adjacency("star", 4, {}, RandomStream(0, "nac", "x", "graph"))
    with pytest.raises(ParamsError, match="no multiple"):
        _graphs.adjacency("ring_of_cliques", 7, {"groups": 2}, RandomStream(0, "nac", "x", "graph"))


def test_signatures_lie_as_the_graph_says() -> None:
    torch.manual_seed(0)
    graph = _graphs.adjacency("ring_of_cliques", 12, {"groups": 3}, RandomStream(0, "nac", "r", "graph"))
    far = _graphs.distances(*[_graphs.signatures(graph, 8, steps=100, lr=0.03)] * 2).numpy()
    others = ~np.eye(12, dtype=bool)
    assert ((far < 0.9) == graph)[others].mean() > 0.9


def test_modulated_layer_and_kernel_by_hand() -> None:
    torch.manual_seed(0)
    layer, x, code = _circuit.Modulated(4, 3, 5, 0.1), torch.randn(2, 6, 4), torch.randn(6, 5)
    raw = (code @ layer.scale.weight.T).detach().double().numpy()
    normal = (raw - raw.mean(1, keepdims=True)) / np.sqrt(raw.var(1, keepdims=True) + 1e-5)
    hand = (x.numpy() * (1 + 0.1 * normal)) @ layer.native_weight.detach().numpy().T
    assert np.allclose(layer(x, code).detach().numpy(), hand, atol=1e-5)
    kernel = _circuit.Kernel(0.9, 0.5).eval()
    one = torch.tensor([[1.0, 0.0]])
    other = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 1.0]])  # distances 0, 0.293, 1
    shares = kernel(one, other, 1).exp()[0].tolist()
    near = np.exp([0.0, -(1 - np.sqrt(0.5))])
    assert np.allclose(shares, [*(near / near.sum()), 0.0], atol=1e-6)
    assert kernel.train()(one, other, 5).shape == (5, 1, 3)


def test_circuit_answers_learns_and_is_a_student() -> None:
    net, x = circuit(stitch=6), torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert torch.equal(net(x), net(x))
    assert torch.equal(net(x), net.head(net.features(x)))
    assert net.run(x, 0, 1).shape == (2, 1, 6)
    assert net.run(torch.randn(2, 5, 6), 1, 2).shape == (2, 5, 6)
    assert net.run(torch.randn(2, 5, 6), 3, 4).shape == (2, 4)
    with pytest.raises(ModelError, match="no chain"):
        net.run(x, 0, 2)
    net.train()
    (net(x).square().sum() + net.penalty()).backward()
    silent = {n for n, p in net.named_parameters() if p.grad is None}
    assert {n.partition(".")[0] for n in silent} == {"pre_stitch", "post_stitch"}
    assert {"fixed_codes", "fixed_states"} <= net.state_dict().keys()
    owners = {net.owner(name) for name in net.state_dict()}
    assert owners == {-1, 0, 1, 2, 3}


def test_penalty_by_hand_and_settled_signatures() -> None:
    net = circuit(inputs=1, outputs=1, mediators=2, graph={"groups": 1})
    before = net.mediator_latents["signatures_"].clone()
    net.settle(3)
    assert not torch.equal(before, net.mediator_latents["signatures_"])
    for kind, rows in (
        ("input", [[1, 0, 0, 0]]),
        ("mediator", [[1, 1, 0, 0], [0, 0, 1, 0]]),
        ("output", [[0, 0, 1, 0]]),
    ):
        getattr(net, f"{kind}_latents")["signatures_"].data = torch.tensor(rows, dtype=torch.float32)
    assert abs(net.penalty().item() + (1 - np.sqrt(0.5)) + 0.0) < 1e-6


def test_released_names_are_understood() -> None:
    net = circuit()
    released = {}
    for name, tensor in net.state_dict().items():
        out = name.startswith(("head.", "confidence_scorer."))
        inner = name.replace("head.", "to_logits.") if name.startswith("head.") else name
        prefix = "output_tokenizer." if out else "" if name.startswith("input_tokenizer.") else "latent_graphs.0."
        released[f"{prefix}{inner}"] = tensor
    assert net.adopt(released).keys() == net.state_dict().keys()


def test_circuits_begin_with_modules_that_students_learnt(tmp_path: Path) -> None:
    vit = {"size": 16, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3, "patch": 8, "width": 8, "heads": 2}
    nets = {name: {**vit, "depths": [1, 1, 1, 1]} for name in ("meta", "teacher")}
    inputs = {}
    for name, options in nets.items():
        torch.manual_seed(len(inputs))
        state = modular_vit.build(defaults(modular_vit) | options, 4).state_dict()
        inputs[refs.checkpoint("tiny", name, "x")] = training_jobs.write(tmp_path / f"{name}.safetensors", state)
    options = {"epochs": 1, "nets": nets, "meta": "meta-x", "teacher": "teacher-x", "mixup": 0.0, "cutmix": 0.0}
    small = TINY | {"graph": {"groups": 2}}
    student, rows = train_weights(
        training_jobs.job("nac", "module_distillation", inputs=inputs, model_params=small | {"stitch": 8}, **options)
    )
    assert {name for _, name, _ in rows} >= {f"val_accuracy/{module}" for module in range(4)}
    start = {refs.checkpoint("tiny", "student", "x"): training_jobs.write(tmp_path / "s.safetensors", student)}
    job = training_jobs.job("nac", "end_to_end", inputs=start, model_params=small, epochs=1)
    own, new = (_modules.assemble(job, ["student-x"], anew=one) for one in ([], ["head", "confidence"]))
    fresh, taken, anew = (net.state_dict() for net in (_modules.fresh(job), own, new))
    for name, tensor in taken.items():
        latent = name.startswith(("input_latents", "mediator_latents", "output_latents", "latent_seeder"))
        assert torch.equal(tensor, (fresh if latent else student)[name]), name
    assert torch.equal(anew["head.weight"], fresh["head.weight"])
    assert not torch.equal(anew["head.weight"], taken["head.weight"])
    after, _ = train_weights(
        training_jobs.job("nac", "end_to_end", inputs=start, model_params=small, epochs=1, start=["student-x"])
    )
    assert not torch.equal(after["mediator_latents.signatures_"], taken["mediator_latents.signatures_"])
