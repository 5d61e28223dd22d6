"""The answers that CNS-Bench ships: read, judged, failure points, and the full scale on a miniature."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from makers import miniature_originals
from makers.repositories import HOME
from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import pins
from shiftbench.statistics.claims.judgement import judge
from shiftbench.systems.cns_bench.datasets import _cns, cns_bench
from shiftbench.systems.cns_bench.models import cns_results
from shiftbench.systems.cns_bench.shifts import cns_scale
from shiftbench.workflow.plan import cards, plan
from shiftbench.workflow.stages import judge_claims
from shiftbench.workflow.tools import run_local

SCALES = (0.5, 1.0, 1.5, 2.0, 2.5)

COLUMNS = ("", "pred_class", "gt_class", "shift", "class_str", "img_name", "class_name", "seed", "scale")


def _csv(folder: Path, model: str, nuisance: str, wrong: set[tuple[int, int, float]]) -> str:
    """Return a file of results.zip as `prepare_csv_files.py` writes it of released images, in no order of scales."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([*COLUMNS, model])
    paths = _cns.read(folder).paths(nuisance)
    images = sorted((i for path in paths.values() for i in path.values()), key=lambda i: -i.scale)
    for number, image in enumerate(images):
        right = (image.label, image.seed, image.scale) not in wrong
        _, parent, name = image.file.split("/")
        said = float(image.label if right else 7)
        row = [number, said, float(image.label), nuisance, parent, name, parent.split("_")[-1]]
        writer.writerow([*row, f"{image.seed:04d}", image.scale / 10, right])  # the script's tenth
    return stream.getvalue()


def shipped(release: dict[str, Any], wrong: set[tuple[int, int, float]]) -> Path:
    """Write results.zip of one model and nuisance."""
    file = Path(release["path"]) / "results.zip"
    with zipfile.ZipFile(file, "w") as archive:
        text = _csv(file.parent, "net.a", "cartoon_style", wrong)
        archive.writestr("results/net.a__cartoon_style.csv", text)
    return file


def _ship(folder: Path, models: list[str], nuisances: tuple[str, ...]) -> None:
    """Write results.zip of several models; each fails from another scale on."""
    with zipfile.ZipFile(folder / "results.zip", "w") as archive:
        for nuisance in nuisances:
            paths = _cns.read(folder).paths(nuisance)
            for at, model in enumerate(models):
                last = {(*path, scale) for path in paths for scale in SCALES[at + 1 :]}
                name = f"results/{model}__{nuisance}.csv"
                archive.writestr(name, _csv(folder, model, nuisance, last))


WRONG = {(2, 1, 1.0), (2, 1, 2.5), (22, 34, 0.0), (22, 34, 0.5)}


def test_shipped_correctness_follows_from_the_predictions(release: dict[str, Any]) -> None:
    file = shipped(release, WRONG)
    answers = cns_results.answers(file, "net.a", "cartoon_style")
    wrong = {place for place, predicted in answers.items() if predicted != place[0]}
    assert wrong == WRONG
    assert len(answers) == 36
    known: dict[str, Any] = {}
    for sample in cns_bench.samples("test", {}, release):
        for scale in (0.0, *SCALES):
            shown = cns_scale.apply(sample, scale, RandomStream(0, "s", "d", "k"), path=release["path"])
            meta = shown.fields["meta"]
            expected = (meta["class"], meta["seed"], scale) not in WRONG
            right = cns_results._answer(shown, file, "net.a", known) == shown.fields["label"]
            assert right == expected
    text = zipfile.ZipFile(file).read("results/net.a__cartoon_style.csv").decode()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net.a__cartoon_style.csv", text.replace("True", "False", 1))
    with pytest.raises(ModelError, match="1 of 36 rows are called right or wrong against"):
        cns_results.answers(file, "net.a", "cartoon_style")
    with pytest.raises(DataError, match="holds no net.a__heavy_snow.csv"):
        _cns.results(file, "net.a", "heavy_snow")


def test_failure_points_sort_by_scale_first(release: dict[str, Any]) -> None:
    rows = _cns.results(shipped(release, WRONG), "net.a", "cartoon_style")
    expected = {(2, 1): 1.0, (2, 2): 3.0, (2, 34): 3.0, (22, 1): 3.0, (22, 2): 3.0, (22, 34): 0.0}
    assert _cns.failure_points(rows) == expected
    # The released notebook takes the first failing row in the order of the file, here from the largest scale.
    assert _cns.failure_points(rows, released=True) == expected | {(2, 1): 2.5, (22, 34): 0.5}


def test_scale_and_seed_are_those_of_the_name(release: dict[str, Any]) -> None:
    """What `prepare_csv_files.py` reads of a released image is a tenth; of what the generator writes it is right."""

    def released(name: str) -> float:
        return int(name.split("_")[-1][:-5]) / 1000

    for scale in (0.0, *SCALES):
        jpg, png = (
            f"seed_0034_{middle}scale_{int(1000 * scale):04d}{end}"
            for middle, end in (("", ".jpg"), ("startnoise_0750_", "m.png"))
        )
        assert _cns.place(jpg) == _cns.place(png) == (34, scale)
        assert released(jpg) == pytest.approx(scale / 10)
        assert released(png) == scale
    with pytest.raises(DataError, match="'img_1.jpg' says no seed and scale"):
        _cns.place("img_1.jpg")
    file = shipped(release, WRONG)
    rows = {row.scale for row in _cns.results(file, "net.a", "cartoon_style")}
    assert rows == {0.0, *SCALES}


def test_nuisances_and_classifiers_are_those_of_the_release() -> None:
    """Names that its scripts and figures show; what is not among them is inferred."""
    shown = {"cartoon_style", "plush_toy_style", "pencil_sketch_style", "painting_style", "the_design_of_sculpture",
             "graffiti_style", "video_game_renditions_style", "heavy_snow", "heavy_rain", "heavy_smog"}  # fmt: skip
    assert shown < set(_cns.NUISANCES)
    assert len(set(_cns.NUISANCES)) == 14
    full = yaml.safe_load(cards.file("cns-bench").read_text())["params"]["full"]
    assert set(full["shifts"]) == set(_cns.NUISANCES)
    names = [model["name"] for model in full["models"].values()]
    assert len(set(names)) == len(names) == 41
    some = ["alexnet", "resnet34.a1_in1k", "clip_vit_large_patch14_336", "dinov2_vit_giant_patch14_reg"]
    some += ["convnextv2_huge.fcmae_ft_in1k", "deit3_huge_patch14_224.fb_in1k", "mae_vit_huge_patch14"]
    assert set(some) < set(names)


def overlay(full: dict[str, Any], nuisances: tuple[str, ...], nets: tuple[str, ...], images: int) -> dict[str, Any]:
    """Return the full scale cut down to some nuisances and classifiers, with a labelled set beside."""
    labelled = {"use": "cns_labelled", "path": "data/cns_labelled"}
    weights = [{"architectures": list(nets), "trainers": ["given"]}]
    judged = {"dataset": "labelled", "metrics": ["accuracy"], "analyses": ["labelled_filter"]}
    judged["models"] = [{"architectures": ["convnet"], "trainers": ["random_init"]}]
    return {
        **full,
        "datasets": {**{n: {**full["datasets"][n], "images": images} for n in nuisances}, "labelled": labelled},
        "shifts": {n: full["shifts"][n] for n in nuisances},
        "models": {**{net: full["models"][net] for net in nets}, "convnet": {}},
        "trainers": {"given": {}, "random_init": {}},
        "benchmarks": {**{n: {**full["benchmarks"][n], "models": weights} for n in nuisances}, "labelled": judged},
        "bootstrap": {"resamples": 200},
    }


def test_the_full_scale_runs_on_a_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nuisances, three of the shipped classifiers and a labelled set: every kind of full claim finds its rows."""
    card = cards.load("cns-bench")
    full = card.params["full"]
    nuisances, nets = ("cartoon_style", "heavy_snow"), ("resnet18", "resnet50", "alexnet")
    _, options = miniature_originals.cns_bench(tmp_path / "data/cns_bench")
    miniature_originals.cns_labelled(tmp_path)
    _ship(tmp_path / "data/cns_bench", [full["models"][net]["name"] for net in nets], nuisances)
    monkeypatch.chdir(tmp_path)
    pins.pin([Path("data/cns_bench"), Path("data/cns_labelled")])
    own = yaml.safe_load((HOME / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**own, "benchmarks": {}}))
    (tmp_path / "params").mkdir()
    cut = overlay(full, nuisances, nets, options["images"])
    (tmp_path / "params/mine.yaml").write_text(yaml.safe_dump(cut))
    planned, made = plan.load("mine")
    run_local.make(planned, made)
    tables = [made / Ref("tables", name).path for name in cut["benchmarks"]]
    rows = judge_claims.read(tables, {})
    claims = {name: claim for name, claim in card.claims.items() if claim.scale == "full"}
    verdicts = {one.name: one for one in judge(claims, rows, "full")}
    assert {one.part for one in verdicts["ranking_full"].parts} == set(nuisances)
    assert verdicts["filter_full"].value == pytest.approx(0.5 * (1 + 1) - 0.5 * (0.5 + 1))
