"""Training: equal bytes, augmentations equal to Pillow's, losses and probes equal to other implementations."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy.stats import entropy

from shiftbench.base import refs, registry
from shiftbench.base.errors import ModelError, ParamsError, PluginError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy, jensen_shannon
from shiftbench.plugins.models import _tfidf
from shiftbench.plugins.trainers import _augment, _logistic, _loop, augmix, erm, finetune
from shiftbench.workflow.stages.train import train_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 3, 28, 28), dtype=np.uint8)
IMAGES[0] = 7  # a flat image
IMAGES[1] //= 4  # a dark one


def random_words(key: str = "k") -> RandomStream:
    return RandomStream(0, "test", "d", key)


# --- the stage ---------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["convnet", "vit"])
@pytest.mark.parametrize("trainer", ["erm", "augmix"])
def test_a_job_gives_the_same_bytes_twice_and_other_seeds_others(model: str, trainer: str) -> None:
    made = [
        nets.state_bytes(train_weights(training_jobs.job(model, trainer, epochs=1, seed=seed))[0]) for seed in (0, 0, 1)
    ]
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.parametrize("model", ["convnet", "vit"])
def test_a_training_reads_no_memory_that_it_has_not_written(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all new memory filled with NaN, weights are the same: filling it is not needed."""
    made, trainer = [], erm.train
    for fill in (False, True):

        def poisoned(job: TrainJob, fill: bool = fill) -> dict[str, torch.Tensor]:
            assert torch.are_deterministic_algorithms_enabled()
            deterministic: Any = torch.utils.deterministic
            assert not deterministic.fill_uninitialized_memory
            deterministic.fill_uninitialized_memory = fill
            assert not fill or torch.empty(8).isnan().all()
            return trainer(job)

        monkeypatch.setattr(erm, "train", poisoned)
        made.append(nets.state_bytes(train_weights(training_jobs.job(model, "erm", epochs=1))[0]))
    assert made[0] == made[1]
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def test_training_learns_logs_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    _, rows = train_weights(training_jobs.job("convnet", "erm", epochs=8, batch_size=16))
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert [row[0] for row in rows[-2:]] == [32, 32]
    assert {name: value for _, name, value in rows}["val_accuracy"] > 0.9


def test_diverged_training_is_refused() -> None:
    job = training_jobs.job("convnet", "erm", epochs=2, optimizer="sgd", lr=1e30)
    with pytest.raises(ModelError, match="not finite after training; lower the trainer's `lr`"):
        train_weights(job)


def test_unknown_optimizer_is_answered_with_the_near_one() -> None:
    with pytest.raises(PluginError, match=r"no optimizers named 'adamx' \(did you mean adam, adamw\?"):
        train_weights(training_jobs.job("convnet", "erm", optimizer="adamx"))


@pytest.mark.parametrize("name", ["one_cycle", "cosine"])
def test_the_head_has_its_own_rate_under_every_schedule(name: str) -> None:
    net = nets_of_two()
    update = registry.find("optimizers", "sgd").make(
        net, 0.1, 0.01, {**defaults(registry.find("optimizers", "sgd")), "head": 0.05}
    )
    rates = []
    follow = _loop.schedule(update, name, 10)
    for _ in range(10):
        body, _, head, bias = (group["lr"] for group in update.param_groups)
        assert head == bias == pytest.approx(0.05 * body)
        rates.append(body)
        update.step()
        follow.step()
    assert max(rates) == pytest.approx(0.1)
    of_head = {id(p) for group in update.param_groups[2:] for p in group["params"]}
    assert of_head == {id(p) for p in net.get_submodule("head").parameters()}


def nets_of_two() -> torch.nn.Module:
    parts = {"body": torch.nn.Linear(3, 2), "head": torch.nn.Linear(2, 2)}
    return torch.nn.ModuleDict(parts)


# --- losses ------------------------------------------------------------------------------------


def test_jensen_shannon_is_entropy_of_the_mixture_minus_mean_entropy() -> None:
    views = [torch.randn(5, 4, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    p = torch.stack(views).softmax(-1).double().numpy()
    expected = entropy(p.mean(0), axis=-1) - entropy(p, axis=-1).mean(0)
    assert jensen_shannon(views).item() == pytest.approx(expected.mean(), abs=1e-6)


def test_smoothing_mixes_in_the_uniform_distribution() -> None:
    logits, labels = torch.randn(3, 5), torch.tensor([0, 1, 4])
    logs = logits.log_softmax(1)
    expected = -(0.9 * logs[torch.arange(3), labels] + 0.1 * logs.mean(1)).mean()
    assert cross_entropy(logits, labels, 0.1).item() == pytest.approx(expected.item(), abs=1e-6)


# --- augmentation ------------------------------------------------------------------------------


def pillow(name: str, image: Image.Image, level: float, sign: float) -> Image.Image:
    """AugMix's operations as its authors wrote them down, one Pillow image at a time."""
    if name in ("autocontrast", "equalize"):
        return getattr(ImageOps, name)(image)
    if name == "posterize":
        return ImageOps.posterize(image, 4 - int(level * 4 / 10))
    if name == "solarize":
        return ImageOps.solarize(image, 256 - int(level * 256 / 10))
    if name == "rotate":
        return image.rotate(sign * int(level * 30 / 10), resample=Image.Resampling.BILINEAR)
    shear, move = sign * level * 0.3 / 10, sign * int(level * (28 / 3) / 10)
    matrix = {
        "shear_x": (1, shear, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, shear, 1, 0),
        "translate_x": (1, 0, move, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, move),
    }[name]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=Image.Resampling.BILINEAR)


@pytest.mark.parametrize("name", _augment.OPERATIONS)
@pytest.mark.parametrize("level", [0.1, 3.0, 9.7])
def test_operations_equal_pillow(name: str, level: float) -> None:
    index = _augment.OPERATIONS.index(name)
    signs = np.array([1.0, -1, 1, -1, 1, -1])
    ours = _augment.apply(IMAGES, np.full(6, index), np.full(6, level), signs)
    for image, sign, found in zip(IMAGES, signs, ours, strict=True):
        expected = np.asarray(pillow(name, Image.fromarray(image.transpose(1, 2, 0)), level, sign))
        difference = np.abs(found.transpose(1, 2, 0).astype(int) - expected)
        if index < _augment.COLOUR:
            assert difference.max() == 0
        else:  # bilinear weights in float32 here, in float64 there
            assert (difference <= 1).mean() > 0.999


def test_mixing_is_keyed_bounded_and_starts_at_the_image() -> None:
    params = defaults(augmix)
    once, again = (augmix.mix(IMAGES, random_words(), params) for _ in range(2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, augmix.mix(IMAGES, random_words("other"), params))
    assert once.dtype == np.float32
    assert once.shape == IMAGES.shape
    assert 0 <= once.min() <= once.max() <= 255.001
    gentle = augmix.mix(IMAGES, random_words(), params | {"depth": 1, "chains": 1})
    assert np.corrcoef(gentle[2:].ravel(), IMAGES[2:].ravel())[0, 1] > 0.5


def test_moves_shift_by_whole_pixels_and_mirror() -> None:
    assert erm.move(IMAGES, random_words(), 0, flip=False) is IMAGES
    moved = erm.move(IMAGES[2:3], random_words(), 2, flip=False)[0]
    padded = np.pad(IMAGES[2], ((0, 0), (2, 2), (2, 2)), mode="edge")
    windows = [padded[:, y : y + 28, x : x + 28] for y in range(5) for x in range(5)]
    assert any(np.array_equal(moved, window) for window in windows)
    mirrored = erm.move(IMAGES, random_words(), 0, flip=True)
    kept = [np.array_equal(a, b) for a, b in zip(mirrored[1:], IMAGES[1:], strict=True)]
    turned = [np.array_equal(a, b[..., ::-1]) for a, b in zip(mirrored[1:], IMAGES[1:], strict=True)]
    assert all(k != t for k, t in zip(kept, turned, strict=True))
    assert any(kept)
    assert any(turned)


# --- probes ------------------------------------------------------------------------------------


def test_logistic_regression_of_two_classes_has_two_rows_of_the_same_probabilities() -> None:
    from sklearn.linear_model import LogisticRegression

    x = np.random.default_rng(0).normal(size=(60, 5))
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
    weight, bias = _logistic.fit(x, y, 3, 1.0, balanced=False, threads=1)
    ours = torch.from_numpy(x @ weight.T + bias).softmax(1).numpy()
    reference = LogisticRegression(C=1.0, tol=1e-5).fit(x, y).predict_proba(x)
    assert np.allclose(ours[:, :2], reference, atol=1e-9)
    assert ours[:, 2].max() < 1e-20  # no sample of the third class was seen


def test_the_penalty_with_the_least_validation_loss_is_chosen() -> None:
    random = np.random.default_rng(1)
    x, held = random.normal(3, 5, (40, 30)), random.normal(3, 5, (200, 30))
    y, held_y = (x[:, 0] > 3).astype(int), (held[:, 0] > 3).astype(int)
    grid = [1e-4, 1e-2, 1.0, 100.0]
    weight, bias, c = _logistic.choose((x, y), (held, held_y), 2, grid, 1)
    losses = []
    for candidate in grid:
        found = _logistic.choose((x, y), (held, held_y), 2, [candidate], 1)
        losses.append(_logistic.nll(held @ found[0].T + found[1], held_y))
    assert c == grid[int(np.argmin(losses))]
    assert _logistic.nll(held @ weight.T + bias, held_y) == min(losses)


def test_probe_and_fine_tuning_start_from_model_and_keep_the_body(tmp_path: Path) -> None:
    body, _ = train_weights(training_jobs.job("convnet", "erm", epochs=1))
    start = training_jobs.write(tmp_path / "start.safetensors", body)
    probe_input = {refs.checkpoint("imagenet", "convnet", "pretrained"): start}
    probed, rows = train_weights(training_jobs.job("convnet", "linear_probe", inputs=probe_input))
    assert [name for _, name, _ in rows] == ["c", "val_nll", "val_accuracy"]
    assert rows[-1][2] > 0.9
    assert torch.equal(probed["body.0.weight"], body["body.0.weight"])
    assert not torch.equal(probed["head.weight"], body["head.weight"])
    tuned_input = {refs.checkpoint("tiny", "convnet", "linear_probe"): training_jobs.write(start, probed)}
    tuned, _ = train_weights(training_jobs.job("convnet", "finetune", inputs=tuned_input, epochs=1))
    assert torch.equal(tuned["body.0.weight"], probed["body.0.weight"])  # frozen
    assert torch.equal(tuned["body.1.running_mean"], probed["body.1.running_mean"])
    assert not torch.equal(tuned["head.weight"], probed["head.weight"])


def test_freezing_goes_by_share_and_never_takes_the_head() -> None:
    net = registry.find("models", "convnet").build(defaults(registry.find("models", "convnet")), 4)
    finetune.freeze(net, 0.0)
    learns = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    assert learns == ["head.weight", "head.bias"]


# --- text --------------------------------------------------------------------------------------


def test_tfidf_equals_scikit_learn_on_the_same_columns() -> None:
    from sklearn.feature_extraction.text import TfidfTransformer

    counted = _tfidf.counts(["a good good film", "a bad film", "", "good bad ugly"], 64, 1)
    reference = TfidfTransformer(sublinear_tf=True).fit(counted).transform(counted)
    ours = _tfidf.weigh(counted, _tfidf.idf(counted))
    assert np.allclose(ours.toarray(), reference.toarray(), atol=1e-12)


def test_text_model_learns_and_answers(tmp_path: Path) -> None:
    state, rows = train_weights(training_jobs.job("tfidf", "tfidf_logreg"))
    assert rows == [(0, "val_accuracy", 1.0)]
    weights = training_jobs.write(tmp_path / "text.safetensors", state)
    model = registry.find("models", "tfidf")
    predictor = nets.load_predictor(model, weights, defaults(model), training_jobs.CLASSES)
    found = predictor(training_jobs.texts(8))["logits"]
    assert found.argmax(1).tolist() == [0, 1, 2, 3] * 2
    with pytest.raises(ModelError, match=r"head.weight is \(4, 65536\), expected \(5, 65536\)"):
        nets.load_predictor(model, weights, defaults(model), "abcde")


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "trainer", "options", "message"),
    [
        ("convnet", "pretrained", {}, "model 'convnet' brings no weights of its own; train it"),
        ("convnet", "given", {}, "model 'convnet' names no file; give it, or the trainer, a `path:`"),
        ("onnx", "given", {"path": "x.pt"}, "'onnx' is no net that could load x.pt"),
        ("onnx", "finetune", {}, "model 'onnx' is a black box and cannot be fine-tuned; probe it"),
        ("convnet", "tfidf_logreg", {}, "tfidf_logreg trains the model `tfidf`, not 'convnet'"),
        ("convnet", "linear_probe", {"c": []}, "linear_probe's `c` is empty"),
    ],
)
def test_a_trainer_says_what_it_cannot_train(model: str, trainer: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ModelError, ParamsError), match=message):
        train_weights(training_jobs.job(model, trainer, **options))


def test_given_gives_a_file_of_yours_to_any_net(tmp_path: Path) -> None:
    state, _ = train_weights(training_jobs.job("vit", "erm", epochs=1))
    mine = training_jobs.write(tmp_path / "mine.safetensors", state)
    given, _ = train_weights(training_jobs.job("vit", "given", path=str(mine)))
    assert nets.state_bytes(given) == nets.state_bytes(state)
    with pytest.raises(ModelError, match=r"mine.safetensors does not fit ConvNet: body.0.weight is"):
        train_weights(training_jobs.job("convnet", "given", path=str(mine)))


def test_a_rate_warms_up_and_falls_to_a_thousandth() -> None:
    update = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    rate = _loop.schedule(update, "warmup_cosine", 20, warmup=0.2)
    seen = []
    for _ in range(21):
        seen.append(rate.get_last_lr()[0])
        update.step()
        rate.step()
    assert seen[:5] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5])
    assert seen[12] == pytest.approx((0.5 + 0.0005) / 2)
    assert seen[20] == pytest.approx(0.0005)
