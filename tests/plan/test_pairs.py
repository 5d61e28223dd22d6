"""What goes together, drawn: every part of the package on every task, and nets that are looked into."""

from typing import Any

import pytest

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.workflow.plan import params_pairs
from shiftbench.workflow.plan.params import Params

DATASETS = {
    "audio_visual": "espeak_sentences",
    "classification": "fashion_mnist",
    "detection": "photo_boxes",
    "few_shot_classification": "fashion_pairs",
    "few_shot_regression": "sinusoid_tasks",
    "forgery": "forged_fashion_mnist",
    "free_text": "chain_arithmetic",
    "generation": "human_eval",
    "keypoints": "capsule_bodies",
    "language_modelling": "fineweb_edu",
    "modalities": "fashion_views",
    "ranking": "lee_news",
    "table_question": "wikipedia_claims",
    "text_classification": "vader_amazon",
    "visual_question": "vqa_lite",
}
MODELS = {
    "audio_visual": "mouth_regressor",
    "classification": "convnet",
    "detection": "centre_points",
    "few_shot_classification": "maml_convnet",
    "few_shot_regression": "maml_mlp",
    "forgery": "forgery_net",
    "free_text": "decoder",
    "generation": "code_llm",
    "keypoints": "blazepose",
    "language_modelling": "llama",
    "modalities": "modal_cnn",
    "ranking": "bm25",
    "table_question": "table_grammar",
    "text_classification": "tfidf",
    "visual_question": "vqa_cnn_gru",
}


def check(task: str, weights: dict[str, Any] | None = None, **benchmark: Any) -> None:
    asked = {"architectures": [MODELS[task]], "trainers": ["given"], **(weights or {})}
    content = {"dataset": DATASETS[task], "models": [asked], **benchmark}
    place = {"fineweb_edu": {"path": "texts"}}
    params = Params.model_validate({"datasets": place, "benchmarks": {"c": content}})
    params_pairs.check("p.yaml", params)


def test_each_task_is_drawn() -> None:
    tasks = registry.names("tasks")
    assert list(DATASETS) == list(MODELS) == tasks
    assert [registry.find("datasets", name).TASK for name in DATASETS.values()] == tasks
    assert [registry.find("models", name).TASK for name in MODELS.values()] == tasks
    for task in tasks:
        check(task)


@pytest.mark.parametrize("task", DATASETS)
@pytest.mark.parametrize("family", ["trainers", "methods"])
def test_a_part_of_other_tasks_is_refused(family: str, task: str) -> None:
    key = f"p.yaml: benchmarks.c.models.0.{family}"
    for name in registry.names(family):
        part = registry.find(family, name)
        if task in getattr(part, "TASKS", (task,)):
            if "net" not in getattr(part, "NEEDS", ()):
                check(task, {family: [name]})
            continue
        with pytest.raises(ParamsError) as refused:
            check(task, {family: [name]})
        said = str(refused.value)
        assert said.startswith(f"{key}: {name!r} is for {part.TASKS[0]}"), said
        fitting = said.rpartition("for it: ")[2].split(", ")
        assert fitting
        assert name not in fitting


@pytest.mark.parametrize("task", DATASETS)
def test_a_model_of_another_task_is_refused(task: str) -> None:
    for name in registry.names("models"):
        other = registry.find("models", name).TASK
        if other != task:
            with pytest.raises(ParamsError, match=rf"models\.0\.architectures: '{name}' is of the task"):
                check(task, {"architectures": [name]})


@pytest.mark.parametrize("task", DATASETS)
def test_detectors_score_logits(task: str) -> None:
    if task in ("classification", "forgery", "modalities", "text_classification", "visual_question"):
        check(task, detectors=["msp"])
        return
    with pytest.raises(ParamsError, match=r"c\.detectors: 'msp' scores logits, which records of"):
        check(task, detectors=["msp"])


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (family, name)
        for family in ("methods", "detectors")
        for name in registry.names(family)
        if "net" in getattr(registry.find(family, name), "NEEDS", ())
        and "classification" in getattr(registry.find(family, name), "TASKS", ("classification",))
    ],
)
def test_no_black_box_is_looked_into(family: str, name: str) -> None:
    asked: dict[str, Any] = {family: [name]}
    if family == "detectors":
        asked["ood"] = ["mnist"]
    check("classification", **asked)
    for model in ("onnx", "predictions", "torchscript"):
        with pytest.raises(ParamsError, match=rf"'{name}' of {family} looks into a torch net"):
            check("classification", {"architectures": ["convnet", model]}, **asked)


def test_pixels_of_a_mask_stay_where_they_are() -> None:
    check("forgery", shifts=["jpeg_compression", "downscale", "gaussian_noise"])
    for name in ("rotate", "jpeg_compression+translate"):
        with pytest.raises(ParamsError, match="moves pixels, and the mask of forgery stays where"):
            check("forgery", shifts=[name])
