"""Batches are evaluated again: what is genuine comes out again, what is forged does not, whatever digests say."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from makers import forgeries
from shiftbench.audit.case import Case
from shiftbench.audit.checks import evaluations
from shiftbench.audit.evidence import environments
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import row_comparison, tolerance
from shiftbench.audit.reproduce.evaluated_batches import Group, evaluate_again
from shiftbench.audit.reproduce.row_comparison import Comparison
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.provenance import recipe
from shiftbench.workflow.stages import verbs

S0, S1 = (Ref("checkpoints", f"tiny/convnet-erm-s{seed}") for seed in (0, 1))
CHECKS = (evaluations.reevaluation, evaluations.sensitivity, evaluations.fallback, evaluations.caching)


def records(shift: str, seed: int = 0, method: str = "plain") -> Ref:
    return Ref("records", f"tiny/convnet-erm-s{seed}/{method}/tiny/test/{shift}")


def case(made, **over: object) -> Case:
    return made.case(plan=made.plan(**over), level=3, count=99)


def level3(audited: Case) -> dict[str, list[Finding]]:
    """Return the findings of the four checks by their numbers."""
    said = {check.number: list(check(audited)) for check in CHECKS}
    assert all(any(isinstance(one, Note) for one in told) for told in said.values())
    return {n: [one for one in told if isinstance(one, Finding)] for n, told in said.items()}


@pytest.mark.real_workers
def test_what_is_genuine_comes_out_again(made):
    audited = case(made)
    assert level3(audited) == {"A20": [], "A21": [], "A22": [], "A23": []}
    one, _ = evaluate_again(audited).groups
    assert {name.rpartition("plain/")[2] for name in one.batches} == {
        *(f"tiny/test/{place}" for place in ("identity/0", "contrast/3", "contrast/5")),
        *(f"tiny/test/{place}" for place in ("gaussian_noise/1", "gaussian_noise/3")),
        "tiny/test/jpeg_compression/3",  # shifted again while clean shards are read
        *("tiny/val/identity/0", "secret/test/identity/0", "other/test/identity/0"),
    }
    assert all("features" in visit for visit in one.answer["visits"])
    stated = audited.run_file(one.first.ref)["sensitivity"]
    assert one.answer["sensitivity"] == stated
    assert one.answer["caching"]["calls"]["new"][0] > 0


def test_forged_results_do_not_come_out_again(made):
    """Forgeries in several records of one net and swapped weights of none, each named with its sample."""
    scaled, relabelled = pl.col("logits").list.eval(pl.element() * 1.5), (pl.col("label") + 1) % 3
    forgeries.cell(made.root, records("identity/0"), forgeries.row(3), logits=scaled)
    forgeries.cell(made.root, records("contrast/3"), forgeries.row(5), label=relabelled)
    forgeries.table(made.root, records("contrast/5"), lambda frame: frame)
    kept = made.root / Ref("features", records("identity/0").name.replace("test", "val")).path
    features = np.load(kept)
    features[4, 1] += 1e-6
    np.save(kept, features)
    made.edit(f"{records('identity/0').path}.run.json", lambda run: run.pop("sensitivity"))
    made.edit(f"{kept.relative_to(made.root).with_suffix('')}.npy.run.json", lambda run: run)
    found = level3(case(made))
    by_file = {finding.file: finding for finding in found["A20"]}
    assert by_file.keys() == {
        records("identity/0").path,
        records("contrast/3").path,
        records("identity/0").path.replace("test", "val"),
    }
    assert {finding.verdict for finding in found["A20"] + found["A22"]} == {"failed"}
    logits = by_file[records("identity/0").path]
    assert "evaluated again, logits differs" in logits.why
    assert logits.sample
    assert any("accuracy of convnet-erm-s0 on tiny/test/identity" in n for n in logits.numbers)
    assert "no environment changes label" in by_file[records("contrast/3").path].why
    assert "features" in by_file[records("identity/0").path.replace("test", "val")].why
    assert len(found["A22"]) == 1  # one net of two
    assert not found["A23"]


def test_swapped_model_are_found(made):
    forgeries.swap(made.root, S0, S1)
    found = level3(case(made))
    assert {finding.verdict for finding in found["A20"]} == {"failed"}
    assert len(found["A20"]) == 2 * 9
    assert len(found["A22"]) == 2


REMEMBERS = """
from pathlib import Path
import numpy as np
SEES = "sample"
PARAMS = {}
def wrap(predictor, params, inputs):
    known = {}
    hidden = Path(HIDDEN)
    def predict(samples):
        np.load(hidden)
        key = b"".join(sample.fields["image"].tobytes() for sample in samples)
        if key not in known:
            known[key] = predictor(samples)
        return known[key]
    return predict
"""


def test_what_is_remembered_is_found(made):
    hidden = made.root / "outputs.npy"
    np.save(hidden, np.zeros(3))
    text = REMEMBERS.replace("HIDDEN", repr(str(hidden)))
    (made.root / "mine/methods/remembers.py").write_text(text)
    found = level3(case(made, methods={"plain": {"use": "remembers"}}))
    assert found["A20"] == []
    whys = {finding.why for finding in found["A23"]}
    assert any(why.startswith(f"evaluation opens {hidden}, which no recipe names") for why in whys)
    assert "a repeated batch is not computed like a new one: its outputs are cached" in whys


WRITES = """
SEES = "sample"
PARAMS = {}
def wrap(predictor, params, inputs):
    def predict(samples):
        words = 1 + samples[0].fields["label"]
        return [predictor(samples) for _ in range(words)][-1]
    return predict
"""


def test_a_batch_that_takes_more_steps_than_another_is_no_cache(made):
    """As of a decoder that writes up to an end."""
    (made.root / "mine/methods/writes.py").write_text(WRITES)
    audited = case(made, methods={"plain": {"use": "writes"}})
    assert level3(audited)["A23"] == []
    counted = [group.answer["caching"]["calls"]["new"] for group in evaluate_again(audited).groups]
    assert any(len(set(calls)) > 1 for calls in counted)


ADAPTS = """
SEES = "stream"
PARAMS = {}
class Adapting:
    def __init__(self, predictor):
        self.predictor = predictor
        self.reset()
    def reset(self):
        self.seen = 0
    def __call__(self, samples):
        self.seen += len(samples)
        outputs = self.predictor(samples)
        return {**outputs, "logits": outputs["logits"] * (1 + self.seen / 1000)}
def wrap(predictor, params, inputs):
    return Adapting(predictor)
"""


def test_a_method_that_adapts_is_walked_from_the_beginning(made):
    (made.root / "mine/methods/adapts.py").write_text(ADAPTS)
    benchmark = made.plan().params.model_dump(mode="json")["benchmarks"]["tiny"]
    benchmark |= {"methods": ["adapts"], "detectors": [], "features": [], "ood": [], "val_ood": []}
    planned = made.plan(benchmarks__tiny=benchmark, evaluate={"batch_size": 16})
    planned.write(made.root)
    for job in planned.of_verb("evaluate"):
        recipe.execute(made.root / job.recipe_path, verbs.evaluate)
    audited = made.case(plan=planned, level=3, count=2)
    assert level3(audited) == {"A20": [], "A21": [], "A22": [], "A23": []}
    assert all(sum(map(len, one.batches.values())) == 2 for one in evaluate_again(audited).groups)


def test_what_is_not_here_is_named(made):
    (made.root / "data/shards/tiny/test/contrast/3/000000.tar").unlink()
    (made.root / records("contrast/5").path).unlink()
    (made.root / S1.path).unlink()
    found = level3(case(made))["A20"]
    assert {finding.verdict for finding in found} == {"incomplete"}
    whys = {finding.file: finding.why for finding in found}
    assert whys.keys() >= {records("contrast/3").path, records("contrast/5").path}
    assert whys[records("identity/0", 1).path].endswith(f"{S1.path} is not here")
    assert records("identity/0").path not in whys


# --- what differences are worth ----------------------------------------------------------------


def _group(made, **moved: object):
    """Return a case and a group that was evaluated in another environment, with a made-up difference."""
    audited = case(made)
    job = audited.plan.of_verb("evaluate")[0]
    artifact = next(artifact for artifact in job.artifacts if artifact.ref.kind == "records")
    group = Group(job, {}, artifact)
    known = {"known": 1000, "right": 900, "largest": 1e-4, "scale": 10.0, "other": ["logits"]}
    group.comparisons = [Comparison(artifact, 1000, **(known | moved))]
    run = audited.run_file(artifact.ref)
    features = run["environment"]["cpu_features"][:-1]
    group.environment = {**run["environment"], "cpu_features": features}
    group.answer = {"device": "cpu", "sensitivity": {"batch": {"largest": 2e-6, "flip_rate": 0.0}}}
    return audited, group


@pytest.mark.parametrize(
    ("moved", "verdict", "said"),
    [
        ({}, "statistical", "accuracy 0.9000 on 1000 samples"),
        ({"gained": 3, "lost": 4, "flips": 7}, "statistical", "what differs: cpu_features"),
        ({"largest": 0.2}, "failed", "a score moved by 0.2, and"),
        ({"largest": 2e-3, "flips": 2, "gained": 2}, "failed", "was measured to be possible"),
        ({"lost": 6}, "failed", "McNemar p = 0.031"),
        ({"gained": 30, "lost": 60}, "failed", "more than these explain"),
        ({"hard": ["label"]}, "failed", "no environment changes label"),
        ({"known": 0, "right": 0}, "statistical", "no sample has a label"),
    ],
)
def test_what_another_environment_may_change(made, moved, verdict, said):
    audited, group = _group(made, **moved)
    told, why = tolerance.judge(audited, group)
    assert told == verdict
    assert said in why


def test_in_the_same_environment_nothing_may_differ(made):
    audited, group = _group(made)
    group.environment = audited.run_file(group.first.ref)["environment"]
    assert tolerance.judge(audited, group)[0] == "failed"
    group.answer["device"] = "cuda:0"
    assert tolerance.judge(audited, group)[0] == "statistical"
    group.comparisons[0].largest = 1e-2  # TF32, or a forgery: only such a device can tell
    assert tolerance.judge(audited, group)[0] == "incomplete"
    group.comparisons[0].largest = 0.2
    assert tolerance.judge(audited, group)[0] == "failed"


def test_reasons_are_what_can_change_bytes():
    then = {"cpu_features": ["avx", "avx512f"], "cores": 2, "packages": {"torch": "2", "dvc": "3"}}
    now = {"cpu_features": ["avx"], "cores": 64, "packages": {"torch": "3", "dvc": "4", "timm": "1"}}
    assert environments.reasons(then, now) == ["cpu_features: avx512f only on one of them", "torch 2 -> 3"]
    assert environments.reasons(None, now) == []


@pytest.mark.parametrize(("here", "elsewhere"), [(0.02, "failed"), (1e-4, "exact")])
def test_another_sensitivity_than_is_recorded_fails(made, here, elsewhere):
    """In the same environment by any difference, in another one by more than a factor of ten."""
    audited = case(made)
    first = evaluate_again(audited).groups[0]
    first.answer["sensitivity"]["batch"]["largest"] = here
    (finding,) = level3(audited)["A21"]
    assert finding.why == "the effect of the batch size on outputs is not the recorded one"
    assert finding.file == f"{first.first.ref.path}.run.json"
    first.environment["cpu_features"] = ["avx"]
    assert (len(level3(audited)["A21"]) == 1) == (elsewhere == "failed")


def test_a_prediction_that_no_score_explains_is_no_environment(made):
    artifact = case(made).plan.artifacts[records("identity/0")]
    found = schema.read(made.root / artifact.ref.path)
    other = pa.array([1 - value % 2 for value in found.column("prediction").to_pylist()])
    at = found.column_names.index("prediction")
    forged = found.set_column(at, found.schema.field(at), other.cast(found.schema.field(at).type))
    assert row_comparison.rows(artifact, forged, found).hard == ["prediction"]
