"""`shiftbench.evaluate`: what a net is fed is what was asked for, and it says so."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shiftbench import evaluate
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.workflow.tools import evaluate_own


class Recorder(torch.nn.Module):
    """Keeps what it is fed, and answers with zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return x.new_zeros(len(x), 4)


def written(folder: Path, samples: list[Sample]) -> Path:
    about: dict[str, Any] = {"dataset": "tiny", "split": "test", "shift": "identity", "severity": 0.0}
    about |= {"task": "classification", "classes": list("abcd")}
    folder.mkdir(exist_ok=True)
    shards.write(samples, folder, {"image": "png", "label": "cls"}, about, 10**6)
    return folder


@pytest.mark.parametrize("colour", [False, True])
def test_a_net_is_fed_what_is_asked_for_and_told(
    tmp_path: Path, colour: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prepared by mean, std and transform, arrays are those of torchvision's own; what does not fit is refused."""
    from torchvision.transforms import v2

    samples = training_jobs.pictures(8, colour=colour)
    images = np.stack([np.atleast_3d(sample.fields["image"]) for sample in samples])
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    channels = scaled.shape[1]
    mean, std = [0.2, 0.3, 0.4][:channels], [0.5, 0.6, 0.7][:channels]
    folder = written(tmp_path, samples)
    for transform, side in ((None, 28), (v2.Resize(14), 14), (lambda x: x.flip(3), 28)):
        net = Recorder()
        evaluate(net, folder, mean=mean, std=std, transform=transform)
        expected = v2.Normalize(mean, std)(scaled if transform is None else transform(scaled))
        assert torch.allclose(net.seen[0], expected, atol=1e-6)
        assert f"the model gets float32 (n, {channels}, {side}, {side})" in capsys.readouterr().err
    for name in ("mean", "std"):
        with pytest.raises(ParamsError, match=rf"{name} has 2 numbers, and the pictures have {channels} ch"):
            evaluate(net, folder, **{name: [0.5] * 2})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=rf"model refuses its input: .* Input: float32 \(n, {channels}, 28, 28\)"):
        evaluate(torch.nn.Conv2d(7, 4, 3), folder)
    fed = evaluate_own._prepared(net, None, None, None)
    with pytest.raises(ModelError, match=r"different shapes cannot be one batch: \(14, 28, .\), \(28, 28, .\)"):
        fed([samples[0], samples[1].with_field("image", samples[1].fields["image"][:14])])


def test_a_net_that_guesses_on_clean_pictures_is_told_of(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Not one that knows, and not where a handful of samples tells nothing."""
    many, few = (written(tmp_path / str(n), training_jobs.pictures(n)) for n in (40, 8))
    for folder in (many, few):
        evaluate(lambda samples: np.eye(4)[[s.fields["label"] for s in samples]], folder)
    evaluate(lambda samples: np.eye(4)[[0 for _ in samples]], few)
    assert not recwarn
    with pytest.warns(UserWarning, match=r"accuracy 25.0% is that of guessing among 4 classes\. .*mean= and std="):
        evaluate(lambda samples: np.eye(4)[[0 for _ in samples]], many)
