"""Titles of models and of other names, as pages write them."""

import pytest

from shiftbench.report import titles
from shiftbench.report.titles import Titles

KNOWN = Titles({"trainers": {"augmix": "AugMix", "linear_probe": "linear probe"}, "datasets": {"mnist": "MNIST"}})


@pytest.mark.parametrize(
    ("model", "method", "title"),
    [
        ("clothes/convnet-erm", "plain", "ConvNet"),
        ("clothes/convnet-augmix", "plain", "ConvNet + AugMix"),
        ("clothes/vit-augmix-s1", "tent", "ViT + AugMix + TENT, seed 1"),
        ("mnist/vit-erm", "plain", "ViT, trained on MNIST"),
        ("clothes/mine-given", "plain", "Mine"),
    ],
)
def test_a_model_is_its_architecture_with_its_trainer(model: str, method: str, title: str) -> None:
    assert KNOWN.models([(model, method)], "clothes") == {(model, method): title}


def test_a_baseline_trainer_is_named_where_its_title_is_stated() -> None:
    stated = Titles({"trainers": {"erm": "ERM"}})
    assert stated.models([("d/convnet-erm", "plain")], "d") == {("d/convnet-erm", "plain"): "ConvNet + ERM"}


def test_models_with_equal_titles_are_told_apart_by_their_names() -> None:
    models = [("d/vit-erm-s0", "plain"), ("d/vit-given-s0", "plain"), ("d/convnet-erm", "plain")]
    shown = Titles().models(models, "d").values()
    assert list(shown) == ["ViT (vit-erm), seed 0", "ViT (vit-given), seed 0", "ConvNet"]


@pytest.mark.parametrize(
    ("plugin_type", "name", "title"),
    [
        ("shifts", "gaussian_noise", "Gaussian noise"),
        ("shifts", "fog+char_noise", "Fog + Char noise"),
        ("detectors", "fdbd", "fDBD"),
        ("datasets", "my_mnist", "My MNIST"),
        ("trainers", "outlier_exposure", "outlier exposure"),
    ],
)
def test_a_title_follows_from_a_name(plugin_type: str, name: str, title: str) -> None:
    assert titles.from_name(plugin_type, name) == title
    assert Titles().of(plugin_type, name) == title
