"""MultiOOD's nets, views, records of each modality, detectors of slices, and the loaders of full scale."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.special import logsumexp, softmax

from makers.miniature_originals import multiood_features as miniature
from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors import ash_b, knn, mds, react, vim
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.plugins.trainers import _loop, searched
from shiftbench.systems.multiood.analyses import modality_disagreement
from shiftbench.systems.multiood.datasets import _views, multiood_features
from shiftbench.systems.multiood.detectors import ash_b_modalities, knn_on_val, mds_on_val, react_modalities, vim_on_val
from shiftbench.systems.multiood.methods import modality_head
from shiftbench.systems.multiood.models import _released, action_net, modal_cnn
from shiftbench.systems.multiood.tasks import modalities
from shiftbench.systems.multiood.trainers import a2d, released_multiood
from shiftbench.workflow.plan import cards

THREE: dict[str, Any] = {**defaults(modal_cnn), "modalities": ["rgb", "shape", "profile"]}


def seen(count: int = 5) -> list[Sample]:
    return list(_views.make_views(training_jobs.pictures(count)))


def test_views_are_the_means_the_gradients_and_the_projections() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    (sample,) = _views.make_views([Sample("a/b", {"image": image, "label": 1})])
    framed = np.pad(image.astype(float), 1, mode="edge")
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    for y, x in np.ndindex(image.shape):
        around = framed[y : y + 3, x : x + 3]
        size = np.hypot((around * kernel).sum(), (around * kernel.T).sum()) / 4
        assert sample.fields["shape"][y, x] == min(int(size), 255)
        corner = image[y // 2 * 2 :, x // 2 * 2 :][:2, :2].astype(int)
        assert sample.fields["rgb"][y, x] == (corner.sum() + 2) // 4
    assert sample.fields["profile"].tolist() == [*(image.astype(int).sum(1) // 8), *(image.astype(int).sum(0) // 6)]


def test_a_preview_shows_an_image_and_no_features() -> None:
    assert set(modalities.shown(seen(1)[0])) == {"label", "png"}
    assert set(modalities.shown(Sample("x/1", {"label": 1, "rgb": np.zeros(3)}))) == {"label"}


def test_each_modality_reads_its_field_and_its_slice() -> None:
    net: Any = modal_cnn.build(THREE, 4).eval()
    batch = nets.prepare(modal_cnn, seen(), THREE)
    x = nets.to_inputs(batch, torch.device("cpu"))
    features = net.features(x)
    for at, name in enumerate(net.names):
        other = net.features({**x, name: 255 - x[name]})
        changed = (features != other).any(0)
        assert bool(changed[64 * at : 64 * at + 64].any())
        assert not bool(torch.cat([changed[: 64 * at], changed[64 * at + 64 :]]).any())
        assert torch.equal(net.alone(features)[at], net.heads[name](features[:, 64 * at : 64 * at + 64]))
    with pytest.raises(ParamsError, match="sound"):
        modal_cnn.build({**THREE, "modalities": ["sound"]}, 4)


def test_the_method_records_what_each_modality_says() -> None:
    net: Any = modal_cnn.build(THREE, 4)
    predictor = nets.TorchPredictor(net, modal_cnn, THREE, "cpu")
    whole = predictor(seen())
    for at, name in enumerate(THREE["modalities"]):
        found = modality_head.wrap(predictor, {"modality": name}, {})(seen())
        own = whole["features"][:, 64 * at : 64 * at + 64]
        assert np.array_equal(found["features"], own)
        head = net.heads[name]
        expected = own @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        assert np.allclose(found["logits"], expected, atol=1e-5)
    with pytest.raises(ParamsError, match="flow"):
        modality_head.wrap(predictor, {"modality": "flow"}, {})


def test_the_disagreement_is_read_from_records_of_all_pairs() -> None:
    random, keys = np.random.default_rng(3), ["t/0", "t/1"]
    logits = {head: random.normal(0, 2, (2, 4)).astype(np.float32) for head in "abc"}
    params = {"checkpoints": ["d/m-t-s0"], "heads": list("abc"), "ood": ["far"], "dataset": "d", "split": "test"}
    tables = {
        ref.name: pa.table({"key": keys, "label": pa.array([1, 3], pa.int32()), "logits": list(logits[ref.parts[2]])})
        for ref in modality_disagreement.needs(params)
    }
    job: Any = SimpleNamespace(params=params, records=lambda ref: tables[ref.name])
    found = {(row.metric, row.dataset, row.key): row.value for row in modality_disagreement.measure(job)}
    assert len(found) == 6  # two samples: L1 of both sets, Hellinger of the known one
    p = [softmax(one.astype(float), axis=1) for one in logits.values()]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert found["modality_l1", "far", "t/1"] == pytest.approx(
        np.mean([np.abs(p[i][1] - p[j][1]).sum() for i, j in pairs])
    )
    q = [softmax(np.delete(one[0].astype(float), 1)) for one in logits.values()]
    expected = np.mean([np.sqrt(((np.sqrt(q[i]) - np.sqrt(q[j])) ** 2).sum() / 2) for i, j in pairs])
    assert found["modality_hellinger", "d", "t/0"] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ParamsError, match="two methods"):
        modality_disagreement.needs({**params, "heads": ["a"]})


def test_model_are_chosen_on_validation_ood_of_several_modalities(tmp_path: Path) -> None:
    grey = [Sample(f"grey/{n:02d}", {"image": np.full((28, 28), 90 + n, np.uint8), "label": 0}) for n in range(8)]
    sets, inputs = {"tiny": seen(8), "grey": list(_views.make_views(grey))}, {}
    for name, samples in sets.items():
        (folder := tmp_path / name).mkdir()
        about = {"dataset": name, "split": "val", "task": "modalities", "classes": ["a"]}
        fields = {name: modalities.FIELDS[name] for name in samples[0].fields}
        shards.write(samples, folder, fields, about, 10**7)
        inputs[refs.shards(name, "val")] = folder / "manifest.json"
    areas = []
    for number in range(3):
        torch.manual_seed(number)
        net = modal_cnn.build(defaults(modal_cnn), 4)
        file = training_jobs.write(tmp_path / f"{number}.safetensors", net.state_dict())
        inputs[refs.checkpoint("tiny", "modal_cnn", str(number), 0)] = file
        predictor = nets.TorchPredictor(net, modal_cnn, dict(defaults(modal_cnn)), "cpu")
        low, high = (-logsumexp(predictor(sets[name])["logits"], axis=1) for name in sets)
        areas.append(float((low[:, None] < high).mean()))
    options = {"among": ["0", "1", "2"], "val_ood": ["grey"], "detector": "energy"}
    job: Any = training_jobs.job("modal_cnn", "searched", inputs=inputs, **options)
    searched.train(job)
    assert "modalities" in searched.TASKS
    assert [value for _, name, value in job.rows if name == "auroc"] == pytest.approx(areas)
    assert [int(value) for _, name, value in job.rows if name == "chosen"] == [np.argmax(areas)]


# --- detectors --------------------------------------------------------------------------------------


def rows(count: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    head = Head(np.random.default_rng(9).normal(size=(4, 30)), np.zeros(4))
    features = np.maximum(random.normal(size=(count, 30)) * np.repeat([1, 9], [20, 10]), 0).astype(np.float32)
    logits = head(features).astype(np.float32)
    labels = np.arange(count, dtype=np.int32) % 4
    table = pa.table(
        {"key": [str(n) for n in range(count)], "label": labels, "prediction": logits.argmax(1).astype(np.int32)}
    )
    return Rows(table, features, logits, head)


KNOWN, SOME = Known({"train": rows(300, 0), "val": rows(100, 1)}), rows(20, 2)


def test_clipping_and_shaping_are_of_each_modality_by_the_released_rules() -> None:
    params = {"percentile": 90.0, "widths": "20 10"}
    x, val = SOME.features.astype(float), KNOWN.val.features
    limits = [np.percentile(val[:, :20].flatten(), 90), np.percentile(val[:, 20:].flatten(), 90)]
    clipped = np.minimum(x, np.repeat(limits, [20, 10]))
    found = react_modalities.score(SOME, react_modalities.fit(KNOWN, params), params)
    assert np.allclose(found, -logsumexp(SOME.head(clipped), axis=1), atol=1e-4)
    shaped = np.zeros_like(x)
    for low, high in ((0, 20), (20, 30)):
        for row, out in zip(x[:, low:high], shaped[:, low:high], strict=True):
            k = (high - low) - round((high - low) * 0.9)
            out[np.argsort(-row, kind="stable")[:k]] = row.sum() / k
    assert np.allclose(ash_b_modalities.score(SOME, None, params), -logsumexp(SOME.head(shaped), axis=1), atol=1e-4)
    whole = {"percentile": 90.0, "widths": ""}
    assert np.array_equal(
        react_modalities.score(SOME, react_modalities.fit(KNOWN, whole), whole),
        react.score(SOME, react.fit(KNOWN, whole), whole),
    )
    assert np.array_equal(ash_b_modalities.score(SOME, None, whole), ash_b.score(SOME, None, whole))
    assert not np.allclose(found, react.score(SOME, react.fit(KNOWN, whole), whole))
    with pytest.raises(ParamsError, match="30 together"):
        ash_b_modalities.score(SOME, None, {**params, "widths": "20 9"})


@pytest.mark.parametrize(("ours", "core"), [(knn_on_val, knn), (mds_on_val, mds), (vim_on_val, vim)])
def test_kinetics_detectors_are_fitted_on_val(ours: Any, core: Any) -> None:
    params, val = dict(defaults(ours)), Known({"val": KNOWN.val})
    found = ours.score(SOME, ours.fit(val, params), params)
    expected = core.score(SOME, core.fit(Known({"train": KNOWN.val}), params), params)
    assert np.array_equal(found, expected)
    assert not np.allclose(found, core.score(SOME, core.fit(KNOWN, params), params))


# --- full scale -------------------------------------------------------------------------------------


def test_released_lists_have_the_lengths_that_are_checked(tmp_path: Path) -> None:
    counts = {name: tuple(listed.counts.values()) for name, listed in multiood_features.SETS.items()}
    assert counts["hmdb_near"] == (2074, 445, 459)
    assert counts["hmdb_near_ood"] == (3744,)
    assert counts["ucf_near"] + counts["ucf_near_ood"] == (4669, 1005, 1030, 6616)
    assert counts["kinetics_near"] + counts["kinetics_near_ood"] == (22549, 4773, 4902, 10000)
    assert counts["epic_near"] + counts["epic_near_ood"] == (2484, 531, 536, 1320)
    assert counts["hmdb_far_ucf"] == (1351,)  # its last line has no end
    assert counts["hmdb_far"] + counts["kinetics_far"] == (3953, 843, 877, 40048, 8463, 8694)
    _, params = miniature(tmp_path)
    given = {**defaults(multiood_features), **params, "counts": True}
    with pytest.raises(DataError, match="lists 12 videos of hmdb_near, expected 2074"):
        next(multiood_features.samples("train", {}, given))
    wanted = multiood_features.wants("train", given)
    assert any("2,074 videos" in what for what in wanted.values())
    assert not multiood_features.wants("train", {**given, "set": "hmdb_near_ood"})


def test_a_miniature_is_trained_scored_and_lacks_are_named(tmp_path: Path) -> None:
    _, params = miniature(tmp_path)
    given = {**defaults(multiood_features), **params}
    samples = list(multiood_features.samples("train", {}, given))
    assert len(samples) == 12
    assert {sample.fields["label"] for sample in samples if isinstance(sample, Sample)} == {0, 1}
    outside = next(multiood_features.samples("test", {}, {**given, "set": "hmdb_near_ood"}))
    assert isinstance(outside, Sample)
    assert outside.key.startswith("multiood_features/hmdb/brush_hair/eval!")
    batch = nets.prepare(action_net, samples, {"modalities": ["flow"]})  # type: ignore[arg-type]
    assert batch["flow"].dtype == np.float32
    assert batch["flow"].shape == (12, 1024, 1, 2, 2)
    next((tmp_path / "multiood/features/hmdb/brush_hair").glob("train*_3.flow.npy")).unlink()
    errors = [one for one in multiood_features.samples("train", {}, given) if isinstance(one, DataError)]
    assert len(errors) == 1
    with pytest.raises(DataError, match="expected 1024 channels"):
        nets.prepare(action_net, [Sample("a", {"flow": np.zeros((3, 1, 2, 2))})], {"modalities": ["flow"]})


def test_lists_of_epic_and_hac_are_read_and_pickles_with_classes_refused(tmp_path: Path) -> None:
    splits = tmp_path / "EPIC-rgb-flow/splits"
    splits.mkdir(parents=True)
    rows_ = [("P22_10", 18940, 19042, "00:05:15.67", "00:05:17.37", label) for label in (3, 1)]
    file = splits / "D3_test_near_ood.pkl"
    file.write_bytes(pickle.dumps(rows_))
    features = tmp_path / "features/epic"
    features.mkdir(parents=True)
    np.save(features / "P22_10_18940_19042.audio.npy", np.zeros((256, 2, 2), np.float32))
    given = {
        **defaults(multiood_features),
        "root": str(tmp_path),
        "set": "epic_near",
        "fields": ["audio"],
        "counts": False,
    }
    found = {s.key: s.fields["label"] for s in multiood_features.samples("test", {}, given) if isinstance(s, Sample)}
    key = "multiood_features/epic/P22_10_18940_19042"
    assert found == {key: 3, f"{key}_2": 1}  # the released lists name some videos twice
    file.write_bytes(pickle.dumps([Path("a")]))
    with pytest.raises(DataError, match="it names pathlib"):
        list(multiood_features.samples("test", {}, given))
    hac = tmp_path / "HMDB-rgb-flow/splits"
    hac.mkdir(parents=True)
    for name in multiood_features.SETS["hac_far"].lists["test"]:
        (tmp_path / name).write_text(f"{Path(name).stem}-1.mp4,5\n")
    lacking = list(multiood_features.samples("test", {}, {**given, "set": "hac_far"}))
    assert len(lacking) == 6
    assert "features/hac/animal/HAC_test_only_animal-1.audio.npy" in str(lacking[0])


def test_pretrained_stages_and_a_released_checkpoint_load(tmp_path: Path) -> None:
    params = {"modalities": ["audio", "flow"]}
    job = training_jobs.job("action_net", "released_multiood", model_params=params)
    net: Any = _loop.fresh_net(job)
    own = net.state_dict()
    stages = {n: t + 1 for n, t in own.items() if n.startswith("branches.flow.")}
    official = {n.replace("branches.flow.stages.flow.", "backbone.layer4."): t for n, t in stages.items()}
    head = {"cls_head.fc_cls.weight": torch.zeros(400, 2048), "cls_head.fc_cls.bias": torch.zeros(400)}
    torch.save(
        {"state_dict": {**official, **head, "backbone.conv1.conv.weight": torch.zeros(2)}},
        tmp_path / "slowonly_r50.pth",
    )
    sound = {
        n.replace("branches.audio.stages.audio.", "audnet.layer4."): t + 2
        for n, t in own.items()
        if "audio.stages" in n
    }
    torch.save(
        {"model_state_dict": {**sound, "audnet.fc.weight": torch.zeros(309, 512)}},
        tmp_path / "vggsound_avgpool.pth.tar",
    )
    files = f"{tmp_path / 'slowonly_r50.pth'}::{tmp_path / 'vggsound_avgpool.pth.tar'}"
    fresh = {name: tensor.clone() for name, tensor in own.items()}
    _released.start(net, _released.read(files), files)
    moved = {"flow": 1, "audio": 2}
    for name, tensor in net.state_dict().items():
        added = moved[name.split(".")[1]] if name.startswith("branches.") else 0
        assert torch.equal(tensor, fresh[name] + added), name
    with pytest.raises(ModelError, match=r"branches\.audio.* is missing"):
        _released.start(net, _released.read(str(tmp_path / "slowonly_r50.pth")), "one")
    whole = {
        "epoch": 3,
        "model_flow_state_dict": {
            **{f"module.{name}": tensor for name, tensor in official.items()},
            "module.cls_head.fc_cls.weight": own["heads.flow.weight"] + 3,
            "module.cls_head.fc_cls.bias": own["heads.flow.bias"],
        },
        "audio_cls_model_state_dict": {
            **{n.replace("audnet.", ""): t for n, t in sound.items()},
            "fc.weight": own["heads.audio.weight"],
            "fc.bias": own["heads.audio.bias"],
        },
        "mlp_cls_state_dict": {"enc_net.weight": own["head.weight"] + 4, "enc_net.bias": own["head.bias"]},
    }
    torch.save(whole, tmp_path / "released.pt")
    job.params["path"] = str(tmp_path / "released.pt")
    state = released_multiood.train(job)
    assert torch.equal(state["head.weight"], own["head.weight"] + 4)
    assert torch.equal(state["heads.flow.weight"], own["heads.flow.weight"] + 3)
    torch.save({"state_dict": {"conv.weight": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="no tensor of MultiOOD"):
        _released.read(str(tmp_path / "other.pt"))


def test_widths_and_order_of_modalities_are_the_released_ones() -> None:
    with torch.device("meta"):
        net: Any = action_net.build({"modalities": ["rgb", "audio", "flow"], "dropout": 0.5}, 129)
    assert net.widths == (2304, 512, 2048)
    assert net.head.weight.shape == (129, 4864)
    shapes = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    assert shapes["branches.rgb.stages.rgb.0.conv1.conv.weight"] == (512, 1280, 3, 1, 1)
    assert shapes["branches.rgb.stages.fast.0.conv1.conv.weight"] == (64, 128, 3, 1, 1)
    assert shapes["branches.flow.stages.flow.2.conv3.conv.weight"] == (2048, 512, 1, 1, 1)
    assert defaults(registry.find("optimizers", "adam"))["eps"] == 1e-8
    assert defaults(a2d)["bank"] == 65


def test_a2d_alone_trains_50_epochs_on_epic_as_released() -> None:
    (weights,) = cards.load("multiood").params["full"]["benchmarks"]["epic_near"]["models"]
    assert "a2d_50" in weights["trainers"]
