"""OOD detection from Python: scores and metrics are those of the workflow, and mistakes are named."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import shiftbench
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError

DETECTORS = [name for name in registry.names("detectors") if "net" not in registry.find("detectors", name).NEEDS]
OF_NET = sorted(set(registry.names("detectors")) - set(DETECTORS))


def drawn(seed: int, n: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Features (n, 12), logits (n, 4) by a fixed head, labels (n,)."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    centres = fixed.normal(size=(4, 12)) * 2
    weight, bias = centres, -(centres**2).sum(axis=1) / 2  # the nearest centre
    labels = rng.integers(0, 4, n)
    features = np.maximum(centres[labels] + rng.normal(size=(n, 12)) + shift, 0)
    return {"features": features, "logits": features @ weight.T + bias, "labels": labels, "head": (weight, bias)}


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_of_logits_and_features_scores_arrays(name: str) -> None:
    train, known, other = drawn(1, 300), drawn(2, 120), drawn(3, 80, 3.0)
    options = {"k": 5} if name == "knn" else {}
    detector = shiftbench.Detector(name, head=train["head"], **options)
    detector.fit(**{key: train[key] for key in ("features", "logits", "labels")})
    scores = [detector.score(features=one["features"], logits=one["logits"]) for one in (known, other)]
    assert [len(one) for one in scores] == [120, 80]
    table = shiftbench.ood_metrics(*scores)
    truth = np.repeat([0, 1], [120, 80])
    assert table["value"][0] == pytest.approx(roc_auc_score(truth, np.concatenate(scores)), abs=1e-9)
    assert (table["ci_low"] <= table["value"]).all()
    assert (table["value"] <= table["ci_high"]).all()


@pytest.mark.parametrize("name", OF_NET)
def test_a_detector_of_the_network_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match="needs gradients or inner layers"):
        shiftbench.Detector(name)


def test_mistakes_are_named() -> None:
    data = drawn(0, 20)
    with pytest.raises(ParamsError, match="no option 'kk'; it has k"):
        shiftbench.Detector("knn", kk=3)
    with pytest.raises(ParamsError, match="is not fitted; call `fit`"):
        shiftbench.Detector("knn").score(features=data["features"])
    with pytest.raises(ParamsError, match="needs features"):
        shiftbench.Detector("knn").fit(logits=data["logits"])
    with pytest.raises(ParamsError, match=r"head=\(weight, bias\)"):
        shiftbench.Detector("vim").fit(features=data["features"], logits=data["logits"])
    with pytest.raises(ParamsError, match="equal n"):
        shiftbench.Detector("gradnorm").score(features=data["features"], logits=data["logits"][:3])
    with pytest.raises(ParamsError, match=r"expected shape \(20,\)"):
        shiftbench.Detector("mds").fit(features=data["features"], labels=[1, 2])
    with pytest.raises(ParamsError, match="id_scores: expected finite numbers"):
        shiftbench.ood_metrics([0.0, np.nan], [1.0])
    assert shiftbench.Detector("msp").score(logits=data["logits"]).shape == (20,)
