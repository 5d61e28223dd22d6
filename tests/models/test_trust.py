"""Models of strangers: what needs trust says so, and nothing else can run code, whatever is in the file."""

import contextlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.registry import defaults
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _given

RAN = Path("ran")


class Evil:
    """A pickle that makes a file where it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str, int]]:
        return os.open, (str(RAN.absolute()), os.O_CREAT)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(content: object, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


def evil() -> list[bytes]:
    """Return files that run code where they are unpickled: plain pickles, torch's new and old files, an array's."""
    content = {"state_dict": {"head.weight": torch.zeros(2), "x": Evil()}}
    plain = [pickle.dumps(Evil(), protocol) for protocol in range(6)]
    files = [*plain, *(saved(one, _use_new_zipfile_serialization=new) for one in (content, Evil()) for new in (0, 1))]
    array = io.BytesIO()
    np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
    return [*files, array.getvalue()]


def test_these_files_do_run_code_where_nobody_is_careful() -> None:
    careless = [
        pickle.loads,
        lambda data: torch.load(io.BytesIO(data), weights_only=False),
        lambda data: np.load(io.BytesIO(data), allow_pickle=True),
    ]
    for data in evil():
        for read in careless:
            with contextlib.suppress(Exception):
                read(data)
        assert RAN.exists()
        RAN.unlink()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(registry.names("models")))
def test_no_model_that_needs_no_trust_runs_what_is_in_a_file(here: Path, name: str) -> None:
    """Every model with a `path`, under every suffix that one of them reads."""
    module = registry.find("models", name)
    if "path" not in defaults(module) or hasattr(module, "RUNS_CODE"):
        return
    for number, data in enumerate(evil()):
        for suffix in ("pt", "safetensors", "onnx", "csv", "parquet", "json", "bin"):
            file = here / f"{number}.{suffix}"
            file.write_bytes(data)
            params = {**defaults(module), "path": str(file)}
            weights = training_jobs.write(here / "w.safetensors", _given.state(str(file)))
            for run in (
                lambda m=module, p=params: m.pretrained(p, {}),
                lambda m=module, p=params, w=weights: m.load(w, p, ("a", "b"), "cpu", {}),
                lambda f=file: nets.read_state(f),
            ):
                with contextlib.suppress(Exception):
                    run()
            assert not RAN.exists(), (name, suffix, number)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(12, 2)
        self.register_buffer("shift", torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1) + self.shift)


def exported(file: Path) -> None:
    shape = ({0: torch.export.Dim("n", min=1)},)
    program = torch.export.export(Net(), (torch.zeros(2, 3, 2, 2),), dynamic_shapes=shape)
    torch.export.save(program, file)


def repacked(source: Path, target: Path, **members: bytes) -> None:
    """Write an archive again with other members, by the end of their names."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            ends = [end for end in members if name.endswith(end)]
            new.writestr(name, members[ends[0]] if ends else old.read(name))
        top = old.namelist()[0].partition("/")[0]
        for name in members:
            if name.startswith("data/") and not any(one.endswith(name) for one in old.namelist()):
                new.writestr(f"{top}/{name}", members[name])


def opened(file: Path, **options: Any) -> Any:
    module = registry.find("models", "torch_export")
    params = {**defaults(module), "path": str(file), "trust": True, "size": 2, "crop": 1.0, **options}
    weights = training_jobs.write(file.with_name("w.safetensors"), _given.state(str(file)))
    return module.load(weights, params, ("a", "b"), "cpu", {})


@pytest.mark.filterwarnings("ignore")
def test_a_pickle_in_an_exported_program_does_not_run(here: Path) -> None:
    """Wherever it lies in the archive; without it the program answers."""
    exported(here / "good.pt2")
    assert opened(here / "good.pt2")(training_jobs.pictures(3, colour=True))["logits"].shape == (3, 2)
    with zipfile.ZipFile(here / "good.pt2") as archive:
        names = archive.namelist()
        config = archive.read(next(n for n in names if n.endswith("weights_config.json"))).decode()
        constants = archive.read(next(n for n in names if n.endswith("constants_config.json"))).decode()
    pickled = config.replace('"use_pickle": false', '"use_pickle": true').encode()
    assert pickled != config.encode()
    opaque = constants.replace(
        "{}", '{"x": {"path_name": "opaque_obj_0", "is_param": false, "use_pickle": true, "tensor_meta": null}}'
    )
    for data in evil():
        for members in (
            {"sample_inputs/model.pt": data},
            {"weights_config.json": pickled, "weight_0": data, "weight_1": data},
            {"constants_config.json": opaque.encode(), "data/constants/opaque_obj_0": data},
            {"constants_config.json": opaque.replace("opaque", "custom").encode(), "data/constants/custom_obj_0": data},
            {"data/aotinductor/model/x.so": data},
        ):
            repacked(here / "good.pt2", here / "bad.pt2", **members)
            with pytest.raises(ModelError, match=r"bad\.pt2 (is refused|cannot be read)"):
                opened(here / "bad.pt2")
            assert not RAN.exists(), members
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize("name", ["torchscript", "torch_export", "callable"])
def test_what_can_run_code_is_not_opened_without_trust(here: Path, name: str) -> None:
    file = here / "m.py"
    file.write_text("open('ran', 'w')\ndef predict(samples): ...\n")
    module = registry.find("models", name)
    path = f"{file}:predict" if name == "callable" else str(file)
    weights = training_jobs.write(here / "w.safetensors", _given.state(path))
    for run in (
        lambda p: module.load(weights, p, ("a", "b"), "cpu", {}),
        lambda p: getattr(module, "pretrained", module.load)(
            *((p, {}) if name == "callable" else (weights, p, (), "cpu", {}))
        ),
    ):
        with pytest.raises(ModelError, match=r"is refused: .*`trust: true` at the model"):
            run({**defaults(module), "path": path})
    assert not RAN.exists()
