"""Shifts joined by `+`: one after another, each with the words that it draws alone."""

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, PluginError, RangeError
from shiftbench.base.registry.options import problems
from shiftbench.base.sample import Sample
from shiftbench.contracts.shift_digests import picture
from shiftbench.evaluation.corruption import corrupt

IMAGE = picture(33, 57, 3)


def test_parts_are_applied_in_turn_with_their_own_words() -> None:
    expected = corrupt(corrupt(IMAGE, "fog", 2.0), "jpeg_compression", 2.0)
    assert np.array_equal(corrupt(IMAGE, "fog+jpeg_compression", 2.0), expected)
    other = corrupt(IMAGE, "jpeg_compression+fog", 2.0)
    assert not np.array_equal(other, expected)


def test_options_stand_under_the_part() -> None:
    expected = corrupt(corrupt(IMAGE, "contrast", 2.0), "occlusion", 2.0, key="a", kind="bars")
    assert np.array_equal(corrupt(IMAGE, "contrast+occlusion", 2.0, key="a", occlusion={"kind": "bars"}), expected)


def test_severity_0_is_the_identity() -> None:
    assert np.array_equal(corrupt(IMAGE, "fog+contrast", 0.0), IMAGE)


def test_parts_may_change_different_fields_of_a_sample() -> None:
    asked = Sample("toy/test/0", {"image": IMAGE, "text": "how many bags are there", "label": 2})
    found = corrupt(asked, "gaussian_noise+char_noise", 3.0)
    for field, alone in (("image", "gaussian_noise"), ("text", "char_noise")):
        expected = corrupt(asked, alone, 3.0).fields
        assert np.array_equal(found.fields[field], expected[field])
        assert not np.array_equal(found.fields[field], asked.fields[field])
    assert corrupt(asked, "gaussian_noise+char_noise", 0.0).fields["text"] == asked.fields["text"]
    with pytest.raises(DataError, match="toy/test/0: no field 'text', which char_noise changes"):
        corrupt(Sample("toy/test/0", {"image": IMAGE, "label": 2}), "gaussian_noise+char_noise")
    boxed = asked.with_field("boxes", [{"box": [1.0, 1.0, 5.0, 5.0], "label": 0}])
    with pytest.raises(DataError, match="toy/test/0: .*boxes would stay behind"):
        corrupt(boxed, "rotate+char_noise")


def test_code_of_all_parts_counts() -> None:
    module = registry.find("shifts", "fog+contrast")
    assert module.uses({}) == [("shifts", "fog"), ("shifts", "contrast")]
    assert registry.file("shifts", "fog+contrast").name == "_composed.py"


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("fog+foq", {}, PluginError, "no shifts named 'foq' .*fog"),
        ("fog+fog", {}, ParamsError, "'fog.fog': a part comes twice"),
        ("fog+char_noise", {}, DataError, "takes a whole Sample"),
        ("fog+mnist_to_digits", {}, ParamsError, "mnist_to_digits is a domain shift"),
        ("fog+occlusion", {"occlusion": {"kin": 1}}, ParamsError, "'occlusion' has no option 'kin'"),
        ("fog+occlusion", {"kind": "bars"}, ParamsError, "no option 'kind'"),
        ("fog+occlusion", {"severity": 6.0}, RangeError, "severity 6 lies outside 0 to 5"),
    ],
)
def test_wrong_ones_are_told(name: str, options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        corrupt(IMAGE, name, **options)  # type: ignore[arg-type]


def test_options_of_parts_are_checked_before_a_run() -> None:
    module = registry.find("shifts", "fog+occlusion")
    assert not problems(module, {"fog": {"profile": "continuous"}, "occlusion": {"kind": "bars", "grid": 7}})
    (wrong,) = problems(module, {"occlusion": {"grid": 0, "kin": "bars"}})
    assert "grid = 0" in wrong
    assert "kin: unknown option" in wrong


def test_only_shifts_can_be_joined() -> None:
    with pytest.raises(PluginError, match="models cannot be joined"):
        registry.find("models", "convnet+vit")
