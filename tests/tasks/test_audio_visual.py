import base64
import json
from typing import Any

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, frames
from shiftbench.plugins.tasks import LabelSpace, audio_visual

SPACE = LabelSpace((), ())
CURVE = np.array([0, 200, 400, 200, 0])


def clip(number: int = 0, curve: np.ndarray | None = CURVE, **meta: str) -> Sample:
    fields: dict[str, Any] = {"audio": np.arange(3200, dtype=np.int16), "text": "so", "meta": meta}
    if curve is not None:
        values = np.stack([curve, curve // 2], axis=1)
        fields["targets"] = frames.pack_targets(("openness", "width"), values)
    return Sample(f"toy/test/{number}", fields)


def answers(**outputs: list[Any]) -> dict[str, np.ndarray]:
    made = {}
    for name, values in outputs.items():
        made[name] = np.empty(len(values), dtype=object)
        for at, value in enumerate(values):
            made[name][at] = np.array(value)
    return made


def moved(scale: float) -> np.ndarray:
    return np.stack([CURVE * scale / 1000, CURVE / 2000], axis=1)


def test_one_row_per_clip_in_order() -> None:
    outputs = answers(motion=[moved(0.5), moved(-1), moved(0)], sync=[[3, 1, 2]] * 3)
    some = [clip(0, group="a", cluster="s"), clip(1), clip(2)]
    table = audio_visual.rows(some, outputs, SPACE, "full")
    assert table.schema.equals(audio_visual.schema(0, "full"))
    first, second, third = table.to_pylist()
    assert (first["group"], first["cluster"], second["group"]) == ("a", "s", None)
    assert (first["correlation_e9"], second["correlation_e9"], third["correlation_e9"]) == (10**9, -(10**9), 0)
    assert first["amplitude_e9"] == 5 * 10**8
    # CURVE / 1000: mean 0.16, variance 0.0224. Of half of it 2 x 0.0112 / (0.0056 + 0.0224 + 0.0064).
    assert first["concordance_e9"] == pytest.approx(1e9 * 0.0224 / 0.0344, abs=1)
    assert (first["lse_d_e9"], first["lse_c_e9"], first["offset"]) == (10**9, 10**9, 0)
    assert (first["frames"], first["width"]) == (5, 2)
    assert np.reshape(first["motion"], (5, 2)) == pytest.approx(moved(0.5))
    assert len(audio_visual.rows([], answers(motion=[]), SPACE, "full")) == 0


def test_without_a_truth_only_sync_is_told() -> None:
    table = audio_visual.rows([clip(curve=None)], answers(motion=[np.zeros((5, 3))], sync=[[1, 2, 3]]), SPACE, "full")
    row = table.to_pylist()[0]
    assert [row[name] for name in ("correlation_e9", "concordance_e9", "amplitude_e9")] == [None] * 3
    assert row["offset"] == -1
    judged = audio_visual.rows([clip()], answers(sync=[[1, 2, 3]]), SPACE, "full").to_pylist()[0]
    assert judged["motion"] is None
    assert judged["correlation_e9"] is None


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "expected motion or sync, one entry for each of 1 clips; the model gives nothing"),
        (answers(motion=[]), "the model gives {'motion': 0}"),
        (answers(motion=[np.zeros((4, 2))]), r"'toy/test/0': expected finite motion of shape \(5, 2\).*found \(4, 2\)"),
        (answers(motion=[np.zeros(5)]), r"found \(5,\)"),
        (answers(motion=[np.full((5, 2), np.nan)]), "with numbers that are not finite"),
        (answers(sync=[[1.0, 2.0]]), r"'toy/test/0': sync is \(2,\); expected an odd number"),
        (answers(sync=[[1.0, np.inf, 2.0]]), "expected an odd number of finite distances"),
    ],
)
def test_bad_answers_are_named(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        audio_visual.rows([clip()], outputs, SPACE, "full")


def test_a_clip_is_checked_and_shown() -> None:
    audio_visual.check(clip(), [])
    short = clip().with_field("audio", np.zeros(100, np.int16))
    with pytest.raises(DataError, match="toy/test/0: the audio has 100 samples and ends before"):
        audio_visual.check(short, [])
    row = json.loads(json.dumps(audio_visual.shown(clip())))
    assert set(row) == {"wav", "text"}
    assert np.array_equal(codecs.decode("wav", base64.b64decode(row["wav"])), clip().fields["audio"])


def test_offsets_move() -> None:
    from shiftbench.statistics.contributions import weighted_sums
    from shiftbench.statistics.rows import Rows, SeverityPath

    metric = registry.find("metrics", "offset_moved")
    path = SeverityPath(
        (0.0, 2.0),
        tuple(
            Rows(audio_visual.rows([clip(0), clip(1)], answers(sync=curves), SPACE, "full"))
            for curves in ([[3, 3, 1, 3, 3], [3, 1, 3, 3, 3]], [[3, 3, 3, 3, 1], [3, 3, 1, 3, 3]])
        ),
    )
    (sums,) = weighted_sums([metric.reduce(path)], np.ones((2, 1), np.uint8))
    found = metric.finish(sums, path)
    assert found[2.0] == [0.5]  # from 0 to 2, and from -1 to 0
    assert found[None] == [0.5]
