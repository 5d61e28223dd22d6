"""Shifts that are applied while clean shards are read: the records and digests of stored shards, or a refusal."""

import contextlib
import functools
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from makers import forgeries, planned_benchmark
from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import apply_torch
from shiftbench.evaluation.apply_shift import Shifter
from shiftbench.evaluation.apply_torch import OnDevice, on_device
from shiftbench.evaluation.onthefly import OnTheFly, read_golden
from shiftbench.plugins.tasks import classification
from shiftbench.provenance import recipe
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import shift, train, verbs

STAGES = {"shift": shift.run, "train": train.run, "evaluate": functools.partial(verbs.evaluate, device="cpu")}
RECORDS = Ref("records", "shapes/perceptron-mixup-s0/plain/shapes/test/bright/2.5")
GOLDEN = Ref("previews", "shapes/test/bright/2.5")
SHARDS = Ref("shards", "shapes/test/bright/2.5")
ONE = {"benchmarks__small__models": [{"architectures": ["perceptron"], "trainers": ["mixup"]}]}
WHILE_READING = {"shifts__bright__materialise": False, **ONE}


def make(home: Path, **over: Any) -> Plan:
    """Plan in `home` and run the jobs until there are records."""
    plan = planned_benchmark.plan(home, **over)
    plan.write(home)
    with contextlib.chdir(home):
        for verb, run in STAGES.items():
            for job in sorted(plan.of_verb(verb), key=lambda job: "identity" not in job.name):
                recipe.execute(home / job.recipe_path, run)
    return plan


@pytest.fixture(scope="module")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    stored, read = (tmp_path_factory.mktemp(name) for name in ("stored", "read"))
    planned_benchmark.make(stored)
    make(stored, **ONE)
    shutil.copytree(stored / "mine", read / "mine")
    shutil.copytree(stored / "checkpoints", read / "checkpoints")
    make(read, **WHILE_READING)
    return stored, read


@pytest.fixture
def homes(_homes: tuple[Path, Path]) -> tuple[Path, Path]:
    """One benchmark with its shards stored, and the same one without them."""
    return _homes


def receipt(home: Path, ref: Ref) -> dict[str, Any]:
    content = recipe.receipt(home, ref)
    assert content
    return content


def test_records_are_those_of_stored_shards(homes):
    stored, read = homes
    assert not (read / "data/shards/shapes/test/bright").exists()
    one, other = (pq.read_table(home / RECORDS.path) for home in homes)
    assert one.equals(other)
    metadata = [{**table.schema.metadata} for table in (one, other)]
    prints = [pairs.pop(b"shiftbench.fingerprint") for pairs in metadata]
    assert metadata[0] == metadata[1]
    assert prints[0] != prints[1]
    # The fingerprint is all that differs in the bytes, too.
    data = [(home / RECORDS.path).read_bytes() for home in homes]
    assert data[0].replace(prints[0], prints[1]) == data[1]
    assert (stored / GOLDEN.path).read_bytes() == (read / GOLDEN.path).read_bytes()


def test_digests_of_the_data_agree_without_shards(homes):
    stored, read = homes
    digest = shards.chained_digest((stored / SHARDS.path).parent)
    assert digest == shards.manifest((stored / SHARDS.path).parent)["pixels"]
    assert receipt(read, RECORDS)["facts"] == {"pixels": digest} == receipt(stored, RECORDS)["facts"]
    beside = json.loads((read / f"{RECORDS.path}.run.json").read_text())
    assert beside["shifted_on"] == {"cpu": 12}
    assert json.loads((stored / f"{RECORDS.path}.run.json").read_text())["shifted_on"] is None


def test_other_golden_samples_are_refused_and_nothing_is_written(homes, tmp_path):
    shutil.copytree(homes[1], tmp_path / "home")
    home = tmp_path / "home"
    golden = json.loads((home / GOLDEN.path).read_text())
    clean = json.loads((home / GOLDEN.path.replace("bright/2.5", "identity/0")).read_text())
    golden["samples"][2] |= {key: clean["samples"][2][key] for key in ("png", "pixels")}
    (home / GOLDEN.path).write_text(json.dumps(golden, sort_keys=True))
    forgeries.update(home, GOLDEN)  # else it is made again
    (home / f"{RECORDS.path}.receipt.json").unlink()
    before = (home / RECORDS.path).read_bytes()
    key = golden["samples"][2]["key"]
    with pytest.raises(
        ChecksumError,
        match=rf"{key}: bright at severity 2.5 does not give the golden sample of .*bright/2.5.json here "
        r"\(largest difference \d\d grey levels, mean [\d.]+; allowed are 0 and 0\)",
    ):
        make(home, **WHILE_READING)
    assert (home / RECORDS.path).read_bytes() == before
    assert not recipe.receipt_path(home, RECORDS).exists()


# ------------------------------------------------------------------------------ in torch

IN_TORCH = """
import torch
TOLERANCE = (LARGEST, 1)

def apply(images, severity, words, spread=0.2):
    own = 1 + spread * (2 * words.uniform(()) - 1)
    added = (torch.tensor(25 * severity) * own).floor().view(-1, 1, 1, 1)  # the CPU file rounds
    return (images.int() + added.int()).clamp(0, 255).to(torch.uint8)
"""


@pytest.fixture
def bright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that gives the scaffold's shift with a torch file of some tolerance."""
    planned_benchmark.make(tmp_path)
    monkeypatch.setattr(registry.Folders, "extra", (tmp_path / "mine",))
    monkeypatch.delitem(sys.modules, "shiftbench_user.shifts_torch.bright", raising=False)

    def give(largest: int | None = 1) -> Shifter:
        if largest is not None:
            planned_benchmark.add(tmp_path, "shifts_torch", "bright", IN_TORCH.replace("LARGEST", str(largest)))
        module = registry.find("shifts", "bright")
        return Shifter(module, "bright", {"spread": 0.2}, 2.5, 0, "noise")

    return give


def noise(count: int, shape: tuple[int, ...] = (6, 5)) -> list[Sample]:
    pixels = np.random.Generator(np.random.Philox(1)).integers(0, 256, (count, *shape), np.uint8)
    return [Sample(f"noise/test/{i:02d}", {"image": image}) for i, image in enumerate(pixels)]


def golden_of(samples: list[Sample], file: Path) -> Path:
    """Write golden samples as the shift stage does."""
    file.write_text(json.dumps({"samples": [shift.shown(sample, classification) for sample in samples]}))
    return file


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_torch_shifts_a_batch_within_its_tolerance(bright, tmp_path, shape, device):
    shifter, samples = bright(), noise(7, shape)
    exact = [shifter(sample) for sample in samples]
    onthefly = OnTheFly(shifter, golden_of(exact[:4], tmp_path / "golden.json"), OnDevice(shifter, device))
    near = [sample for at in (0, 3, 6) for sample in onthefly(samples[at : at + 3])]
    differences = [
        np.abs(a.fields["image"].astype(int) - b.fields["image"]).max() for a, b in zip(exact, near, strict=True)
    ]
    assert [sample.key for sample in near] == [sample.key for sample in samples]
    assert set(differences) == {0, 1}, "each with the random words of its own"
    assert onthefly.counts == {f"torch on {device}": 7}
    assert len(onthefly.digest()) == 64


def test_records_tell_that_torch_shifted_their_data(homes, tmp_path):
    shutil.copytree(homes[1], tmp_path / "home")
    home = tmp_path / "home"
    planned_benchmark.add(home, "shifts_torch", "bright", IN_TORCH.replace("LARGEST", "1"))
    plan = make(home, **WHILE_READING, evaluate__shift_device="torch")
    beside = json.loads((home / f"{RECORDS.path}.run.json").read_text())
    assert beside["shifted_on"] == {"torch on cpu": 12}
    code = plan.artifacts[RECORDS].recipe["code"].keys()
    assert code > {"mine/shifts_torch/bright.py", "shiftbench/base/rng_torch.py"}
    now, then = (receipt(place, RECORDS)["facts"]["pixels"] for place in (home, homes[1]))
    assert now != then, "what was evaluated has a digest of its own"


def test_torch_is_refused_where_a_shift_has_no_torch_implementation(tmp_path):
    planned_benchmark.make(tmp_path)
    message = (
        r"evaluate.shift_device = 'torch': there is no torch implementation of 'bright'; use `auto` or `cpu` to apply "
        r"it on the CPU, or shifts.bright.materialise: true to store it"
    )
    with pytest.raises(ParamsError, match=message):
        planned_benchmark.plan(tmp_path, **WHILE_READING, evaluate__shift_device="torch")
    assert planned_benchmark.plan(tmp_path, **WHILE_READING, evaluate__shift_device="auto")


def test_torch_beyond_its_tolerance_is_refused(bright, tmp_path):
    shifter, samples = bright(0), noise(7)
    golden = golden_of([shifter(sample) for sample in samples], tmp_path / "golden.json")
    with pytest.raises(ChecksumError, match=r"largest difference 1 grey levels.*allowed are 0 and 1"):
        OnTheFly(shifter, golden, OnDevice(shifter, "cpu"))(samples)


def test_images_of_several_sizes_are_shifted_by_the_cpu_file(bright, tmp_path):
    shifter, samples = bright(), [*noise(3), *noise(6, (4, 4))[3:]]
    exact = [shifter(sample) for sample in samples]
    onthefly = OnTheFly(shifter, golden_of(exact, tmp_path / "golden.json"), OnDevice(shifter, "cpu"))
    mixed = [*onthefly(samples[:4]), *onthefly(samples[4:])]
    assert all(np.array_equal(a.fields["image"], b.fields["image"]) for a, b in zip(exact[:4], mixed[:4], strict=True))
    assert onthefly.counts == {"cpu": 4, "torch on cpu": 2}


def test_a_batch_without_a_torch_implementation_is_shifted_on_the_cpu(bright):
    shifter, samples = bright(None), noise(5, (6, 5, 3))
    words = [shifter.words(sample.key) for sample in samples]
    batch = apply_torch.to_tensor([sample.fields["image"] for sample in samples])
    assert batch.shape == (5, 3, 6, 5)
    shifted = apply_torch.apply_batch(shifter.module, batch, 2.5, words, shifter.keywords)
    images = [shifter(sample).fields["image"] for sample in samples]
    assert torch.equal(shifted, apply_torch.to_tensor(images))


def test_exhausted_memory_halves_the_batch(bright, monkeypatch):
    shifter, samples = bright(), noise(7)
    in_torch = apply_torch.find_torch(shifter.module)
    whole = OnDevice(shifter, "cpu")(samples)
    sizes, real = [], in_torch.apply

    def small(images: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 2:
            raise torch.cuda.OutOfMemoryError("too much")
        return real(images, *rest, **options)

    monkeypatch.setattr(in_torch, "apply", small)
    pieces = OnDevice(shifter, "cpu")(samples)
    assert sizes == [7, 3, 1, 2, 4, 2, 2]
    assert all(np.array_equal(a.fields["image"], b.fields["image"]) for a, b in zip(whole, pieces, strict=True))


@pytest.mark.parametrize(
    ("wanted", "held", "expected"),
    [
        ("cpu", "cuda:0", None),
        ("auto", "cpu", None),
        ("auto", "cuda:0", "torch on cuda:0"),
        ("torch", "cpu", "torch on cpu"),
    ],
)
def test_where_a_shift_is_applied(bright, wanted, held, expected):
    assert on_device(bright(None), wanted, held) is None
    found = on_device(bright(), wanted, held)
    assert (found and found.place) == expected


# ------------------------------------------------------------------------------ golden samples


def test_golden_samples_that_are_not_read_are_told(bright, tmp_path):
    shifter, samples = bright(None), noise(5)
    golden = golden_of([shifter(sample) for sample in samples[:4]], tmp_path / "golden.json")
    onthefly = OnTheFly(shifter, golden)
    onthefly(samples[1:])
    with pytest.raises(ChecksumError, match="golden sample 'noise/test/00' of .* is not among the evaluated"):
        onthefly.digest()


def test_what_has_no_image_is_compared_by_its_digest(tmp_path):
    def apply(text: str, severity: float, words: Any) -> str:
        return text.upper()

    loud = SimpleNamespace(__name__="loud", FIELD="text", apply=apply)
    shifter = Shifter(loud, "loud", {}, 1, 0, "words")
    samples = [Sample(f"words/test/{i}", {"text": "abc", "label": i}) for i in range(3)]
    golden = [shifter(sample) for sample in samples]
    assert OnTheFly(shifter, golden_of(golden, tmp_path / "golden.json"))(samples) == golden
    golden[1] = samples[1]
    with pytest.raises(ChecksumError, match=r"words/test/1: loud at severity 1 does .*\(another value\)"):
        OnTheFly(shifter, golden_of(golden, tmp_path / "golden.json"))(samples)


@pytest.mark.parametrize("text", ["", "[]", '{"samples": [{"key": "a"}]}'])
def test_a_damaged_file_of_golden_samples_is_told(tmp_path, text):
    (tmp_path / "golden.json").write_text(text)
    with pytest.raises(DataError, match=r"golden.json holds no golden samples .*make it again with"):
        read_golden(tmp_path / "golden.json")
