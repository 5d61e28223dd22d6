"""The switch switches, reconstruction leaves the head alone, arms are equal but for what they lack."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data.skeletons import COCO_17
from shiftbench.evaluation.corruption import corrupt
from shiftbench.plugins.datasets import _bodies
from shiftbench.plugins.trainers import poses
from shiftbench.systems.sdpose_coco_ood.models import pose_unet
from shiftbench.systems.sdpose_coco_ood.trainers import denoiser
from shiftbench.workflow.plan import cards
from shiftbench.workflow.stages.train import train_weights

STYLES = ("oil_painting", "woodblock", "colour_sketch")


def people(count: int = 6) -> list[Sample]:
    found = []
    for number in range(count):
        body = _bodies.drawn(RandomStream(0, "body", "tiny", str(number)), 0.4, 40.0, 10.0)
        view = _bodies.fitted(body, 64, 48, 0.85)
        made = _bodies.render(body, view, np.full((64, 48, 3), 90, np.uint8))
        found.append(Sample(f"tiny/train/{number:03d}", {"image": made.image, "poses": [made.pose]}))
    return found


@pytest.fixture(autouse=True)
def _val(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_jobs, "pictures", lambda *_, **__: people(2))


def net(**params: Any) -> pose_unet.PoseUNet:
    torch.manual_seed(0)
    return pose_unet.build({**defaults(pose_unet), "width": 8, **params}, 17)


def job(trainer: str, **params: Any) -> Any:
    made = training_jobs.job("pose_unet", trainer, model_params={"width": 8}, train=people(), **params)
    object.__setattr__(made, "classes", COCO_17)
    return made


def test_the_task_switch_changes_the_output() -> None:
    own = net()
    z = own.latents(torch.from_numpy(people(1)[0].fields["image"].transpose(2, 0, 1)[None].copy()))
    pose, other = (own.blocks(z, task)[-1] for task in (pose_unet.POSE, pose_unet.RECONSTRUCTION))
    assert not torch.allclose(pose, other)
    steps = [own.blocks(z, pose_unet.POSE, torch.tensor([step]))[-1] for step in (999.0, 3.0)]
    assert torch.equal(steps[0], pose)
    assert not torch.allclose(steps[1], pose)


def test_latents_lose_nothing() -> None:
    image = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    z = net().latents(image)
    assert z.shape == (2, 48, 16, 12)
    back = torch.nn.functional.pixel_shuffle(z, pose_unet.CELL)
    assert torch.equal(((back + 1) * 127.5).round().to(torch.uint8), image)


@pytest.mark.parametrize("feature", pose_unet.FEATURES)
def test_heatmaps_have_their_size_from_either_block(feature: str) -> None:
    own = net(feature=feature)
    assert own.heatmaps(torch.zeros(1, 3, 64, 48, dtype=torch.uint8)).shape == (1, 17, *own.heat)
    with pytest.raises(ParamsError, match="pose_unet: feature is 'first'"):
        net(feature="first")


def batch(own: Any) -> poses.Batch:
    made = job("poses")
    return poses.batch_of(own, poses.people(people()), made, RandomStream(0, "a", "b", "c"), torch.device("cpu"))


def test_gradients_of_the_reconstruction_do_not_reach_the_head() -> None:
    own = net()
    own.reconstruct(own.latents(batch(own).seen)).square().mean().backward()
    assert all(weight.grad is None for weight in own.head.parameters())
    assert own.enter.weight.grad is not None
    own.zero_grad()
    own.heatmaps(batch(own).seen).square().mean().backward()
    assert all(weight.grad is not None for weight in own.head.parameters())
    assert all(weight.grad is None for weight in own.leave.parameters())


def test_the_loss_is_by_hand_with_every_term_on() -> None:
    own, seen = net().eval(), batch(net())
    with torch.no_grad():
        maps, made = own.heatmaps(seen.seen), own.reconstruct(own.latents(seen.seen))
        whole = float(poses.loss(own, seen, 0.5))
    apart = ((maps - seen.maps) ** 2 * seen.weights[..., None, None]).mean()
    latents = ((made - own.latents(seen.clean)) ** 2).mean()
    assert whole == pytest.approx(float(apart + 0.5 * latents), rel=1e-5)
    assert (seen.seen != seen.clean).any(dim=1).flatten(1).float().mean(dim=1).min() > 0.02  # each has a hole
    assert (seen.clean[:, :, 0] != seen.seen[:, :, 0]).float().mean() < 0.9


def test_mirrored_bodies_have_their_sides_exchanged() -> None:
    image = people(1)[0].fields["image"]
    joints = np.array(people(1)[0].fields["poses"][0]["joints"])
    turned, moved = poses._mirrored(image, joints.copy(), COCO_17)
    left, right = COCO_17.index("left_wrist"), COCO_17.index("right_wrist")
    assert moved[left, 0] == 47 - joints[right, 0]
    assert np.array_equal(turned[:, ::-1], image)


def test_arms_begin_alike_and_see_the_same() -> None:
    """All four have one head to begin with, and the same persons in the same order, changed alike."""
    card = yaml.safe_load(cards.file("sdpose-coco-ood").read_text())
    arms = card["params"]["embedded"]["trainers"]
    whole, scratch = arms["pose_reconstruction"], arms["scratch"]
    assert whole["reconstruction"] > 0
    assert whole["start"]
    assert scratch == {**whole, "start": ""}
    assert arms["pose"] == {**whole, "reconstruction": 0}
    assert arms["scratch_pose"] == {**scratch, "reconstruction": 0}
    one, other = job("poses"), job("poses", reconstruction=1.0)
    pairs = zip(poses._batches(one), poses._batches(other), strict=True)
    first = next(iter(pairs))
    assert [sample.key for sample, _ in first[0]] == [sample.key for sample, _ in first[1]]
    prior, _ = train_weights(job("denoiser", steps=2, batch_size=2))
    fresh = poses._steps.begun(job("poses")).state_dict()
    heads = [name for name in fresh if name.startswith("head.")]
    assert all(torch.equal(prior[name], fresh[name]) for name in heads)
    assert not torch.equal(prior["enter.weight"], fresh["enter.weight"])


def test_training_is_repeatable_and_both_tasks_learn() -> None:
    options = {"steps": 60, "reconstruction": 1.0, "hole": False}
    state, rows = train_weights(job("poses", **options))
    again, _ = train_weights(job("poses", **options))
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert [row[:2] for row in rows] == [(50, "train_loss"), (60, "train_loss"), (60, "val_loss")]
    trained, fresh = net(), net()
    trained.load_state_dict(state)
    seen = batch(trained)
    for task in (0.0, 1.0):
        with torch.no_grad():
            after, before = (float(poses.loss(one.eval(), seen, task)) for one in (trained, fresh))
        assert after < before


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(ParamsError, match="poses: extra_share is 2; expected 0 to 1"):
        train_weights(job("poses", extra_share=2.0))
    wrong = training_jobs.job("convnet", "poses", train=people())
    with pytest.raises(ModelError, match="model 'convnet' has no heatmaps; take a net of joints"):
        poses.train(wrong)
    nobody = job("poses")
    object.__setattr__(nobody, "samples", lambda _: [people(1)[0].with_field("poses", [])])
    with pytest.raises(ParamsError, match="no person of .* has a labelled joint"):
        poses.train(nobody)


def test_the_prior_learns_to_take_noise_away() -> None:
    own, random = net(), RandomStream(0, "a", "b", "c")
    images = torch.from_numpy(np.stack([s.fields["image"].transpose(2, 0, 1) for s in people()]))
    optimiser = torch.optim.Adam(own.parameters(), 0.01)
    before = float(denoiser.loss(own, images, random).detach())
    for step in range(40):
        value = denoiser.loss(own, images, RandomStream(0, "a", "b", str(step)))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert float(denoiser.loss(own, images, random).detach()) < before / 2


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    return request.param


def test_styles_keep_the_annotations_and_fade_in(style: str) -> None:
    sample = people(1)[0]
    whole = corrupt(sample, style, 5.0)
    assert whole.fields["poses"] == sample.fields["poses"]
    clean, drawn = (one.fields["image"].astype(int) for one in (sample, whole))
    for severity, part in ((1.0, 0.2), (3.0, 0.6)):
        found = corrupt(sample, style, severity).fields["image"]
        assert np.abs(found - ((1 - part) * clean + part * drawn)).max() <= 1.0


def test_a_woodblock_has_eight_inks_and_a_sketch_is_pale() -> None:
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    print_ = corrupt(image, "woodblock", 5.0)
    assert len(np.unique(print_.reshape(-1, 3), axis=0)) <= 8
    flat = np.full((30, 30, 3), 90, np.uint8)
    assert (corrupt(flat, "colour_sketch", 5.0) == (90 * 66 + 255 * 190) >> 8).all()
