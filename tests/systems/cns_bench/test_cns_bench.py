"""CNS-Bench: nuisances, failure points and ranks of three models by hand, its filter and its release in small."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.ndimage
import scipy.stats
import yaml

from makers import miniature_originals, shift_digests
from makers.repositories import HOME
from shiftbench import plugins
from shiftbench.data import pins, schema
from shiftbench.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.plan import cards, plan
from shiftbench.refs import Ref
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample
from shiftbench.stages import judge_claims
from shiftbench.stages.aggregate import aggregate
from shiftbench.statistics.campaign_rows import CellRows
from shiftbench.statistics.claims import judge
from shiftbench.statistics.expressions import Rows, evaluate
from shiftbench.systems.cns_bench.datasets import _cns, cns_bench
from shiftbench.systems.cns_bench.models import cns_results
from shiftbench.systems.cns_bench.shifts import cns_scale
from shiftbench.tasks import LabelSpace, classification
from shiftbench.tools import run_local

SCALES = (0.5, 1.0, 1.5, 2.0, 2.5)
NUISANCES = [f"cns_{name}" for name in ("noise", "blur", "fog", "contrast", "sketch", "texture")]

# --- nuisances -------------------------------------------------------------------------------------


def thing(key: int = 0) -> np.ndarray:
    """Return a light thing on black, uint8 (28, 28)."""
    image = np.zeros((28, 28), np.uint8)
    image[5:24, 8:20] = np.random.default_rng(key).integers(60, 256, (19, 12))
    return scipy.ndimage.uniform_filter(image, 3)


def under(name: str, image: np.ndarray, scale: float, key: str = "k") -> np.ndarray:
    module = plugins.find("shifts", name)
    shown: np.ndarray = shift_digests.apply(module, image, scale, RandomStream(0, name, "d", key))
    return shown


@pytest.mark.parametrize("name", NUISANCES)
def test_scale_0_is_the_image_and_damage_grows_along_one_path(name: str) -> None:
    images = [thing(key) for key in range(12)]
    for image in images:
        assert np.array_equal(under(name, image, 0.0), image)
        assert np.array_equal(under(name, image, 1.25), under(name, image.copy(), 1.25))
    damage = [
        np.mean([np.abs(under(name, image, s, str(i)).astype(int) - image).mean() for i, image in enumerate(images)])
        for s in (0.0, *SCALES)
    ]  # fmt: skip
    assert damage == sorted(set(damage))


def test_noise_is_one_field_at_every_scale() -> None:
    image = np.full((28, 28), 128, np.uint8)
    field = RandomStream(0, "cns_noise", "d", "k").normal(image.shape)
    for scale in (0.5, 1.0, 2.0):
        expected = np.clip(128 + 255 * 0.12 * scale * field, 0, 255)
        assert np.abs(under("cns_noise", image, scale) - expected).max() <= 1


def test_blur_is_gaussian_of_0_7_pixels_a_scale() -> None:
    image = thing()
    for scale in (1.0, 2.5):
        expected = scipy.ndimage.gaussian_filter(image.astype(float), 0.7 * scale, mode="nearest")
        assert np.abs(under("cns_blur", image, scale) - expected).max() < 2.5


def test_contrast_and_fog_are_their_equations() -> None:
    image = thing()
    faded = image.mean() + (1 - 0.36 * 2) * (image - image.mean())
    assert np.abs(under("cns_contrast", image, 2.0) - faded).max() <= 0.5 + 1e-9
    field = under("cns_fog", np.zeros_like(image), 2.5) / 0.75  # all that is seen on black
    assert (field.min(), field.max()) == (0, pytest.approx(255, abs=1))
    expected = image * (1 - 0.3 * 1.5) + 0.3 * 1.5 * field
    assert np.abs(under("cns_fog", image, 1.5) - expected).max() < 2


def test_sketch_ends_in_edges_and_texture_stays_inside_the_object() -> None:
    image = thing()
    edges = 255 - plugins.find("shifts", "edge_sketch").drawing(image)
    assert np.array_equal(under("cns_sketch", image, 2.5), edges)
    half = under("cns_sketch", image, 1.25).astype(float)
    assert np.abs(half - (image.astype(float) + edges) / 2).max() <= 0.5
    ends = [under("cns_texture", thing(key), 2.5, "same") for key in (0, 1)]
    inside = (thing(0) > 20) & (thing(1) > 20)
    assert np.array_equal(ends[0][inside], ends[1][inside])  # of the object nothing is left
    assert np.array_equal(ends[0][thing(0) <= 20], thing(0)[thing(0) <= 20])


# --- three models by hand --------------------------------------------------------------------------

TABLE = {  # right (1) or wrong at scales 0, 0.5, ..., 2.5, of four images
    "a-erm-s0": ("1111", "1111", "1110", "1100", "1000", "0000"),
    "b-erm-s0": ("1110", "1110", "1110", "1110", "1100", "1100"),
    "c-erm-s0": ("1111", "1110", "1100", "1101", "1001", "0001"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Return the rows of one aggregate over per-sample records."""
    home = tmp_path_factory.mktemp("table")
    cells = []
    for name, lines in TABLE.items():
        for scale, line in zip(_cns.SCALES, lines, strict=True):
            samples = [Sample(f"k{i}", {"label": 0, "meta": {}}) for i in range(4)]
            logits = np.array([[1, 0] if c == "1" else [0, 1] for c in line], np.float32)
            rows = classification.rows(
                samples, {"logits": logits}, LabelSpace(("x", "y"), ("x", "y")), "full"
            )
            file = home / name / f"{scale}.parquet"
            file.parent.mkdir(exist_ok=True)
            schema.write(rows, file, "f")
            shift, reference = ("fog", "toy/test/identity/0") if scale else ("identity", None)
            who = ("t", "classification", f"toy/{name}", "plain", "toy", "test")
            cells.append(CellRows(*who, shift, scale, file, reference))
    plain = ("accuracy", "error", "accuracy_drop", "failure_point", "failure_share", "auc_severity")
    asked: dict[str, Any] = {name: {} for name in plain}
    asked["relative_mce"] = {"normaliser": "a-erm-s0"}
    asked["rank_reversal"] = {}
    tables = aggregate(cells, asked, 200, 0)
    metrics, replicates = (pl.from_arrow(one) for one in (tables.metrics, tables.replicates))
    return Rows.of(metrics, replicates)  # type: ignore[arg-type]


def value(rows: Rows, expression: dict[str, Any]) -> float:
    found = evaluate(rows, expression)
    assert len(found.places) == 1
    return float(found.values[0, 0])


def of(metric: str, name: str, **place: Any) -> dict[str, Any]:
    return {"metric": metric, "weights": f"{name}-erm", "shift": "fog", **place}


def test_one_aggregate_gives_all_numbers_of_the_benchmark(table: Rows) -> None:
    assert value(table, of("accuracy", "a", severity=1.0)) == 0.75
    assert value(table, of("accuracy_drop", "a", severity=1.0)) == 0.25
    assert value(table, of("accuracy_drop", "b", severity=2.5)) == 0.25
    # a: 2.5, 2, 1.5, 1; b of three images: never (3), never, 2; c: 2.5, 2, 1, 0.5 (and right again).
    for name, points in (("a", (2.5, 2, 1.5, 1)), ("b", (3, 3, 2)), ("c", (2.5, 2, 1, 0.5))):
        assert value(table, of("failure_point", name, severity=None)) == pytest.approx(
            np.mean(points)
        )
    assert (
        value(table, {**of("error", "b"), "shift": "identity"}) == 0.25
    )  # failed at scale 0, apart
    assert value(table, of("failure_share", "c", severity=0.5)) == 0.25
    # Errors above the clean one, summed: a 0 + 1 + 2 + 3 + 4, b 0 + 0 + 0 + 1 + 1, c 1 + 2 + 1 + 2 + 3.
    for name, ratio in (("a", 1.0), ("b", 2 / 10), ("c", 9 / 10)):
        assert value(table, of("relative_mce", name, severity=None)) == pytest.approx(ratio)


def test_ranks_and_differences_are_paired(table: Rows) -> None:
    def order(severity: float) -> dict[str, Any]:
        return {
            "metric": "accuracy",
            "shift": "fog",
            "severity": severity,
            "weights": ["a-erm", "b-erm", "c-erm"],
        }

    columns = [[line[at].count("1") for line in TABLE.values()] for at in (1, 5)]
    tau = scipy.stats.kendalltau(*columns).statistic
    assert value(table, {"kendall": [order(0.5), order(2.5)]}) == pytest.approx(tau)
    one, other = (evaluate(table, of("accuracy", name, severity=0.5)).values[0] for name in "ac")
    both = evaluate(table, {"difference": [of("accuracy", n, severity=0.5) for n in "ac"]}).values[
        0
    ]
    assert np.allclose(both, one - other, equal_nan=True)


def test_the_clearest_reversal_is_of_a_then_b(table: Rows) -> None:
    found = evaluate(table, of("rank_reversal", "a", severity=None)).values[0]
    leads = [
        evaluate(table, {"difference": [of("accuracy", n, severity=at) for n in names]}).values[0]
        for names, at in (("ab", 0.5), ("ba", 2.5))
    ]
    assert np.array_equal(found, np.minimum(*leads), equal_nan=True)
    assert found[0] == 0.25


# --- the release, in small -------------------------------------------------------------------------


@pytest.fixture
def release(tmp_path: Path) -> dict[str, Any]:
    _, options = miniature_originals.cns_bench(tmp_path)
    return {**cns_bench.PARAMS, **options}


def change(release: dict[str, Any], edit: Callable[[dict[str, Any]], None]) -> None:
    file = Path(release["path"]) / "annotations_cns.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    _cns.read.cache_clear()


def test_the_dataset_is_scale_0_and_the_shift_the_same_path_at_another(
    release: dict[str, Any],
) -> None:
    samples = list(cns_bench.samples("test", {}, release))
    assert [sample.key for sample in samples][:2] == [
        "cns_bench/cartoon_style/002_0001",
        "cns_bench/cartoon_style/002_0002",
    ]
    assert [sample.fields["label"] for sample in samples] == [2, 2, 2, 22, 22, 22]
    sample = samples[-1]
    for scale in SCALES:
        shown = cns_scale.apply(sample, scale, RandomStream(0, "s", "d", "k"), path=release["path"])
        file = (
            Path(release["path"])
            / f"cartoon_style/022_bald eagle/seed_0034_scale_{int(1000 * scale):04d}.jpg"
        )
        assert np.array_equal(shown.fields["image"], miniatures_array(file))
        assert shown.fields["meta"]["scale"] == scale
        assert shown.key == sample.key
    with pytest.raises(RangeError, match="no images at 0.75"):
        cns_scale.apply(sample, 0.75, RandomStream(0, "s", "d", "k"), path=release["path"])
    with pytest.raises(DataError, match="says no nuisance"):
        cns_scale.apply(
            Sample("k", sample.fields | {"meta": {}}),
            1,
            RandomStream(0, "s", "d", "k"),
            path=release["path"],
        )


def miniatures_array(file: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(file).convert("RGB"))


def test_a_path_has_six_scales_and_the_file_as_many_images_as_published(
    release: dict[str, Any],
) -> None:
    def lose_one(content: dict[str, Any]) -> None:
        content["images"] = [
            row for row in content["images"]
            if (row["class"], row["seed"], row["scale"], row["shift"]) != (2, 2, 1.5, "cartoon_style")
        ]  # fmt: skip

    change(release, lose_one)
    found = list(cns_bench.samples("test", {}, release))
    errors = [str(one) for one in found if isinstance(one, DataError)]
    assert len(found) - len(errors) == 5
    assert "lists 71 images, expected 72" in errors[0]
    assert "002_0002: the path has no image at scale 1.5" in errors[1]
    assert cns_bench.PARAMS["images"] == 192_168


def test_licence_classes_and_doubles_are_checked(release: dict[str, Any]) -> None:
    names = cns_bench.classes({**release, "restricted": True}, {})
    assert names == ("great white shark", "bald eagle")
    restricted = list(cns_bench.samples("test", {}, {**release, "restricted": True}))
    assert [sample.fields["label"] for sample in restricted] == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ParamsError, match="no nuisance 'cartoon_styl'; did you mean cartoon_style"):
        list(cns_bench.samples("test", {}, {**release, "nuisance": "cartoon_styl"}))
    change(release, lambda content: content["info"].update(license="CC-BY-4.0"))
    with pytest.raises(DataError, match="declares the licence 'CC-BY-4.0'"):
        list(cns_bench.samples("test", {}, release))
    change(release, lambda content: content["images"].append(content["images"][0]))
    with pytest.raises(DataError, match="stand at the place of another"):
        list(cns_bench.samples("test", {}, {**release, "licence": "CC-BY-4.0"}))


COLUMNS = (
    "",
    "pred_class",
    "gt_class",
    "shift",
    "class_str",
    "img_name",
    "class_name",
    "seed",
    "scale",
)


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
            shown = cns_scale.apply(
                sample, scale, RandomStream(0, "s", "d", "k"), path=release["path"]
            )
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
    some = [
        "alexnet",
        "resnet34.a1_in1k",
        "clip_vit_large_patch14_336",
        "dinov2_vit_giant_patch14_reg",
    ]
    some += [
        "convnextv2_huge.fcmae_ft_in1k",
        "deit3_huge_patch14_224.fb_in1k",
        "mae_vit_huge_patch14",
    ]
    assert set(some) < set(names)


def overlay(
    full: dict[str, Any], nuisances: tuple[str, ...], nets: tuple[str, ...], images: int
) -> dict[str, Any]:
    """Return the full scale cut down to some nuisances and classifiers, with a labelled set beside."""
    labelled = {"use": "cns_labelled", "path": "data/cns_labelled"}
    weights = [{"models": list(nets), "trainers": ["given"]}]
    judged = {"dataset": "labelled", "metrics": ["accuracy"], "analyses": ["labelled_filter"]}
    judged["weights"] = [{"models": ["convnet"], "trainers": ["random_init"]}]
    return {
        **full,
        "datasets": {
            **{n: {**full["datasets"][n], "images": images} for n in nuisances},
            "labelled": labelled,
        },
        "shifts": {n: full["shifts"][n] for n in nuisances},
        "models": {**{net: full["models"][net] for net in nets}, "convnet": {}},
        "trainers": {"given": {}, "random_init": {}},
        "campaigns": {
            **{n: {**full["campaigns"][n], "weights": weights} for n in nuisances},
            "labelled": judged,
        },
        "bootstrap": {"draws": 200},
    }


def test_the_full_scale_runs_on_a_miniature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**own, "campaigns": {}}))
    (tmp_path / "params").mkdir()
    cut = overlay(full, nuisances, nets, options["images"])
    (tmp_path / "params/mine.yaml").write_text(yaml.safe_dump(cut))
    planned, made = plan.load("mine")
    run_local.make(planned, made)
    tables = [made / Ref("tables", name).path for name in cut["campaigns"]]
    rows = judge_claims.read(tables, {})
    claims = {name: claim for name, claim in card.claims.items() if claim.scale == "full"}
    verdicts = {one.name: one for one in judge(claims, rows, "full")}
    assert {one.part for one in verdicts["ranking_full"].parts} == set(nuisances)
    assert verdicts["filter_full"].value == pytest.approx(0.5 * (1 + 1) - 0.5 * (0.5 + 1))
