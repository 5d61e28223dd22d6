"""What was found is drawn from, summarised and read: data sets of regions, the summary, the release's own files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError
from shiftbench.base.registry import defaults
from shiftbench.contracts import shift_digests
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement
from shiftbench.systems.pose_examiner.analyses import region_summary, released_searches
from shiftbench.systems.pose_examiner.datasets import _examined, failure_regions
from shiftbench.workflow.plan import cards

CENTRE = _examined.decode(np.zeros(16))


def write(path: Path, half: float, errors: list[float], prior: list[float]) -> Path:
    """Write what a searcher found: a box of `half` to both sides, cut off at the limits."""
    low = np.maximum(CENTRE - half, _examined.LOW)
    high = np.minimum(CENTRE + half, _examined.HIGH)
    steps = np.linspace(0.1, 0.9, len(errors))[:, None]
    tensors = {
        "centre": CENTRE, "low": low, "high": high, "samples": low + steps * (high - low),
        "errors": np.array(errors), "prior_errors": np.array(prior),
        "found": np.array([0.2, 21.0, 100.0, 1.0]),
    }  # fmt: skip
    state = {name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}
    path.write_bytes(nets.state_bytes(state, {}))
    return path


@pytest.fixture
def found(tmp_path: Path) -> dict[Any, Path]:
    """A narrow box, which did not grow, and a wide one."""
    refs_of = [refs.checkpoint("capsule_bodies", "heatmap_net", "examiner", n) for n in range(2)]
    return {
        refs_of[0]: write(tmp_path / "0", 0.03, [0.05, 0.3, 0.1, 0.09], [0.06] * 4),
        refs_of[1]: write(tmp_path / "1", 0.06, [0.15, 0.25, 0.2, 0.4], [0.05] * 4),
    }


def regions(found: dict[Any, Path], split: str = "test", **options: Any) -> list[Any]:
    params = {**defaults(failure_regions), "name": "regions", "trainer": "examiner", "test": 6, "train": 6}
    params |= {"searchers": [0, 1], "height": 64, "width": 48, **options}
    return list(failure_regions.samples(split, shift_digests.originals(), params, found))


def angles(samples: list[Any]) -> np.ndarray:
    return np.array([one.fields["meta"]["angles"] for one in samples]) * _examined.DEGREE


def test_narrow_boxes_are_widened_wide_ones_are_not(found: dict[Any, Path]) -> None:
    half = [np.abs(angles(regions(found)) - CENTRE).reshape(2, 6, 16).max(axis=(1, 2))]
    assert 0.06 < half[0][0] <= 0.2301
    assert half[0][1] <= 0.0601
    kept = np.abs(angles(regions(found, widen=False, plain=True)) - CENTRE).reshape(2, -1)
    assert kept[0].max() <= 0.0301


def test_samples_are_resampled_by_searcher_and_keep_the_limits(found: dict[Any, Path]) -> None:
    samples = regions(found)
    clusters = [one.fields["meta"]["cluster"] for one in samples]
    assert clusters == ["searcher_000"] * 6 + ["searcher_001"] * 6
    assert [one.key for one in samples] == sorted({one.key for one in samples})
    assert (angles(samples) >= _examined.LOW - 1e-4).all()
    assert (angles(samples) <= _examined.HIGH + 1e-4).all()


def test_poses_to_learn_from_and_to_test_on_differ(found: dict[Any, Path]) -> None:
    learnt = {tuple(row) for row in angles(regions(found, "train"))}
    assert not learnt & {tuple(row) for row in angles(regions(found))}
    assert len(learnt) == 12


def test_plain_pictures_are_those_of_the_search_and_others_stand_on_photos(found: dict[Any, Path]) -> None:
    for one in regions(found, plain=True, searchers=[0]):
        assert (one.fields["image"][0] == 255).all()
    for one in regions(found, searchers=[0]):
        assert (one.fields["image"][0] == 255).mean() < 0.5


def test_the_worst_pose_of_each_searcher_is_that_of_the_largest_error(found: dict[Any, Path]) -> None:
    worst = regions(found, worst=True, plain=True)
    assert len(worst) == 2
    low, high = CENTRE - 0.03, np.minimum(CENTRE + 0.03, _examined.HIGH)
    low = np.maximum(low, _examined.LOW)
    share = np.linspace(0.1, 0.9, 4)[1]
    np.testing.assert_allclose(angles(worst)[0], low + share * (high - low), atol=1e-4)


def test_without_a_trainer_poses_are_of_the_prior(found: dict[Any, Path]) -> None:
    assert failure_regions.needs({**defaults(failure_regions)}) == []
    samples = regions({}, trainer="", plain=True)
    assert np.abs(angles(samples) - CENTRE).max() > 0.3
    with pytest.raises(KeyError):
        regions({}, plain=True)


def summary(found: dict[Any, Path], **options: Any) -> dict[tuple[str, int, str | None], list[float]]:
    params = {**defaults(region_summary), "searches": {"heatmap_net": ["examiner"]}, "searchers": 2}
    job = Measurement({**params, "dataset": "capsule_bodies", **options}, found, 0, {})
    rows: dict[tuple[str, int, str | None], list[float]] = {}
    for one in region_summary.measure(job):
        searcher = int(one.model[-1])
        rows.setdefault((one.metric, searcher, one.group), []).append(one.value)
    return rows


def test_the_summary_by_hand(found: dict[Any, Path]) -> None:
    rows = summary(found)
    assert rows["success", 0, None] == [0.0]  # 0.24 or less
    assert rows["success", 1, None] == [1.0]
    assert rows["region_error", 0, None] == [0.05, 0.3, 0.1, 0.09]
    assert rows["prior_error", 1, None] == [0.05] * 4
    assert rows["evaluations", 0, None] == [121.0]
    assert rows["missed", 0, None] == [0.25]
    assert rows["centre_error", 0, None] == [0.2]
    assert not [key for key in rows if key[1] == 0 and key[2]], "a searcher that failed is averaged"
    assert rows["error_min", 1, "successful"] == [0.15]
    assert rows["error_max", 1, "successful"] == [0.4]
    assert rows["error_median", 1, "successful"] == [pytest.approx(0.225)]
    assert rows["easy_share", 1, "successful"] == [0.0] * 4


def test_an_error_at_the_threshold_is_no_easy_one(found: dict[Any, Path]) -> None:
    rows = summary(found, size=0.01, threshold=0.1)
    assert rows["easy_share", 0, "successful"] == [1.0, 0.0, 0.0, 1.0]


def test_a_success_is_as_wide_a_box_as_in_the_paper() -> None:
    assert defaults(region_summary)["size"] == pytest.approx(0.6 / np.sqrt(63) * np.sqrt(16))


EVALUATION = (
    " ### iter [9999] / NormGap [{gap}] / PARE_MPJPE(RL target) [0.0] / OUTPUT_MPJPE(real error mean) [{mean}] / "
    "OUTPUT_MPJPE(real error min) [91.5] / OUTPUT_MPJPE(real error max) [230.0] / "
    "OUTPUT_MPJPE(real error median) [140.0] / Per_C(percent of samples < 90) [{easy}] \n"
)
FIRST = (
    " ### iter [{at}] / Baseline [40.1] / Embedding distance  [41.0] / Policy_loss [3.1] / 10*Gap [0.6] / "
    "PARE_MPJPE(RL target) [88.0] / OUTPUT_MPJPE(real error) [{error}] / timeNeeds [1.0] \n"
)
SECOND = (
    " ### iter [200] / Baseline [0.0] / Embedding distance  [2.0] / OUTPUT_MPJPE(real error) [99.0] / "
    "InvVposer(weight_zgen) [5.0]  / InvVposer+JointRange(weight) [5.0000] / grad[-3.1] \n"
)
BASE = (
    "##### Now testing checkpoints : [ ./Methods/PARE/master/hrnet_w32_conv_pare.pth ] \n"
    "------------------- [ 3dpw ] -------------------\n"
    "MPJPE : 81.81 \nPA-MPJPE : 50.78 \nPVE : 102.27 \n"
    "---------------------------------------------------------\n"
)
ROUND = (
    "###\n### Robustness testing on checkpoints : [ ./ADV_TRAINING_PARE/adv_loop_{before}.pth ]\n"
    "### Final / MPJPE_STEP1 [1.0] / NormGap-MEAN [2.0] / SuccRate [0.5]\n"
    "##### Now testing checkpoints : [ ./ADV_TRAINING_PARE/adv_loop_{after}.pth ] \n"
    "------------------- [ advTraining_loop_{after}-3dpw ] -------------------\n"
    "MPJPE : {mpjpe} \nPA-MPJPE : 47.25 \nPVE : 91.29 \n"
)
"""As tools/test_final.py and tools/test.py write them in each round of train.sh."""
EXPS = "ADV_TRAINING_PARE/exps_loop_1"


def searched(place: Path, folder: str, mean: float | None = None) -> None:
    """Write two searchers, one of which succeeded."""
    for number, (gap, own, easy) in enumerate(((0.476, 95.0, 0.4), (1.32, 150.0, 0.05)), 1):
        evaluated = place / folder / f"Proc_{number}_evaluation"
        evaluated.mkdir(parents=True)
        line = EVALUATION.format(gap=gap, mean=mean or own, easy=easy)
        (evaluated / "evaluation_error.txt").write_text(line)
        trained = place / folder / f"Proc_{number}_training"
        trained.mkdir()
        lines = FIRST.format(at=0, error=80.0) + FIRST.format(at=1, error=110.5) + SECOND
        (trained / "training_loss.txt").write_text(lines)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Two runs of train.sh, of six rounds each; in the first the original was tested, too."""
    for run, last in ((0, 75.0), (1, 76.0)):
        place = tmp_path / f"run_{run}"
        searched(place, EXPS)
        rounds = "".join(ROUND.format(before=n, after=n + 1, mpjpe=last + 5 - n) for n in range(6))
        (place / "evaluation_results.txt").write_text((BASE if run == 0 else "") + rounds)
    return tmp_path


def read(folder: Path, **params: Any) -> dict[tuple[str, str, str | None], float]:
    given = {**defaults(released_searches), "path": str(folder), "runs": ["run_0", "run_1"], **params}
    job = Measurement(given, {}, 0, {})
    return {(o.metric, o.model, o.group): o.value for o in released_searches.measure(job)}


def test_what_train_sh_writes_is_read(released: Path) -> None:
    rows = read(released)
    one, two, three, four = (f"smpl_bodies/pare-examiner-s{n}" for n in range(4))
    assert [rows["success", name, None] for name in (one, two, three, four)] == [0, 1, 0, 1]
    assert rows["region_error", two, None] == 150.0
    assert rows["centre_error", one, None] == 110.5
    assert rows["easy_share", two, "successful"] == 0.05
    assert rows["error_median", four, "successful"] == 140.0
    assert ("error_median", one, "successful") not in rows
    assert rows["region_error_of", "smpl_bodies/pare-pretrained-s0", None] == 150.0
    assert not [key for key in rows if key[0] == "prior_error"]
    for n in range(1, 7):
        for run, last in ((0, 75.0), (1, 76.0)):
            name = f"smpl_bodies/pare-failures_{n}-s{run}"
            assert rows["mpjpe_mm", name, None] == last + 6 - n


def test_the_original_of_one_run_stands_for_all(released: Path) -> None:
    rows = read(released)
    assert {rows["mpjpe_mm", f"smpl_bodies/pare-pretrained-s{run}", None] for run in (0, 1)} == {81.81}


def test_poses_of_the_prior_are_read_where_a_driver_wrote_them(released: Path) -> None:
    for run in ("run_0", "run_1"):
        searched(released / run, "random_poses", 70.0)
    rows = read(released, random_poses={"pare": "random_poses"})
    assert rows["prior_error", "smpl_bodies/pare-examiner-s1", None] == 70.0


def test_the_first_line_of_an_evaluation_counts_as_in_test_final(released: Path) -> None:
    file = released / "run_0" / EXPS / "Proc_2_evaluation/evaluation_error.txt"
    file.write_text(file.read_text() + EVALUATION.format(gap=0.1, mean=1.0, easy=1.0))
    assert read(released)["region_error", "smpl_bodies/pare-examiner-s1", None] == 150.0


def test_full_claims_ask_for_nothing_that_train_sh_does_not_write(released: Path) -> None:
    rows = {key[:2] for key in read(released)}
    claims = yaml.safe_load(cards.file("pose-examiner").read_text())["claims"]
    asked = [
        (given["metric"], f"smpl_bodies/{given['model']}-s1")  # searcher 1 and run 1 have all
        for name, claim in claims.items()
        if name.endswith("_full")
        for given in selections(claim["value"])
    ]
    assert len(asked) == 4
    assert not set(asked) - rows


def selections(value: Any) -> Iterator[dict[str, Any]]:
    """Yield what an expression of a claim reads."""
    if isinstance(value, dict) and "metric" in value:
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from selections(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from selections(inner)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("evaluation_results.txt", "adv_loop_6", "other", "'other' is none of the checkpoints"),
        ("evaluation_results.txt", "adv_loop_6", "adv_loop_x", "'adv_loop_x' is none of the"),
        ("evaluation_results.txt", "loop_1-3dpw", "loop_1-h36m", "line 11: 'h36m' is none of the tests"),
        ("evaluation_results.txt", BASE[:60], "MPJPE : 1.0\n" + BASE[:60], "before the checkpoint"),
        (f"{EXPS}/Proc_1_evaluation/evaluation_error.txt", "NormGap", "Gap", "nothing of NormGap"),
        (f"{EXPS}/Proc_2_evaluation/evaluation_error.txt", "[1.32]", "[x]", "NormGap is 'x', no number"),
        (f"{EXPS}/Proc_1_training/training_loss.txt", "timeNeeds", "InvVposer", "no line of the first"),
    ],
)
def test_what_it_does_not_write_is_refused(released: Path, file: str, old: str, new: str, message: str) -> None:
    place = released / "run_0" / file
    place.write_text(place.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read(released)


@pytest.mark.parametrize("lacking", ["evaluation_results.txt", f"{EXPS}/Proc_1_training/training_loss.txt"])
def test_a_file_that_is_missing_is_named(released: Path, lacking: str) -> None:
    (released / "run_1" / lacking).unlink()
    with pytest.raises(DataError, match=f"{Path(lacking).name} does not exist"):
        read(released)


def test_a_model_without_searches_is_refused(released: Path) -> None:
    with pytest.raises(DataError, match=r"run_0/spin/exps has no Proc_N_evaluation"):
        read(released, searches={"spin": "spin/exps"})


def test_every_part_is_found_by_its_name() -> None:
    for family, name in (
        *(("trainers", arm) for arm in ("examiner", "random_search", "cma_search")),
        *(("analyses", one) for one in ("region_summary", "released_searches")),
    ):
        assert registry.find(family, name).__doc__
