"""A18: other bytes are explained down to the pixel, and by what differs between two machines."""

import cv2
import numpy as np

from makers import forgeries
from shiftbench.audit.checks import contents
from shiftbench.audit.evidence import byte_differences
from shiftbench.base.sample import Sample
from shiftbench.data import sample_bytes, shards
from shiftbench.provenance import recipe

FIELDS = {"image": "png", "label": "cls"}


def packed(image: np.ndarray, label: int = 1) -> bytes:
    return sample_bytes.pack(Sample("a/b/1", {"image": image, "label": label}), FIELDS)


def test_pixels_are_counted_and_the_largest_difference_is_told():
    image = np.full((4, 5), 100, np.uint8)
    other = image.copy()
    other[1, 2], other[3, 3] = 107, 97
    told = byte_differences.compare(packed(other), packed(image), 1024)
    assert told["a/b/1.png"] == "2 of 20 pixels differ, by 7 at most"
    assert told["first byte"] >= 1024 + 512 - 400
    assert "a/b/1.cls" not in told


def test_an_encoder_a_label_and_a_header_are_told_apart():
    image = np.arange(400, dtype=np.uint8).reshape(20, 20)
    key = {"offset": 0}
    assert byte_differences.compare(packed(image, 2), packed(image), **key)["a/b/1.cls"] == "is '2', made is '1'"
    data = cv2.imencode(".png", image, (cv2.IMWRITE_PNG_COMPRESSION, 0))[1].tobytes()
    png = sample_bytes.header(b"a/b/1.png", len(data)) + data + bytes(-len(data) % 512)
    label = sample_bytes.pack(Sample("a/b/1", {"label": 1}), FIELDS)
    assert "the encoder differs" in byte_differences.compare(label + png, packed(image))["a/b/1.png"]
    mode = bytearray(packed(image))
    mode[105] ^= 1
    assert byte_differences.compare(bytes(mode), packed(image))["a/b/1.png"] == "its header differs"


def test_what_was_made_again_is_compared_with_what_lies_there(made):
    ref = made.one("shards", "test/contrast/3")
    folder = (made.root / ref.path).parent
    sample = next(iter(shards.read(folder)))
    good = (folder / "000000.tar").read_bytes()[: shards.index(folder)[0].size]
    forgeries.sample(made.root, ref, sample.key, image=255 - sample.fields["image"])
    case = made.case()
    file = f"{folder.relative_to(made.root)}/000000.tar"
    again = byte_differences.remade_sample(case, ref, sample.key)
    again.parent.mkdir(parents=True)
    again.write_bytes(good)
    told = byte_differences.explain(case, ref, file, sample.key)
    assert "of 784 pixels differ" in told[f"{sample.key}.png"]
    assert told["environment"] == byte_differences.SAME


def test_libraries_that_differ_are_named(made):
    ref = made.one("records")
    run = str(recipe.run_path(made.root, ref))
    made.edit(run, lambda content: content["environment"]["packages"].update(numpy="1.0.0"))
    made.edit(run, lambda content: content["environment"]["cpu_features"].append("sse1"))
    told = byte_differences.differing(made.case(), ref)
    assert "numpy 1.0.0 -> " in told
    assert "cpu_features: sse1 only on one of them" in told


def test_an_encoding_with_the_recorded_pixels_is_told_from_other_data(made):
    ref = made.one("shards", "test/contrast/3")
    tar = (made.root / ref.path).with_name("000000.tar")
    data = bytearray(tar.read_bytes())
    data[105] ^= 1  # the mode in a header
    tar.write_bytes(data)
    (finding,) = made.findings("digests")
    assert finding.explanation["decoded values"] == "are the recorded ones: the encoder or a header differs"


def test_what_cannot_be_looked_into_fails(made):
    ref = made.one("shards", "test/contrast/3")
    file = str((made.root / ref.path).with_name("000000.tar").relative_to(made.root))
    case = made.case()
    case.mismatches.append((ref, file, ("no/such/key",)))
    (finding,) = contents.explanation(case)
    assert finding.verdict == "failed"
    assert "cannot be explained" in finding.why


def test_without_other_bytes_there_is_nothing_to_explain(made):
    result = made.result("explanation")
    assert result.verdict == "exact"
    assert "nothing to explain" in result.notes[0]
