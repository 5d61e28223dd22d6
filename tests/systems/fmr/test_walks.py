"""The constrained search against a plain rule, invariants, FMR by hand, the shift beside the analysis, VQGAN."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.models import _pretrained
from shiftbench.statistics.rows import Row
from shiftbench.systems.fmr.analyses import oracle_walks
from shiftbench.systems.fmr.metrics import fmr
from shiftbench.systems.fmr.models import vqgan
from shiftbench.systems.fmr.shifts import _search, oracle_search
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

CODES = "codes/autoencoder-autoencoding-s0"
TESTED = ("tiny/convnet-erm-s0", "tiny/convnet-adversarial-s0", "tiny/convnet-erm-s1")
ORACLES = ("oracle_a/convnet-erm-s0", "oracle_b/convnet-erm-s0", "oracle_c/convnet-erm-s0")
COUNT, BUDGETS, ETA = 16, [0, 2, 6], 3.0
CLEAN = refs.shards("tiny", "test")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Ref, Path]:
    """Return three tested nets, an oracle of three, a generator, and thirty-two pictures."""
    home, found = tmp_path_factory.mktemp("fmr"), dict[Ref, Path]()
    for number, name in enumerate((*TESTED, *ORACLES, CODES)):
        model, trainer, _ = name.split("/")[1].split("-")
        own = {"steps": 1} if trainer == "adversarial" else {}
        job = training_jobs.job(
            model, trainer, epochs=25 if name == CODES else 2, batch_size=16, seed=number, **own,
            train=training_jobs.pictures(64, seed=number + 2),
        )  # fmt: skip
        found[Ref("checkpoints", name)] = training_jobs.write(
            home / f"{name.replace('/', '_')}.safetensors", train_weights(job)[0]
        )
    fields = registry.find("tasks", "classification").FIELDS
    samples = training_jobs.pictures(COUNT, seed=1)
    (home / "test").mkdir()
    shards.write(samples, home / "test", fields, {"classes": list(training_jobs.CLASSES)}, 10**9)
    return {**found, CLEAN: home / "test/manifest.json"}


def analysis(inputs: dict[Ref, Path], **options: Any) -> Measurement:
    params = {
        **defaults(oracle_walks),
        "generator": CODES,
        "oracles": list(ORACLES),
        "budgets": BUDGETS,
        "dataset": "tiny",
        "split": "test",
        "checkpoints": list(TESTED),
        "eta": ETA,
        **options,
    }
    models = {
        ref.name: {"use": model, "options": dict(defaults(registry.find("models", model)))}
        for ref in inputs
        if ref.kind == "checkpoints"
        for model in [ref.name.split("/")[1].split("-")[0]]
    }
    assert set(oracle_walks.needs(params)) <= set(inputs)
    return Measurement(params, inputs, 0, models, "cpu")


def values(inputs: dict[Ref, Path], **options: Any) -> dict[tuple[Any, ...], list[float]]:
    rows: list[Observation] = list(oracle_walks.measure(analysis(inputs, **options)))
    found: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        found.setdefault((row.metric, row.model, row.severity, row.group), []).append(row.value)
    return found


@pytest.fixture(scope="module")
def parts(inputs: dict[Ref, Path]) -> Any:
    return oracle_walks._Parts.of(analysis(inputs))


def given(parts: Any) -> tuple[torch.Tensor, torch.Tensor]:
    found: tuple[torch.Tensor, torch.Tensor] = parts.batch_tensors(training_jobs.pictures(COUNT, seed=1))
    return found


def literal(
    search: _search.Search, net: Any, picture: torch.Tensor, label: int, steps: int
) -> tuple[torch.Tensor, int, int]:
    """Return the picture, steps and end of one walk by the written algorithm, one picture at a time."""
    maker, oracle, eta = search.generator, search.oracle, search.options["eta"]
    if int(oracle(picture[None])) != label:
        return picture, 0, _search.UNMOVED
    with torch.no_grad():
        code = maker.features(picture[None])
        rest = picture[None].float() - maker.decode(code)
    best = picture
    for step in range(steps):
        code = code.detach().requires_grad_()
        loss = F.cross_entropy(net(maker.decode(code) + rest), torch.tensor([label]))
        (gradient,) = torch.autograd.grad(loss, code)
        code = code.detach() + eta * search.spread * gradient / gradient.norm()
        with torch.no_grad():
            seen = (maker.decode(code) + rest)[0].round().clamp(0, 255).to(torch.uint8)
        if int(oracle(seen[None])) != label:
            return best, step, _search.STOPPED
        best = seen
    return best, steps, _search.EXHAUSTED


@pytest.mark.parametrize(("eta", "ends"), [(0.3, _search.EXHAUSTED), (3.0, _search.STOPPED)])
def test_walk_is_the_written_algorithm(parts: Any, eta: float, ends: int) -> None:
    pictures, labels = given(parts)
    labels = labels.clone()
    labels[0] = (labels[0] + 1) % 4  # the oracle errs
    net, own = parts.tested[TESTED[0]], {**parts.params, "eta": eta}
    search = _search.Search(parts.search.generator, parts.search.oracle, parts.search.spread, own)
    walk = search.walk(net, pictures, labels, BUDGETS)
    wanted = [
        literal(search, net, picture, int(label), BUDGETS[-1]) for picture, label in zip(pictures, labels, strict=True)
    ]
    assert walk.accepted.tolist() == [steps for _, steps, _ in wanted]
    assert walk.ended.tolist() == [why for _, _, why in wanted]
    assert {_search.UNMOVED, ends} <= set(walk.ended.tolist())
    for found, (picture, _, _) in zip(walk.at[BUDGETS[-1]], wanted, strict=True):
        assert (found.int() - picture.int()).abs().max() <= 1  # sums of another batch size
    assert torch.equal(walk.at[0], pictures)
    assert torch.equal(search.walk(net, pictures, labels, [2]).at[2], walk.at[2])
    assert not torch.equal(walk.at[6], pictures)


def test_oracle_that_is_the_tested_net_cannot_be_fooled(parts: Any) -> None:
    pictures, labels = given(parts)
    net = parts.tested[TESTED[0]]
    own = _search.Search(parts.search.generator, _search.Oracle([net]), parts.search.spread, parts.params)
    walk = own.walk(net, pictures, labels, [6])
    assert not torch.equal(walk.at[6], pictures)
    assert torch.equal(net(walk.at[6]).argmax(1) == labels, net(pictures).argmax(1) == labels)


class _Identity:
    """A generator that knows one picture for each: whatever the code, nothing moves."""

    @staticmethod
    def apart(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.ones(len(x), 4), x.float()

    @staticmethod
    def decode(codes: torch.Tensor) -> torch.Tensor:
        return 0 * codes.sum(1)[:, None, None, None]


def test_generator_that_changes_nothing_leaves_every_picture(parts: Any) -> None:
    pictures, labels = given(parts)
    still = _search.Search(_Identity(), parts.search.oracle, 1.0, parts.params)
    for net in parts.tested.values():
        walk = still.walk(net, pictures, labels, BUDGETS)
        assert all(torch.equal(seen, pictures) for seen in walk.at.values())


def test_options_change_what_they_say(parts: Any) -> None:
    pictures, labels = given(parts)
    net, search = parts.tested[TESTED[0]], parts.search

    def walked(**options: Any) -> _search.Walk:
        changed = {**parts.params, **options}
        oracle = _search.Oracle(search.oracle.models, changed["rule"])
        one = _search.Search(search.generator, oracle, search.spread, changed)
        return one.walk(net, pictures, labels, BUDGETS)

    plain, free = walked(), walked(constrained=False)
    trusted = search.oracle(pictures) == labels
    assert torch.equal(search.oracle(plain.at[6]) == labels, trusted)
    assert int((search.oracle(free.at[6]) == labels).sum()) < int(trusted.sum())
    assert free.accepted.tolist() == [6] * COUNT
    highest = walked(keep="highest")
    losses = [F.cross_entropy(net(one.at[6]), labels, reduction="none").detach() for one in (plain, highest)]
    assert bool((losses[1] >= losses[0] - 1e-6).all())
    rebuilt = walked(residual=False)
    assert not torch.equal(rebuilt.at[0], pictures)
    assert torch.equal(search.oracle(rebuilt.at[0]) == labels, trusted)
    with pytest.raises(ParamsError, match="keep is 'first'"):
        walked(keep="first")
    with pytest.raises(ParamsError, match="rule 'any'"):
        walked(rule="any")
    with pytest.raises(ParamsError, match="budgets are"):
        search.walk(net, pictures, labels, [-1])


@pytest.mark.parametrize("eta", [0.1, 0.3, 1.0, 3.0])
def test_constrained_pictures_are_earlier_points_of_the_free_walk(parts: Any, eta: float) -> None:
    """The oracle never turns a walk, so that what it saves is no finding about nets."""
    pictures, labels = given(parts)
    search, budgets = parts.search, list(range(BUDGETS[-1] + 1))

    def walked(net: Any, *, constrained: bool) -> _search.Walk:
        options = {**parts.params, "eta": eta, "constrained": constrained}
        own = _search.Search(search.generator, search.oracle, search.spread, options)
        return own.walk(net, pictures, labels, budgets)

    for net in parts.tested.values():
        bound, free = walked(net, constrained=True), walked(net, constrained=False)
        for row, steps in enumerate(bound.accepted.tolist()):
            ends, passed = bound.at[budgets[-1]][row].int(), free.at[steps][row].int()
            assert (ends - passed).abs().max() <= 1  # sums of another batch size


def test_oracle_by_mean_and_by_majority() -> None:
    shares = torch.tensor([[[0.9, 0.1, 0.0]], [[0.4, 0.6, 0.0]], [[0.4, 0.6, 0.0]]]) + 1e-9
    members = [lambda _, own=own: own.log() for own in shares]
    assert _search.Oracle(members)(torch.zeros(1)).tolist() == [0]
    assert _search.Oracle(members, "majority")(torch.zeros(1)).tolist() == [1]
    assert _search.Oracle(members[:2], "majority")(torch.zeros(1)).tolist() == [0]  # one vote each
    assert _search.Oracle(members).apart(torch.zeros(1)).tolist() == [True]
    assert _search.Oracle(members[1:]).apart(torch.zeros(1)).tolist() == [False]


def test_unit_of_steps_is_the_deviation_of_codes(parts: Any) -> None:
    pictures, _ = given(parts)
    codes = parts.search.generator.features(pictures).detach().double().numpy()
    assert np.allclose(parts.search.spread.numpy(), codes.std(0), rtol=1e-5)
    halves = _search.spread(parts.search.generator, [pictures[:7], pictures[7:]])
    assert torch.allclose(halves, parts.search.spread, rtol=1e-5)
    assert _search.spread(parts.search.generator, [], "one") == 1.0
    with pytest.raises(DataError, match="no picture"):
        _search.spread(parts.search.generator, [])


def test_analysis_counts_what_the_walks_gave(inputs: dict[Ref, Path], parts: Any) -> None:
    found = values(inputs, transfer=True, batch_size=20)
    pictures, labels = given(parts)
    for name in TESTED:
        net = parts.tested[name]
        walk = parts.search.walk(net, pictures, labels, BUDGETS)
        right = {budget: (net(seen).argmax(1) == labels) for budget, seen in walk.at.items()}
        trusted = parts.search.oracle(pictures) == labels
        assert found["standard_accuracy", name, None, None] == right[0].double().tolist()
        assert found["perturbed_accuracy", name, 6.0, None] == right[6].double().tolist()
        own = right[6][trusted].double().tolist()
        assert found["perturbed_accuracy", name, 6.0, "oracle_right"] == own
        assert found["oracle_accuracy", name, 6.0, None] == trusted.double().tolist()
        assert found["accepted_steps", name, 6.0, None] == walk.accepted.double().tolist()
        far = (walk.at[6].double() - pictures.double()).flatten(1).numpy() / 255
        assert np.allclose(found["perturbation_l2", name, 6.0, None], np.linalg.norm(far, axis=1), atol=1e-5)
        assert np.allclose(found["perturbation_linf", name, 6.0, None], np.abs(far).max(1), atol=1e-6)
    first, second, other = TESTED
    walk = parts.search.walk(parts.tested[first], pictures, labels, [6])
    there = (parts.tested[second](walk.at[6]).argmax(1) == labels).double()
    assert found["perturbed_accuracy", second, 6.0, "from_convnet-erm"] == there.tolist()
    own = np.array(found["perturbed_accuracy", second, 6.0, None])
    assert np.allclose(found["perturbed_accuracy", second, 6.0, "pooled"], (own + there.numpy()) / 2)
    assert ("perturbed_accuracy", other, 6.0, "from_convnet-adversarial") not in found  # another seed
    assert {key[1] for key in values(inputs, seeds=[1])} == {other}


def test_invariant_is_held_by_the_pipeline(inputs: dict[Ref, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    walk = _search.Search.walk

    def broken(self: Any, *rest: Any) -> _search.Walk:
        found = walk(self, *rest)
        return _search.Walk({6: torch.zeros_like(found.at[6])}, found.accepted, found.ended)

    monkeypatch.setattr(_search.Search, "walk", broken)
    with pytest.raises(ModelError, match="changed under its own constraint at 6"):
        list(oracle_walks.measure(analysis(inputs)))


def test_nets_that_are_not_apart_or_see_other_pictures_are_refused(inputs: dict[Ref, Path]) -> None:
    with pytest.raises(ParamsError, match="tested and part of oracle"):
        list(oracle_walks.measure(analysis(inputs, oracles=[TESTED[0]])))
    with pytest.raises(ModelError, match="no `apart`"):
        list(oracle_walks.measure(analysis(inputs, generator=ORACLES[0], unit="one")))
    with pytest.raises(DataError, match="give all nets the same size"):
        _search.same_pictures({"a": np.zeros((1, 1, 28, 28)), "b": np.zeros((1, 1, 32, 32))})


def test_recovery_is_wrong_and_later_right() -> None:
    right = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0]]).bool().T
    assert oracle_walks.recoveries(list(right)).tolist() == [False, False, True, True, True]


def row(metric: str, draws: list[float], severity: float | None = None, group: str | None = None) -> Row:
    return Row(
        "c", "classification", "tiny/convnet-erm-s0", "plain", None, "tiny", "test", None, "oracle_search",
        severity, group, None, metric, draws[0], np.array(draws[1:]), 4, 0, "key",
    )  # fmt: skip


def test_fmr_is_the_ratio_draw_by_draw() -> None:
    rows = [
        row("standard_accuracy", [0.8, 0.5, 1.0, 0.0]),
        row("standard_accuracy", [1.0, 1.0, 0.8, 0.0], group="oracle_right"),
        row("perturbed_accuracy", [0.4, 0.5, 0.25, 0.0], 5.0),
        row("perturbed_accuracy", [0.5, 0.5, 0.4, 0.0], 5.0, "oracle_right"),
        row("perturbed_accuracy", [0.2, 0.25, 0.5, 0.0], 5.0, "from_other"),
    ]
    found = {one.group: one for one in fmr.compute(rows)}
    assert np.allclose(found[None].all, [0.5, 1.0, 0.25, np.nan], equal_nan=True)
    assert np.allclose(found["oracle_right"].all, [0.5, 0.5, 0.5, np.nan], equal_nan=True)
    assert np.allclose(found["from_other"].all, [0.25, 0.5, 0.5, np.nan], equal_nan=True)
    assert {one.severity for one in found.values()} == {5.0}


# --- the shift ---------------------------------------------------------------------------------------


def shifted(inputs: dict[Ref, Path], sample: Sample, budget: float, **options: Any) -> Sample:
    params = {
        **defaults(oracle_search),
        "tested": TESTED[0],
        "generator": CODES,
        "oracles": list(ORACLES),
        "eta": ETA,
        **options,
    }
    wanted = oracle_search.needs({**params, "dataset": "tiny", "split": "test"})
    words = RandomStream(0, "oracle_search", "tiny", sample.key)
    own = {ref: inputs[ref] for ref in wanted}
    return oracle_search.apply(sample, budget, words, inputs=own, **params)


def test_shift_is_the_walk_of_the_analysis(inputs: dict[Ref, Path], parts: Any) -> None:
    pictures, labels = given(parts)
    walk = parts.search.walk(parts.tested[TESTED[0]], pictures, labels, [6])
    samples = training_jobs.pictures(COUNT, seed=1)
    moved = 0
    for at in range(0, COUNT, 4):
        image = shifted(inputs, samples[at], 6).fields["image"]
        assert image.dtype == np.uint8
        assert np.abs(image.astype(int) - walk.at[6][at, 0].numpy()).max() <= 1
        moved += not np.array_equal(image, samples[at].fields["image"])
    assert moved >= 2
    other = shifted(inputs, samples[0], 6, tested=TESTED[1]).fields["image"]
    assert not np.array_equal(other, shifted(inputs, samples[0], 6).fields["image"])
    assert np.array_equal(shifted(inputs, samples[0], 0).fields["image"], samples[0].fields["image"])


def test_shift_says_what_it_lacks(inputs: dict[Ref, Path]) -> None:
    sample = training_jobs.pictures(1, seed=1)[0]
    with pytest.raises(DataError, match="asks nets, which are not here"):
        oracle_search.apply(sample, 1, RandomStream(0, "a", "b", "c"))
    with pytest.raises(RangeError, match="no whole number"):
        shifted(inputs, sample, 1.5)
    wide = training_jobs.pictures(1, size=40)[0]
    with pytest.raises(DataError, match="the image is"):
        shifted(inputs, wide, 2)
    used = oracle_search.uses({**defaults(oracle_search), "models": {"autoencoder": {"use": "vqgan"}}})
    assert used == [("models", "convnet"), ("models", "vqgan")]


# --- VQGAN's layout -----------------------------------------------------------------------------------

RELEASED = {  # configs/imagenet_vqgan.yaml with 16,384 vectors: some names and shapes of the release
    "encoder.conv_in.weight": (128, 3, 3, 3),
    "encoder.down.0.block.1.conv2.weight": (128, 128, 3, 3),
    "encoder.down.2.block.0.nin_shortcut.weight": (256, 128, 1, 1),
    "encoder.down.3.downsample.conv.weight": (256, 256, 3, 3),
    "encoder.down.4.attn.1.proj_out.weight": (512, 512, 1, 1),
    "encoder.mid.block_2.norm1.bias": (512,),
    "encoder.conv_out.weight": (256, 512, 3, 3),
    "decoder.up.4.attn.2.q.weight": (512, 512, 1, 1),
    "decoder.up.4.upsample.conv.weight": (512, 512, 3, 3),
    "decoder.up.3.block.0.nin_shortcut.weight": (256, 512, 1, 1),
    "decoder.up.0.block.2.conv1.weight": (128, 128, 3, 3),
    "decoder.norm_out.weight": (128,),
    "quantize.embedding.weight": (16384, 256),
    "post_quant_conv.weight": (256, 256, 1, 1),
}
F16 = {"channels": 128, "multipliers": [1, 1, 2, 2, 4], "blocks": 2, "attention": [4], "code": 256, "vectors": 16384}


def test_vqgan_has_the_names_of_the_release() -> None:
    with torch.device("meta"):
        net = vqgan.build({**defaults(vqgan), **F16}, 1000)
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert {name: shapes.get(name) for name in RELEASED} == RELEASED
    assert "encoder.down.4.downsample.conv.weight" not in shapes
    assert "decoder.up.0.upsample.conv.weight" not in shapes
    assert not any(".attn." in name for name in shapes if ".down.3." in name or ".up.3." in name)


def test_vqgan_of_a_release_walks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = vqgan.build(defaults(vqgan), 4).eval()
    state = {name: tensor for name, tensor in net.state_dict().items() if "head" not in name}
    file = tmp_path / "vqgan.pt"
    torch.save({"state_dict": {**state, "loss.discriminator.main.0.weight": torch.ones(2)}}, file)
    checkpoint = registry.find("models", "checkpoint")
    options = {**defaults(checkpoint), "path": str(file), "net": "vqgan"}
    job = training_jobs.job("checkpoint", "pretrained", model_params=options)
    given = registry.find("trainers", "pretrained").train(job)
    built = checkpoint.build(options, 4).eval()
    nets.load_into(built, given, file)
    pictures = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8)
    code, rest = built.apart(pictures)
    assert torch.allclose(built.decode(code) + rest, pictures.float(), atol=1e-3)
    labels = torch.tensor([0, 1, 2])
    tested = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 3)).float()
    scaled = lambda x: tested(x.float() / 255)  # noqa: E731 - a net of pictures
    always = _search.Oracle([lambda x: F.one_hot(labels[: len(x)], 3).float()])
    search = _search.Search(built, always, 1.0, {**defaults(oracle_search), "eta": 5.0})
    walk = search.walk(scaled, pictures, labels, [0, 3])
    assert torch.equal(walk.at[0], pictures)
    assert not torch.equal(walk.at[3], pictures)


def test_quantised_codes_pass_gradients_straight_through() -> None:
    net: Any = vqgan.build(defaults(vqgan), 4)
    codes = torch.randn(2, 32, 3, 3, requires_grad=True)
    found = net.nearest(codes)
    book = net.quantize.embedding.weight
    apart = torch.cdist(codes.movedim(1, -1).reshape(-1, 32), book).argmin(1)
    assert torch.allclose(found.movedim(1, -1).reshape(-1, 32), book[apart], atol=1e-5)
    (gradient,) = torch.autograd.grad(found.sum(), codes)
    assert torch.equal(gradient, torch.ones_like(codes))
    plain: Any = vqgan.build({**defaults(vqgan), "quantise": False}, 4)
    plain.load_state_dict(net.state_dict())
    assert not torch.allclose(plain.decode(codes), net.decode(codes))
    with pytest.raises(ParamsError, match="multiple of 32"):
        vqgan.build({**defaults(vqgan), "channels": 24}, 4)


# --- the card -----------------------------------------------------------------------------------------


def test_no_judge_and_no_generator_shares_training_data_with_a_tested_net() -> None:
    params = cards.load("fmr").params["embedded"]
    for source in ("fashion_mnist", "mnist"):
        parts = sorted(
            own["slice"]["train"]
            for name, own in params["datasets"].items()
            if own["use"] == source and name != "shown"
        )
        assert len(parts) == 5
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(parts))
    epochs = {params["trainers"][arm]["epochs"] for arm in ("erm", "noise_augmentation", "adversarial")}
    assert len(epochs) == 1
    for own in params["analyses"].values():
        assert not {name.split("/")[0] for name in own["oracles"]} & {"clothes", "numbers"}


def test_reconstructed_options_have_one_default() -> None:
    names = {"eta", "unit", "residual", "rule", "keep", "constrained"}
    walks, search = ({name: defaults(module)[name] for name in names} for module in (oracle_walks, oracle_search))
    assert walks == search


@pytest.mark.parametrize("kind", ["bilinear", "bicubic"])
def test_pictures_of_224_px_reach_the_nets_as_they_are(kind: str) -> None:
    (sample,) = training_jobs.pictures(1, size=224, colour=True)
    seen = _pretrained.prepare_batch([sample], {"size": 224, "crop": 1.0, "interpolation": kind})
    assert np.array_equal(seen[0].transpose(1, 2, 0), sample.fields["image"])
