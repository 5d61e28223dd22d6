"""ROOT's full scale on miniatures: FineWeb-Edu's files, a small Llama, streaming pretraining, its log as rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from makers import miniature_texts
from makers.repositories import HOME
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import pins, schema, shards
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.optimizers import _newton_schulz, _orthogonal
from shiftbench.systems.root_optimizer.models import llama
from shiftbench.systems.root_optimizer.trainers import pretraining
from shiftbench.workflow.plan import cards, loading, plan
from shiftbench.workflow.stages.train import train_weights
from shiftbench.workflow.tools import run_local

SMALL = {"width": 16, "depth": 2, "mlp": 24, "heads": 4, "groups": 2, "length": 32}
SHORT = {"length": 16, "batch_size": 4, "at_once": 3, "buffer": 32, "every": 5, "precision": "float32"}


def net(**options: Any) -> Any:
    torch.manual_seed(0)
    return llama.build({**defaults(llama), **SMALL, **options}, 0)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[Ref, Path]:
    """Shards of the train split of the miniature."""
    files = tmp_path / "files"
    files.mkdir()
    _, options = miniature_texts.fineweb_edu(files)
    module, folder = registry.find("datasets", "fineweb_edu"), tmp_path / "shards"
    folder.mkdir()
    fields = registry.find("tasks", module.TASK).FIELDS
    shards.write(module.samples("train", {}, options), folder, fields, {"classes": []}, 4096)
    return {refs.shards("tiny", "train"): folder / "manifest.json"}


def job(inputs: dict[Ref, Path], optimizer: str = "muon", **params: Any) -> TrainJob:
    made = training_jobs.job(
        "llama", "pretraining", model_params=SMALL, inputs=inputs, optimizer=optimizer, **{**SHORT, **params}
    )
    return replace(made, classes=())


# ------------------------------------------------------------------ texts


def test_files_are_read_row_group_by_row_group_and_the_last_is_held_out(tmp_path: Path) -> None:
    module = registry.find("datasets", "fineweb_edu")
    _, options = miniature_texts.fineweb_edu(tmp_path)
    found = {split: list(module.samples(split, {}, options)) for split in module.NATIVE}
    keys = {split: [sample.key for sample in own] for split, own in found.items()}
    assert len(keys["train"]) == 2 * 39  # an empty text is left out
    assert keys["train"] == sorted(keys["train"])
    assert keys["train"][5] == "fineweb_edu/train/000_00000/00000006"
    assert len(keys["val"]) + len(keys["test"]) == 39  # no row is in both
    assert min(len(keys["val"]), len(keys["test"])) > 9
    assert all("/002_00000/" in key for key in (*keys["val"], *keys["test"]))
    assert found["train"][0].fields["meta"] == {"id": "<urn:uuid:0-0>"}
    assert module.wants("train", options) == {str(tmp_path): "parquet files of a sample of FineWeb-Edu"}
    for file in sorted(tmp_path.glob("*.parquet"))[1:]:
        file.unlink()
    with pytest.raises(DataError, match="holds 1 parquet files; expected those of a sample"):
        next(module.samples("train", {}, options))
    with pytest.raises(ParamsError, match="option path is missing"):
        next(module.samples("train", {}, {"path": ""}))


# ------------------------------------------------------------------ the net


def test_the_net_has_the_shapes_of_the_script() -> None:
    """At the full size, without memory: 2048x3072 (joined query, key, value), 2048x2048, 2048x8192, one embedding."""
    with torch.device("meta"):
        whole = llama.build({**defaults(llama), "path": "tokenizer.json"}, 0)
    named = dict(whole.named_parameters())
    assert {tuple(p.shape) for n, p in named.items() if _orthogonal.is_hidden(n, p)} == {
        (3072, 2048), (2048, 2048), (8192, 2048), (2048, 8192),
    }  # fmt: skip
    assert named["embed.weight"].shape == (128256, 2048)
    assert sum(p.numel() for p in named.values()) == 1_235_814_400  # Llama 3.2's 1B


def test_logits_are_those_of_the_equations() -> None:
    """One block, head by head and place by place, in float64, with rotations as sines and cosines."""
    own = net(depth=1).double()
    tokens = torch.tensor([[256, 3, 1, 4, 1, 5]])
    p = {name: value.detach().numpy() for name, value in own.named_parameters()}
    x = p["embed.weight"][tokens[0].numpy()]

    def norm(v: Any, weight: Any) -> Any:
        return v / np.sqrt((v**2).mean(-1, keepdims=True) + 1e-5) * weight

    def turned(v: Any, place: int) -> Any:
        found = np.empty_like(v)
        for pair in range(len(v) // 2):
            angle = place * 500000.0 ** (-2 * pair / len(v))
            a, b = v[2 * pair], v[2 * pair + 1]
            found[2 * pair] = a * np.cos(angle) - b * np.sin(angle)
            found[2 * pair + 1] = a * np.sin(angle) + b * np.cos(angle)
        return found

    joined = norm(x, p["blocks.0.norm1.weight"]) @ p["blocks.0.attention.qkv.weight"].T
    mixed = np.zeros_like(x)
    for head in range(4):  # two heads share a group: query, query, key, value, each of four channels
        group = joined[:, 16 * (head // 2) : 16 * (head // 2) + 16]
        query = group[:, 4 * (head % 2) : 4 * (head % 2) + 4]
        key, value = group[:, 8:12], group[:, 12:]
        for place in range(len(x)):
            scores = [turned(query[place], place) @ turned(key[q], q) / 2 for q in range(place + 1)]
            weights = np.exp(scores) / np.exp(scores).sum()
            mixed[place, 4 * head : 4 * head + 4] = weights @ value[: place + 1]
    x = x + mixed @ p["blocks.0.attention.out.weight"].T
    seen = norm(x, p["blocks.0.norm2.weight"])
    gate, up = seen @ p["blocks.0.gate.weight"].T, seen @ p["blocks.0.up.weight"].T
    x = x + (gate / (1 + np.exp(-gate)) * up) @ p["blocks.0.down.weight"].T
    logits = norm(x, p["norm.weight"]) @ p["embed.weight"].T
    np.testing.assert_allclose(own(tokens).detach()[0].numpy(), logits, atol=1e-6)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    expected = [-logs[at, tokens[0, at + 1]] for at in range(5)]
    np.testing.assert_allclose(own.losses(tokens)[0].detach().numpy(), expected, atol=1e-5)


def test_texts_are_foretold_one_by_one() -> None:
    model = registry.find("models", "llama")
    params = {**defaults(model), **SMALL}
    predict = model.predictor(net(), model, params, "cpu", "float32")
    samples = [Sample(f"t/{n}", {"text": text}) for n, text in enumerate(("abc", "é" * 40))]
    found = predict(samples)
    assert found["tokens"].tolist() == [3, 32]  # cut to `length`
    table = registry.find("tasks", "language_modelling").rows(samples, found, None, "full")
    assert table["nll_e9"][0].as_py() == pytest.approx(np.log(257) * 1e9, rel=0.1)
    bad = {**found, "nll": np.array([1.0, np.nan])}
    with pytest.raises(ModelError, match="'t/1': nll is nan over 32 tokens"):
        registry.find("tasks", "language_modelling").rows(samples, bad, None, "full")
    with pytest.raises(ModelError, match=r"expected tokens of shape \(2,\)"):
        registry.find("tasks", "language_modelling").rows(samples, {"nll": found["nll"]}, None, "")


def test_a_tokenizer_of_the_tokenizers_library_is_read(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {"a": 0, "net": 1, "[UNK]": 2}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    params = {**defaults(llama), "path": str(tmp_path / "tokenizer.json"), "begin": 3, "vocabulary": 4}
    assert llama.encoded("net a", params) == [3, 1, 0]
    assert llama.size(params) == 4
    with pytest.raises(ModelError, match="does not exist; give Llama 3's tokenizer.json"):
        llama.encoded("a", {**params, "path": "nowhere.json"})


# ------------------------------------------------------------------ training


def test_windows_are_cut_from_one_stream_and_come_once_a_pass(inputs: dict[Ref, Path]) -> None:
    made = job(inputs, buffer=7)
    folder = next(iter(inputs.values())).parent
    texts = [sample.fields["text"] for sample in shards.read(folder)]
    stream = np.concatenate([llama.encoded(text, made.model_params) for text in texts])
    starts = range(0, len(stream) - 16, 16)
    expected = sorted(tuple(stream[at : at + 17].tolist()) for at in starts)
    endless = pretraining.windows(made)
    passes = [[tuple(next(endless).tolist()) for _ in expected] for _ in range(2)]
    assert [sorted(one) for one in passes] == [expected, expected]
    assert passes[0] != passes[1]
    first = {tuple(stream[at : at + 17].tolist()) for at in starts[:7]}  # of the first buffer
    assert [set(one[:7]) for one in passes] == [first, first]
    with pytest.raises(ParamsError, match="have fewer tokens than `length` = 100000"):
        next(pretraining.windows(job(inputs, length=100_000)))


def test_a_batch_in_parts_has_the_gradients_of_the_whole(inputs: dict[Ref, Path]) -> None:
    batch, gradients = torch.randint(0, 257, (4, 17)), []
    for at_once in (4, 3):
        own = net()
        loss = pretraining._gradients(own, batch, {**SHORT, "at_once": at_once})
        assert loss == pytest.approx(own.losses(batch).mean().item(), rel=1e-5)
        gradients.append(own.embed.weight.grad.clone())
    assert torch.allclose(*gradients, atol=1e-7)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "root"])
def test_the_loss_falls_and_momenta_are_logged(optimizer: str, inputs: dict[Ref, Path]) -> None:
    size = {"tokens": 40 * 64, "lr": 0.02, "warmup_steps": 4, "seen": [2, 40], "layers": ["blocks.1.up"]}
    first, rows = train_weights(job(inputs, optimizer, **size))
    losses = [value for _, name, value in rows if name == "train_loss"]
    assert [step for step, name, _ in rows if name == "train_loss"] == list(range(5, 41, 5))
    assert losses[0] > 4
    assert losses[-1] < 0.7 * losses[0]
    errors = {(step, name): value for step, name, value in rows if name.startswith("ns_error/")}
    assert set(errors) == (set() if optimizer == "adamw" else {
        (step, f"ns_error/{name}/blocks.1.up/24x16") for step in (2, 40) for name in _orthogonal.COEFFICIENTS
    })  # fmt: skip
    assert all(0 < value < 1.1 for value in errors.values())
    again, _ = train_weights(job(inputs, optimizer, **size))
    assert all(torch.equal(first[name], again[name]) for name in first)
    with pytest.raises(ParamsError, match="tokens = 63 is less than one step"):
        train_weights(job(inputs, tokens=63))


# ------------------------------------------------------------------ the full scale


def test_the_full_scale_runs_on_a_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's own params, with a small net, few tokens, and files of the official names."""
    files = tmp_path / "data/own/fineweb-edu/sample/10BT"
    files.mkdir(parents=True)
    miniature_texts.fineweb_edu(files)
    monkeypatch.chdir(tmp_path)
    own = yaml.safe_load((HOME / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**own, "benchmarks": {}}))
    few = {**SHORT, "tokens": 10 * 64, "warmup_steps": 2, "seen": [2, 9], "layers": ["blocks.0."]}
    small = {
        "models": {"llama_1b": {**SMALL, "path": ""}},
        "trainers": {"adamw": {k: few[k] for k in (*SHORT, "tokens", "warmup_steps")}, "muon": few, "root": few},
        "analyses": {"ns_error": {"spectra": {"gaussian": {"32x32": 2}}}, "training_log": {"last": 2}},
        "bootstrap": {"resamples": 20},
    }
    overlay = loading.merge(cards.load("root-optimizer").params["full"], small)
    (tmp_path / "params").mkdir()
    (tmp_path / "params/mine.yaml").write_text(yaml.safe_dump(overlay))
    pins.pin([Path("data/own/fineweb-edu/sample/10BT")])
    planned, root = plan.load("mine")
    run_local.make(planned, root)
    table = pl.from_arrow(schema.read(root / Ref("tables", "pretraining").path))
    assert isinstance(table, pl.DataFrame)
    losses = table.filter(metric="training_loss", seed=0)
    arms = {f"fineweb_edu/llama_1b-{name}-s0" for name in ("adamw", "muon", "root")}
    assert set(losses["model"]) == arms
    assert losses["n"].to_list() == [2, 2, 2]
    assert table.filter(metric="nll", seed=0)["value"].is_between(2, 6).all()
    momenta = table.filter(metric="ns_error", dataset="momentum")
    assert {"blocks.0.attention.qkv/32x16", "blocks.0.down/16x24"} <= set(momenta["group"])
    assert set(momenta["method"]) == set(_orthogonal.COEFFICIENTS)


def test_large_spectra_are_those_of_the_decomposition() -> None:
    for shape in ((512, 600), (700, 520)):
        matrix = np.random.default_rng(0).normal(size=shape)
        exact = np.linalg.svd(matrix, compute_uv=False)[::-1] / np.linalg.norm(matrix)
        np.testing.assert_allclose(np.sort(_newton_schulz.spectrum(matrix)), exact, atol=1e-9)
