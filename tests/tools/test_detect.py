"""Detection on images of one's own: beside the score stage, in words, and what is missing is told with its remedy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from makers import planned_benchmark
from makers.command_line import ends, said
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.data import schema, shards
from shiftbench.workflow.plan import plan
from shiftbench.workflow.tools import detect_image as detection
from shiftbench.workflow.tools.detect_image import Answer, Finding, rank_score

WEIGHTS = "shapes/perceptron-mixup-s0"
ASK = ("detect", "--model", WEIGHTS)
LEARNT: dict[str, Any] = {
    "datasets__shapes": {"count": 300},
    "trainers__mixup": {"epochs": 4},
    "detectors": {"knn": {"k": 5}},
    "benchmarks__small__detectors": ["margin", "knn", "odin", "react"],
    "benchmarks__small__features": ["train", "val", "test"],
    "benchmarks__small__shifts": [],
    "benchmarks__small__ood": ["noise"],
    "benchmarks__small__val_ood": ["noise/val"],
    "datasets__noise": {"use": "noise_images", "count": 60},
}
"""`react` is searched; `odin` sees the net again."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with all that the score stage reads and makes."""
    folder = tmp_path_factory.mktemp("detect")
    planned_benchmark.make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        planned = planned_benchmark.plan(folder, **LEARNT)
        planned.write(folder)
        for verb in ("shift", "train", "evaluate", "score"):
            for job in planned.of_verb(verb):
                said(verb, "--recipe", str(folder / job.recipe_path))
    return folder


@pytest.fixture
def home(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    plan._code.cache_clear()
    return made


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command that fails with exit code 3 says."""
    assert ends(monkeypatch, *words) == 3
    return " ".join(capsys.readouterr().err.split())


def test_place_among_known_scores_by_hand() -> None:
    known = np.arange(100.0)
    assert rank_score(94.0, known) == (94.0, 0.94, 94.0)  # 95 of 100 do not exceed 94

    def verdict(score: float) -> str:
        return Finding("knn", *rank_score(score, known), "test", 100, {}, None).verdict

    assert verdict(94.0) == "unusual: higher than 94.0% of 100 ID samples"
    assert verdict(94.5) == detection.FLAGGED
    assert verdict(3.0) == "similar to the training data"


def test_summary() -> None:
    findings = [Finding("a", s, 0.5, 1.0, "test", 9, {}, None) for s in (0.0, 2.0, 3.0)]
    many, one = (Answer(Path("x.png"), "coat", 0.987, tuple(some)) for some in (findings, findings[:1]))
    assert many.summary == ("2 of 3 detectors call it out-of-distribution; the model predicts 'coat' with 98.7%.")
    assert one.summary.startswith("0 of 1 detector calls it")


def test_scores_are_the_score_stages(home: Path) -> None:
    # Test samples of the run, written as images: their scores are those that the score stage wrote.
    samples = [s for s, _ in zip(shards.read(home / "data/shards/shapes/test/identity/0"), range(3), strict=False)]
    files = [home / f"{number}.png" for number in range(3)]
    for file, sample in zip(files, samples, strict=True):
        Image.fromarray(sample.fields["image"]).save(file)
    planned, root = plan.load()
    names = ["margin", "knn", "odin", "react"]
    answers = detection.detect(planned, root, WEIGHTS, files, names, "cpu")
    for number, name in enumerate(names):
        ref = Ref("scores", f"{WEIGHTS}/plain/{name}/shapes/test/identity/0")
        table = schema.read(root / ref.path)
        findings = [answer.findings[number] for answer in answers]
        stored = table["score"].to_numpy()
        assert [one.score for one in findings] == pytest.approx(stored[:3], rel=1e-5)
        assert findings[0].n == len(stored)
        share = np.mean(stored[:, None] < [one.score for one in findings], axis=0)
        assert [one.share for one in findings] == pytest.approx(share)
    assert [one.searched for one in answers[0].findings] == [None, None, True, True]


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Noise, grey and colour, of other sizes than the net's."""
    random = np.random.default_rng(0)
    files = [tmp_path / "grey.png", tmp_path / "wide.jpg"]
    for file, shape in zip(files, ((28, 28), (90, 200, 3)), strict=True):
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(file)
    return files


def test_command_tells_people_and_programs(home: Path, images: list[Path]) -> None:
    asked = (*ASK, *(word for file in images for word in ("--image", str(file))))
    answers = json.loads(said(*asked, "--json"))
    assert [one["file"] for one in answers["images"]] == [str(file) for file in images]
    findings = answers["images"][0]["findings"]
    assert [one["detector"] for one in findings] == ["margin", "knn", "react"]  # not odin, by default
    assert all(one["ood"] == (one["score"] > one["threshold"]) for one in findings)
    assert findings[1]["options"] == {"k": 5, "index": "exact"}
    text = said("detect", "--model", *asked[2:], "--detectors", "knn, odin")
    for answer in answers["images"]:
        assert 0 < answer["probability"] <= 1
        assert answer["prediction"] in ("disc", "square", "triangle")
        assert f"the model predicts {answer['prediction']!r} with {answer['probability']:.1%}." in text
    assert findings[1]["verdict"] in text
    assert "odin" in text
    assert f"ID samples: {findings[0]['n']} of test" in text


def test_without_a_search_defaults_are_taken_and_told(home: Path, images: list[Path]) -> None:
    asked = (*ASK, "--image", str(images[0]), "--detectors", "react")
    search = home / Ref("searches", f"{WEIGHTS}/plain/react").path
    kept = search.rename(search.with_suffix(".kept"))
    try:
        assert "with default options, because no search was run: react" in said(*asked)
        (finding,) = json.loads(said(*asked, "--json"))["images"][0]["findings"]
    finally:
        kept.rename(search)
    assert (finding["options"], finding["searched"]) == ({"percentile": 90.0}, False)
    assert "no search" not in said(*asked)


def test_detectors_of_no_benchmark_are_taken_where_their_rows_are_here(home: Path, images: list[Path]) -> None:
    text = said(*ASK, "--image", str(images[0]), "--detectors", "mds,temp_scale")
    assert "of 2 detectors" in text


def test_default_without_a_benchmark(home: Path) -> None:
    assert detection.default(plan.load()[0], "shapes/perceptron-erm-s0") == list(detection.DEFAULT)


def test_what_cannot_be_used_is_told(
    home: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(file: Path | str, *words: str) -> str:
        return told(monkeypatch, capsys, *ASK, "--image", str(file), *words)

    assert "the image (nowhere.png) cannot be read" in fails("nowhere.png")
    broken = images[0].with_name("broken.png")
    broken.write_bytes(images[0].read_bytes()[:200])
    assert "broken.png) cannot be read" in fails(broken)
    broken.write_text("no image")
    assert "broken.png) cannot be read" in fails(broken)
    here = ("--image", str(images[0]))
    assert "did you mean shapes/perceptron-mixup-s1" in told(
        monkeypatch, capsys, "detect", "--model", "shapes/perceptron-mixup-s7", *here
    )
    assert ends(monkeypatch, *ASK, *here, "--detectors", "kn") == 2
    assert "no detectors named 'kn' (did you mean knn" in " ".join(capsys.readouterr().err.split())


def test_missing_rows_are_told_with_the_command_that_makes_them(
    home: Path, images: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (*ASK, "--image", str(images[0]), "--detectors", "knn")
    train = home / Ref("features", f"{WEIGHTS}/plain/shapes/train/identity/0").path
    kept = train.rename(train.with_suffix(".kept"))
    recipe = home / f"recipes/evaluate/{WEIGHTS}/plain.json"
    try:
        said_of = told(monkeypatch, capsys, *asked)
        assert "knn on shapes/perceptron-mixup-s0 needs" in said_of
        assert (
            "shapes/train/identity/0.npy, missing or made from other inputs; "
            f"`shiftbench make {train.relative_to(home)}` makes that" in said_of
        )
        planned_benchmark.load(
            home, **LEARNT | {f"benchmarks__small__{key}": [] for key in ("features", "detectors", "ood", "val_ood")}
        )
        unkept = told(monkeypatch, capsys, *asked)
        assert "no benchmark makes features of train: name knn under the `detectors:`" in unkept
        said("evaluate", "--recipe", str(recipe))  # what Snakemake calls for that file
    finally:
        planned_benchmark.load(home, **LEARNT)
        kept.unlink() if train.is_file() else kept.rename(train)
    assert "of 1 detector" in said(*asked)


def test_texts_are_refused(home: Path, images: list[Path]) -> None:
    with pytest.raises(ParamsError, match="trained on vader_amazon, whose task text_classification has no images"):
        detection.detect(plan.load()[0], home, "vader_amazon/tfidf-tfidf_logreg-s0", images)
