"""Wrong models of the user: one clear message each, by the plan where it can tell, else by the job."""

import io
import json
import random  # noqa: TID251 - of files, and seeded
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch
from torch import nn

from makers import attacks, planned_benchmark
from shiftbench.base.errors import ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import pins

SIZE = {"size": 8, "mean": [0.5] * 3, "std": [0.5] * 3}
CODE = {"trust": True}
HTML = b"<!DOCTYPE html><html><body>404: not found</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


class Net(nn.Module):
    """Logits of three classes from pictures of 8 x 8 pixels."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


class Named(Net):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        return {"logits": super().forward(x)}


def graph(classes: int = 3, scale: float = 1.0, inputs: tuple[str, ...] = ("x",)) -> bytes:
    """Return an ONNX graph: the sum of its inputs, float32 (n, 3, 8, 8), times weights."""
    onnx = pytest.importorskip("onnx")
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    values = np.full((192, classes), scale, np.float32)
    nodes = [
        helper.make_node("Sum", list(inputs), ["sum"]),
        helper.make_node("Flatten", ["sum"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
    ]
    fed = [helper.make_tensor_value_info(name, real, ["n", 3, 8, 8]) for name in inputs]
    out = helper.make_tensor_value_info("logits", real, ["n", classes])
    weights = helper.make_tensor("w", real, values.shape, values.ravel())
    made = helper.make_graph(nodes, "tiny", fed, [out], [weights])
    opset = [helper.make_opsetid("", 18)]
    serialised: bytes = helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()
    return serialised


def script(net: nn.Module) -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(net, torch.zeros(2, 3, 8, 8), strict=False), stream)
    return stream.getvalue()


def program() -> bytes:
    """Return what torch.export saves, for batches of two pictures alone."""
    stream = io.BytesIO()
    torch.export.save(torch.export.export(Net(), (torch.zeros(2, 3, 8, 8),)), stream)
    return stream.getvalue()


def saved(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def tensors(**named: torch.Tensor) -> bytes:
    data: bytes = safetensors.torch.save(named)
    return data


def table(parquet: bool = False, **columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    frame = pl.DataFrame(columns)
    frame.write_parquet(stream) if parquet else frame.write_csv(stream)
    return stream.getvalue()


KEYS = [f"shapes/all/{number:06d}" for number in range(60)]
WRONG: dict[str, tuple[str, dict[str, Any], Callable[[], bytes], str]] = {
    # file, options, its bytes, words of the message
    "a page": ("m.onnx", SIZE, lambda: HTML, "models.theirs.path = 'm.onnx' is no model: it is an HTML page"),
    "a page of weights": ("m.pt", {"net": "perceptron"}, lambda: HTML, "is no model: it is an HTML page"),
    "a page of answers": ("m.csv", {}, lambda: b"\n <html>", "is no model: it is an HTML page"),
    "nothing": ("m.onnx", SIZE, lambda: b"", "is no model: it is empty (0 bytes)"),
    "a pointer": ("m.onnx", SIZE, lambda: POINTER, "is a pointer of Git LFS; `git lfs pull` downloads the file"),
    "a text": ("m.onnx", SIZE, lambda: b"hello", "m.onnx cannot be read as onnx: "),
    "half a graph": ("m.onnx", SIZE, lambda: graph()[:300], "m.onnx cannot be read as onnx: "),
    "tensors for a graph": ("m.onnx", SIZE, lambda: tensors(a=torch.zeros(2)), "write `{use: checkpoint, "),
    "another size": ("m.onnx", SIZE | {"size": 9}, graph, "m.onnx fails on float32 (n, 3, 9, 9); `channels` and"),
    "grey": ("m.onnx", {"size": 8, "channels": 1, "mean": [0.5], "std": [0.5]}, graph, "fails on float32 (n, 1, 8, 8)"),
    "four classes": ("m.onnx", SIZE, lambda: graph(classes=4), "gave logits of shape ("),
    "no numbers": ("m.onnx", SIZE, lambda: graph(scale=np.nan), "a logit is nan; a model must give finite logits"),
    "infinite": ("m.onnx", SIZE, lambda: graph(scale=np.inf), "a model must give finite logits"),
    "two inputs": ("m.onnx", SIZE, lambda: graph(inputs=("x", "y")), "m.onnx has the inputs x, y; expected one"),
    "another input": ("m.onnx", SIZE | {"input": "z"}, graph, "m.onnx has the inputs x; expected one, z"),
    "not trusted": ("m.pt", {"use": "torchscript"}, lambda: script(Net()), "models.theirs.trust: a TorchScript file"),
    "half a script": ("m.pt", SIZE | CODE | {"use": "torchscript"}, lambda: script(Net())[:900], "read as torchscript"),
    "weights for a script": ("m.pt", SIZE | CODE | {"use": "torchscript"}, lambda: saved({}), "write `{use: check"),
    "a script of names": ("m.pt", SIZE | CODE | {"use": "torchscript"}, lambda: script(Named()), "gave a dict; expect"),
    "a script's size": ("m.pt", CODE | {"use": "torchscript"}, lambda: script(Net()), "m.pt fails on float32 (n, 3, "),
    "half a program": ("m.pt2", SIZE | CODE, lambda: program()[:900], "it is no archive of torch.export"),
    "a script for a program": ("m.pt2", SIZE | CODE, lambda: script(Net()), "write `{use: torchscript, "),
    "a fixed batch": ("m.pt2", SIZE | CODE, program, "m.pt2 fails on float32 (n, 3, 8, 8)"),
    "no Python": ("m.py:f", CODE, lambda: b"def f(:", "m.py cannot be imported: SyntaxError"),
    "no import": ("m.py:f", CODE, lambda: b"import nothing_there", "cannot be imported: ModuleNotFoundError: No modul"),
    "no function": ("m.py:f", CODE, lambda: b"def g(samples): pass", "has no function 'f'; known: g"),
    "no name": ("m.py", CODE, lambda: b"def f(samples): pass", "names no function; expected file.py:function"),
    "a number": ("m.py:f", CODE, lambda: b"f = 3", "has no function 'f'"),
    "no argument": ("m.py:f", CODE, lambda: b"def f(): pass", "m.py:f fails on a list of samples: TypeError: f() take"),
    "an exception": ("m.py:f", CODE, lambda: b"def f(s): return s[0].nothing", "on a list of samples: AttributeError"),
    "nothing back": ("m.py:f", CODE, lambda: b"def f(s): pass", "gave a NoneType that is no array of numbers; expecte"),
    "ragged": ("m.py:f", CODE, lambda: b"def f(s): return [[1.0]] + [[1.0, 2.0]] * (len(s) - 1)", "is no array of num"),
    "one row": ("m.py:f", CODE, lambda: b"def f(s): return [[1.0, 2.0, 3.0]]", "gave logits of shape (1, 3), expected"),
    "no logits": ("m.py:f", CODE, lambda: b"def f(s): return {'scores': [1]}", "gave [], expected logits"),
    "half a table": ("m.parquet", {}, lambda: table(True, key=KEYS, prediction=["0"] * 60)[:99], "read as predictions"),
    "a torn table": ("m.csv", {}, lambda: b"key,prediction\na,b,c,d\n", "m.csv cannot be read as predictions"),
    "no key": ("m.csv", {}, lambda: table(id=KEYS), "m.csv has no column `key`; it has id"),
    "no answer": ("m.csv", {}, lambda: table(key=KEYS), "has neither logits nor `prediction`; it has key"),
    "a strange class": ("m.csv", {}, lambda: table(key=KEYS, prediction=["dog"] * 60), "predicts the class 'dog'; kno"),
    "twice": ("m.csv", {}, lambda: table(key=KEYS * 2, prediction=["0"] * 120), "the key 'shapes/all/000000' twice"),
    "too few": ("m.csv", {}, lambda: table(key=KEYS[:1], prediction=["0"]), "m.csv has no row for 'shapes/all/0"),
    "texts": ("m.csv", {}, lambda: table(key=KEYS, **{f"logit_{n}": ["x"] * 60 for n in range(3)}), "no array of numb"),
    "a column too many": ("m.csv", {}, lambda: table(key=KEYS, logit_x=[1] * 60), "has a column 'logit_x'; expected"),
    "an answer of none": ("m.csv", {}, lambda: table(key=KEYS, logit_0=[None] * 60), "gave logits of shape|logits of "),
    "half the weights": ("m.safetensors", {"net": "perceptron"}, lambda: tensors(a=torch.zeros(99))[:99], "no readabl"),
    "half a checkpoint": ("m.pt", {"net": "perceptron"}, lambda: saved({"a": torch.zeros(99)})[:400], "m.pt"),
    "noise": ("m.pt", {"net": "perceptron"}, lambda: bytes(range(256)) * 9, "m.pt"),
    "another net": ("m.safetensors", {"net": "perceptron"}, lambda: tensors(a=torch.zeros(2)), "does not fit Perceptr"),
    "no tensors": ("m.pt", {"net": "perceptron"}, lambda: saved({"epoch": 3}), "m.pt holds no state dict of tensors"),
    "a whole net": ("m.pt", {"net": "perceptron"}, lambda: saved(Net()), "m.pt is refused: it holds pickled Python ob"),
}
KINDS = {
    "onnx": "onnx",
    "pt": "checkpoint",
    "safetensors": "checkpoint",
    "pt2": "torch_export",
    "py": "callable",
    "csv": "predictions",
    "parquet": "predictions",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark's folder with clean shards of three classes; each test brings its model there."""
    home = tmp_path_factory.mktemp("home")
    planned_benchmark.make(home)
    return home


def run(home: Path, path: str, **options: Any) -> None:
    """Ask for a model, and evaluate it."""
    name = path.partition(":")[0]
    if Path(name).is_file():
        pins.pin([name])
    small = {"dataset": "shapes", "models": [{"architectures": ["theirs"]}]}
    theirs = {"use": KINDS.get(name.rpartition(".")[2], ""), "path": path, **options}
    jobs = ("shift/shapes/test/identity", "train/shapes/theirs-given-s0", "evaluate/shapes/theirs-given-s0/plain")
    planned_benchmark.run(home, *jobs, models={"theirs": theirs}, benchmarks={"small": small}, shifts={})


@pytest.fixture
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_model_is_told(there: Path, case: str) -> None:
    path, options, made, words = WRONG[case]
    shutil.rmtree("__pycache__", ignore_errors=True)  # of a file as long, written in the same second
    Path(path.partition(":")[0]).write_bytes(made())
    with pytest.raises(ShiftbenchError) as caught:
        run(there, path, **options)
    told = str(caught.value)
    assert any(word in told for word in words.split("|")), told
    assert any(what in told for what in (path.partition(":")[0], "sample 'shapes/", "checkpoint's own"))
    assert len(told) < 700


def gguf(draw: random.Random) -> bytes:
    """Return a header that states more tensors and texts than there are bytes."""
    counts = draw.choice((0, 7, 1 << 40, 1 << 63)), draw.choice((1, 1 << 60, (1 << 64) - 1))
    texts = struct.pack("<Q", draw.choice((3, 1 << 62))) + b"general.architecture"
    return b"GGUF" + struct.pack("<IQQ", draw.choice((1, 3)), *counts) + texts


def tflite(draw: random.Random) -> bytes:
    """Return a flatbuffer whose offsets lead anywhere."""
    return struct.pack("<I", draw.choice((8, 28, 1 << 31))) + b"TFL3" + draw.randbytes(400)


def notebook(draw: random.Random) -> bytes:
    cell = {"cell_type": "code", "source": ["open('ran', 'w')\n"], "outputs": []}
    return json.dumps({"cells": [cell] * draw.randint(1, 3), "nbformat": 4}).encode()


def zeros(draw: random.Random) -> bytes:
    """Return an archive as torch writes it, with 60 MB of zeros in a few bytes."""
    stream = io.BytesIO()
    names = draw.sample(("archive/data.pkl", "archive/data/0", "archive/version", "code/a.py"), 3)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, bytes(20 << 20))
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("use", ["checkpoint", "torch_export"])
def test_what_no_plugin_reads_is_told(there: Path, use: str) -> None:
    """A model of a language model's format, of a telephone's, a notebook, zeros: one sentence, and none is run."""
    options = SIZE | CODE if use == "torch_export" else {}
    for number, draw in enumerate(attacks.draws(4, use)):
        made = (gguf, tflite, notebook, zeros)[number % 4]
        name = f"m.{draw.choice((made.__name__, *KINDS))}"
        Path(name).write_bytes(made(draw))
        with pytest.raises(ShiftbenchError) as caught:
            run(there, name, **options, use=use)
        assert name in (told := str(caught.value))
        assert len(told) < 700
        assert not Path("ran").exists()


def test_what_is_no_file_is_told(there: Path) -> None:
    (there / "folder.onnx").mkdir(exist_ok=True)
    with pytest.raises(ShiftbenchError, match=r"'folder.onnx' is a folder; expected the model's"):
        run(there, "folder.onnx", **SIZE)
    with pytest.raises(ShiftbenchError, match=r"^gone.onnx is not pinned; bring it, then run `shift"):
        run(there, "gone.onnx", **SIZE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("path", "options", "made", "answers"),
    [
        ("right.onnx", SIZE, graph, {0, 1, 2}),
        ("right.pt", SIZE | CODE | {"use": "torchscript"}, lambda: script(Net()), {0, 1, 2}),
        ("right.py:f", CODE, lambda: b"def f(s): return [[0.0, 1.0, 0.0]] * len(s)", {1}),
        ("right.csv", {}, lambda: table(key=KEYS, prediction=["0"] * 60), {0}),
    ],
)
def test_these_models_are_right(
    there: Path, path: str, options: dict[str, Any], made: Callable[[], bytes], answers: set[int]
) -> None:
    """What the table changes is all that is wrong there: each sample has its model's answer."""
    records = there / Ref("records", "shapes/theirs-given-s0/plain/shapes/test/identity/0").path
    records.unlink(missing_ok=True)
    Path(path.partition(":")[0]).write_bytes(made())
    run(there, path, **options)
    rows = pl.read_parquet(records)
    assert set(rows["prediction"]) <= answers
    assert 0 < len(set(rows["key"]) & set(KEYS)) == len(rows)
