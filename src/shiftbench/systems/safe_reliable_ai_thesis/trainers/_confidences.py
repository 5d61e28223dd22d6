"""Confidence of models or people in each training sample: shares of classes, scores of samples, means of classes.

    model    probabilities of a model that a trainer made, of this seed, best on other samples: on its own ones an
             over-trained model is sure of all
    human    what people said: `meta.human`, a share for each class (CIFAR-10H); where the dataset has none, votes of
             `raters`, small models of several seeds, as a surrogate

The score of a sample, by which a curriculum ranks, is the model's probability of its class, or the standard deviation
of the people's shares, stretched to 0 to 1; higher is easier. The confidence of a class is the mean share of the class
over its samples.

Source: Ao et al., "Confidence-Aware Calibration and Scoring Functions for Curriculum Learning", 2023;
AoShuang92/Confidence_Calibration_CL, `main.py` (`get_threshold_confidence`, `get_threshold_scaler_ad_sample`), whose
class confidences are constants, written in.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob

Floats = NDArray[np.float64]
KINDS = ("model", "human")


class Options(declare.Options):
    judged_on: str = Field(
        "", description="data set that judge and raters learned from; empty: the one that is trained on"
    )
    judge: str = Field("erm", description="trainer of the model whose probabilities are used")
    raters: list[int] = Field([0, 1, 2, 3, 4], description="training seeds of the models that vote instead of people")
    rater: str = Field("erm", description="trainer of these models")
    rater_model: str = Field("convnet", description="architecture of these models")


def uses(params: Mapping[str, Any], kinds: set[str]) -> list[tuple[str, str]]:
    """The raters' model; the judge's is the model that is trained."""
    return [("models", params["rater_model"])] if "human" in kinds else []


def needs(params: Mapping[str, Any], kinds: set[str]) -> list[Ref]:
    """The checkpoints whose answers are the confidences of these kinds.

    Raises:
        ParamsError: judge and raters could not be told apart.
    """
    judge, raters = (params["model"], params["judge"]), (params["rater_model"], params["rater"])
    if kinds == set(KINDS) and judge == raters:
        raise ParamsError(f"judge and raters are both {'-'.join(judge)}; give one of them a trainer of another name")
    dataset = params["judged_on"] or params["dataset"]
    checkpoints = []
    if "model" in kinds:
        checkpoints.append(refs.checkpoint(dataset, params["model"], params["judge"], params["seed"]))
    if "human" in kinds:
        checkpoints += [
            refs.checkpoint(dataset, params["rater_model"], params["rater"], seed) for seed in params["raters"]
        ]
    return checkpoints


def shares(job: TrainJob, samples: list[Sample], kind: str) -> Floats:
    """The share of each class of each sample, float64 (n, K), rows that sum to 1.

    Raises:
        DataError: what people said is not one share for each class.
        ParamsError: there are no raters.
    """
    if kind == "model":
        (judge,) = _checkpoints(job, job.model, job.params["judge"])
        probabilities: Floats = softmax(_logits(job, judge, job.model, samples), axis=1)
        return probabilities
    human_labels = [(sample.fields.get("meta") or {}).get("human") for sample in samples]
    if all(label is not None for label in human_labels):
        return _checked(np.array(human_labels, dtype=np.float64), len(job.classes), job.dataset)
    raters = _checkpoints(job, job.params["rater_model"], job.params["rater"])
    if not raters:
        raise ParamsError(f"{job.dataset} holds no human labels, and raters is empty; name seeds")
    votes = [_logits(job, rater, job.params["rater_model"], samples).argmax(axis=1) for rater in raters]
    mean_votes: Floats = np.mean([np.eye(len(job.classes))[vote] for vote in votes], axis=0)
    return mean_votes


def scores(confidences: Floats, labels: NDArray[np.int64], kind: str) -> Floats:
    """Easiness of each sample, float64 (n,) in [0, 1]."""
    if kind == "model":
        own_confidence: Floats = confidences[np.arange(len(labels)), labels]
        return own_confidence
    spread: Floats = confidences.std(axis=1)
    stretched: Floats = (spread - spread.min()) / max(float(np.ptp(spread)), 1e-12)
    return stretched


def of_classes(confidences: Floats, labels: NDArray[np.int64]) -> Floats:
    """The confidence of each class, float64 (K,), NaN of one without a sample."""
    own_confidences = confidences[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=confidences.shape[1])
    with np.errstate(invalid="ignore"):
        return np.bincount(labels, own_confidences, confidences.shape[1]) / counts


def _checkpoints(job: TrainJob, model: str, trainer: str) -> list[Ref]:
    """The job's checkpoints of a model and a trainer, by seed."""
    checkpoints = [ref for ref in job.inputs if ref.kind == "checkpoints"]
    names = [(CheckpointName.of(ref), ref) for ref in checkpoints]
    return [ref for name, ref in sorted(names) if (name.model, name.trainer) == (model, trainer)]


def _logits(job: TrainJob, checkpoint: Ref, model: str, samples: list[Sample]) -> Floats:
    module, file = registry.find("models", model), job.inputs[checkpoint]
    params = job.model_params if model == job.model else {**registry.defaults(module), **_shared(job, module)}
    predict = nets.load_predictor(module, file, params, nets.classes_of(file), job.device)
    parts = [predict(samples[low : low + 256])["logits"] for low in range(0, len(samples), 256)]
    return np.concatenate(parts).astype(np.float64)


def _shared(job: TrainJob, module: Any) -> dict[str, Any]:
    """The options that a rater's model has from the trained one: the size of its input."""
    return {k: v for k, v in job.model_params.items() if k == "size" and k in registry.defaults(module)}


def _checked(human_shares: Floats, classes: int, dataset: str) -> Floats:
    if human_shares.shape[1:] != (classes,) or not np.allclose(human_shares.sum(axis=1), 1, atol=1e-3):
        raise DataError(
            f"{dataset}: `meta.human` has shape {human_shares.shape}; expected a share of each of {classes} classes, "
            "which sum to 1"
        )
    return human_shares
