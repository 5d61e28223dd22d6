"""Samples are made again elsewhere: what is genuine comes out again, what is forged does not, whatever digests say."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from makers import forgeries
from shiftbench.audit.case import Case
from shiftbench.audit.checks import remade_shards
from shiftbench.audit.finding import Finding, Note
from shiftbench.audit.reproduce import shard_samples, shard_worker
from shiftbench.audit.reproduce.isolation import IsolatedCheckout
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards
from shiftbench.evaluation.apply_shift import Shifter

NOISE1, NOISE3 = (Ref("shards", f"tiny/test/gaussian_noise/{s}") for s in (1, 3))
CONTRAST3, CONTRAST5 = (Ref("shards", f"tiny/test/contrast/{s}") for s in (3, 5))
JPEG = Ref("previews", "tiny/test/jpeg_compression/3")
CLEAN = Ref("shards", "tiny/test/identity/0")
OTHER = Ref("shards", "other/test/identity/0")
VAL, SECRET = (Ref("shards", "tiny/val/identity/0"), Ref("shards", "secret/test/identity/0", local=True))


def case(made, seed: str = "seed", **over: object) -> Case:
    scratch = made.root.with_name(f"scratch-{seed}")
    return made.case(plan=made.plan(**over), level=2, count=16, seed=seed, scratch=scratch)


def split(said: Iterator[Finding | Note]) -> tuple[dict[str, list[Finding]], str]:
    """Return the findings by the folder or file that they are about, and all notes."""
    findings: dict[str, list[Finding]] = {}
    notes = []
    for one in said:
        if isinstance(one, Note):
            notes.append(one.text)
        else:
            name = one.file.removesuffix("/manifest.json").removesuffix("/000000.tar")
            findings.setdefault(name, []).append(one)
    return findings, "\n".join(notes)


def place(ref: Ref) -> str:
    return ref.path.removesuffix("/manifest.json")


@pytest.mark.real_workers
def test_what_is_genuine_comes_out_again(made):
    audited = case(made)
    findings, notes = split(remade_shards.rebuild(audited))
    assert findings == {}
    assert notes.startswith("9 folders of shards: 794 samples made again, 9 folders whole; 7 previews\n")
    assert "Landlock" in notes
    findings, notes = split(remade_shards.alone(audited))
    assert findings == {}
    assert notes.startswith("3 shifts: one sample each made alone, and 2 times")


def one_pixel(samples: list[Sample]) -> list[Sample]:
    image = samples[7].fields["image"].copy()
    image[0, 0] ^= 64
    return [*samples[:7], samples[7].with_field("image", image), *samples[8:]]


@pytest.fixture
def spoilt(made, monkeypatch):
    """A benchmark with a forgery in each of several folders, all digests updated."""
    root, noise = made.root, made.plan().artifacts[NOISE1].recipe
    held = {ref: list(shards.read((root / ref.path).parent)) for ref in (CLEAN, CONTRAST3, CONTRAST5)}
    other_seed = Shifter.of({**noise, "seed": 1}, "tiny", {})
    forgeries.samples(root, NOISE1, lambda _: map(other_seed, held[CLEAN]))
    forgeries.samples(root, NOISE3, one_pixel)
    forgeries.samples(root, CONTRAST3, lambda _: held[CONTRAST5])
    forgeries.samples(root, CONTRAST5, lambda _: held[CONTRAST3])
    forgeries.samples(root, OTHER, lambda samples: samples[:-1], classes=["one", "zero", "two"])
    with monkeypatch.context() as patch:
        patch.setattr(codecs, "_PNG", (codecs._PNG[0], 6))
        forgeries.samples(root, VAL, lambda samples: samples)
        forgeries.samples(root, SECRET, lambda samples: samples)
    encoder = {"pillow": "12.0.0"}
    made.edit(f"{SECRET.path}.run.json", lambda run: run["environment"]["packages"].update(encoder))
    made.edit(JPEG.path, lambda content: content["samples"][0].update(pixels="0" * 32))
    return made


def test_forged_shards_do_not_come_out_again(spoilt):
    """Equal pixels in other bytes are forgiven where the encoder is said to be another one, and only there."""
    audited = case(spoilt)
    found, _ = split(remade_shards.rebuild(audited))
    forgeries = (NOISE1, NOISE3, CONTRAST3, CONTRAST5, OTHER, VAL, SECRET)
    named = {place(ref) for ref in forgeries} | {JPEG.path}
    previews = {Ref("previews", ref.name, ref.local).path for ref in forgeries}
    assert named <= found.keys() <= named | previews
    forgiven = {(one.verdict, "pillow 12.0.0 -> " in one.why) for one in found.pop(place(SECRET))}
    assert forgiven == {("statistical", True)}
    assert {finding.verdict for findings in found.values() for finding in findings} == {"failed"}
    assert found[place(VAL)][0].why.endswith("in the environment of the run")
    (one,) = found[place(NOISE3)]
    assert "1 of 784 pixels differ, by 64 at most" in str(one.explanation)
    assert any("accuracy of convnet-erm-s0 on tiny/test/gaussian_noise/3" in n for n in one.numbers)
    assert (NOISE3, one.file, (one.sample,)) in audited.mismatches
    assert "(60 of 60 samples)" in found[place(NOISE1)][0].why
    assert len(found[place(NOISE1)]) == shard_samples.SHOWN
    assert [finding.why for finding in found[place(OTHER)]] == [
        "it does not have the samples that the recipe gives; make it again",
        "the manifest states another classes than the recipe gives",
    ]
    found, _ = split(remade_shards.alone(audited))
    assert JPEG.path in found
    assert any("contrast" in name for name in found)


LEAKY = """
from shiftbench.plugins.shifts.contrast import *
from shiftbench.plugins.shifts import contrast
seen = []
def apply(image, severity, words, **options):
    seen.append(1)
    return contrast.apply(image, severity, words, **options) if len(seen) > 1 else image
"""


def test_a_shift_that_remembers_other_samples_is_found(made):
    (made.root / "mine/shifts/leaky.py").write_text(LEAKY)
    audited = case(made, shifts__contrast__use="leaky")
    found, _ = split(remade_shards.alone(audited))
    (name,) = found
    assert "contrast" in name
    assert [finding.why.partition(",")[0] for finding in found[name]] == ["made alone", "made in reverse order"]


def test_what_is_not_here_is_named(made):
    (made.root / CLEAN.path).parent.joinpath("000000.tar").unlink()
    (made.root / OTHER.path).unlink()
    kit = shard_samples.Samples(case(made), "here")
    assert sorted(folder.ref.parts[0] for folder in kit.folders()) == ["secret"] + 3 * ["tiny"]  # clean
    found, _ = split(iter(kit.problems))
    assert {finding.verdict for findings in found.values() for finding in findings} == {"incomplete"}
    assert found.keys() == {place(ref) for ref in (OTHER, NOISE1, NOISE3, CONTRAST3, CONTRAST5)}
    (one,) = found[place(NOISE1)]
    assert one.why == f"60 samples could not be made again: {place(CLEAN)}/000000.tar is not here"


def test_an_original_is_taken_from_the_cache_if_it_is_the_right_one(made, tmp_path, monkeypatch):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache/originals/own"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    sources = made.root / "mine/sources"
    sources.mkdir()
    text = "title: t\nlicence: l\nredistribute: true\ncitation: c\nproviders: [{npm: own, version: '1'}]\n"
    stated = f"files: {{a.txt: {{sha256: '{hashlib.sha256(b'a').hexdigest()}', size: 1}}}}\n"
    (sources / "own.yaml").write_text(text + stated)
    audited = case(made)
    ref = Ref("sources", "own")
    artifact = replace(audited.plan.artifacts[CLEAN], inputs=(ref,))
    assert IsolatedCheckout(audited, "one").lack(artifact) == ""
    (folder / "a.txt").write_text("b")
    assert IsolatedCheckout(audited, "two").lack(artifact) == f": {ref.path} is not here"


def test_the_other_environment_is_another_one(made, tmp_path):
    for name in ("varied", "again"):
        (tmp_path / name).mkdir()
    checkout = IsolatedCheckout(case(made), "environment")
    varied = checkout._environment(tmp_path / "varied", varied=True)
    again = checkout._environment(tmp_path / "again", varied=False)
    assert {"TZ", "LC_ALL", "PYTHONHASHSEED", "OMP_NUM_THREADS"} <= {
        name for name in varied if varied[name] != again.get(name)
    }
    assert {"HOME", "XDG_CACHE_HOME", "SHIFTBENCH_CACHE"} <= varied.keys()


def test_folders_are_listed_in_another_order(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).touch()
    order = os.listdir(tmp_path), [path.name for path in tmp_path.glob("*")]  # noqa: PTH208
    monkeypatch.setattr(os, "listdir", os.listdir)
    monkeypatch.setattr(os, "scandir", os.scandir)
    shard_worker._list_backwards()
    assert os.listdir(tmp_path) == order[0][::-1]  # noqa: PTH208
    assert [path.name for path in tmp_path.glob("*")] == order[1][::-1]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c"]


# --- what is drawn -----------------------------------------------------------------------------


def test_probabilities_are_those_of_a_draw_without_replacement():
    assert remade_shards.detection_chance(4, 2, 2) == pytest.approx(1 - 2 / 4 * 1 / 3)
    assert remade_shards.detection_chance(2000, 200, 16) == pytest.approx(1 - 0.9**16, abs=2e-3)
    assert remade_shards.detection_chance(10, 1, 99) == 1


def test_faults_are_met_as_often_as_stated(made, tmp_path, monkeypatch):
    """Twenty audits of one folder, a tenth of whose samples is forged: as many meet one as the note says."""
    monkeypatch.setattr(remade_shards, "WHOLE", 20)
    faulty = 6

    def some(samples: list[Sample]) -> list[Sample]:
        images = [255 - np.asarray(one.fields["image"]) for one in samples]
        return [
            one.with_field("image", image) if number % 10 == 3 else one
            for number, (one, image) in enumerate(zip(samples, images, strict=True))
        ]

    forgeries.samples(made.root, CONTRAST5, some)
    hits, drawn = 0, set()
    for seed in range(20):
        audited = case(made, str(seed))
        kit = shard_samples.Samples(audited, "draws")
        (folder,) = (one for one in kit.folders() if one.ref == CONTRAST5)
        task = remade_shards.task(audited, folder)
        assert len(task.expected) == 16
        out = tmp_path / f"out-{seed}"
        out.mkdir()
        task.answer = shard_worker.make(kit._spec(task), out)
        hits += any(True for _ in shard_samples.judge(audited, task, "made again"))
        drawn.add(frozenset(task.expected))
    chance = remade_shards.detection_chance(60, faulty, 16)
    low, high = binom.interval(0.999, 20, chance)
    assert chance == pytest.approx(1 - math.comb(54, 16) / math.comb(60, 16))
    assert low <= hits <= high
    assert len(drawn) == 20
