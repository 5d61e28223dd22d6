"""A tiny net and sets of images that it is adapted to: noisy, hidden in part, held out, and with other labels."""

from pathlib import Path

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.models import convnet
from shiftbench.workflow.stages.train import train_weights

NET = {**defaults(convnet), "width": 4, "features": 16}
WEIGHTS = refs.checkpoint("tiny", "convnet", "erm", 0)
TRAIN = refs.shards("tiny", "train")
NOISE = refs.shards("tiny", "test", "noise", 3)
HELD = refs.shards("held", "test", "noise", 3)
HIDDEN = refs.shards("tiny", "test", "hidden", 4)
WRONG = refs.shards("wrong", "test", "noise", 3)


def shifted(samples: list[Sample], shift: str, severity: float) -> list[Sample]:
    """Return samples under a shift."""
    apply = registry.find("shifts", shift).apply
    return [
        one.with_field("image", apply(one.fields["image"], severity, RandomStream(0, shift, "d", one.key)))
        for one in samples
    ]


def write(samples: list[Sample], folder: Path, classes: tuple[str, ...]) -> Path:
    """Write shards; return their manifest."""
    folder.mkdir(parents=True)
    shards.write(
        sorted(samples, key=lambda one: one.key), folder, {"image": "png", "label": "cls"},
        {"classes": list(classes)}, 10**7,
    )  # fmt: skip
    return folder / "manifest.json"


def places(tmp: Path) -> dict[Ref, Path]:
    """Return a net's weights, its training images, and targets: 40 noisy ones, 24 others, the 40 with other labels."""
    source, target, other = (training_jobs.pictures(count, seed=seed) for count, seed in ((64, 0), (40, 2), (24, 3)))
    noisy = shifted(target, "gaussian_noise", 3)
    sets = {
        TRAIN: source,
        refs.shards("tiny", "test"): target,
        NOISE: noisy,
        WRONG: [one.with_field("label", (one.fields["label"] + 1) % 4) for one in noisy],
        HELD: shifted(other, "gaussian_noise", 3),
        HIDDEN: shifted(target, "occlusion", 4),
    }
    found = {
        ref: write(samples, tmp / str(number), training_jobs.CLASSES)
        for number, (ref, samples) in enumerate(sets.items())
    }
    options = {"epochs": 4, "batch_size": 16}
    state, _ = train_weights(training_jobs.job("convnet", "erm", model_params=NET, **options))
    file = tmp / "net.safetensors"
    file.write_bytes(nets.state_bytes(state, {"classes": '["a", "b", "c", "d"]'}))
    return {WEIGHTS: file, **found}


def net(found: dict[Ref, Path]) -> nets.TorchPredictor:
    """Return the net with its weights."""
    built = convnet.build(NET, 4)
    built.load_state_dict(nets.read_state(found[WEIGHTS]))
    return nets.TorchPredictor(built, convnet, NET, "cpu")


def seen(found: dict[Ref, Path], *names: Ref) -> dict[Ref, Path]:
    """Return inputs: the weights and what is named."""
    return {ref: found[ref] for ref in (WEIGHTS, *names)}
