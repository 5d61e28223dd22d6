"""A12: other pixels are told from other bytes."""

import cv2
import numpy as np

from makers import forgeries
from shiftbench.data import codecs, shards


def test_a_clean_benchmark_is_exact(made):
    result = made.result("pixels")
    assert (result.verdict, result.findings) == ("exact", ())


def test_a_sample_that_decodes_to_other_pixels_fails_where_it_is_drawn(made):
    ref = made.one("shards", "test/contrast/3")
    folder = (made.root / ref.path).parent
    old = {entry.key: entry.pixels for entry in shards.index(folder)}

    def inverted(found):
        return [s.with_field("image", 255 - s.fields["image"]) for s in found]

    forgeries.samples(made.root, ref, inverted)
    forgeries.index(made.root, ref, lambda frame: frame.with_columns(pixels=frame["key"].replace(old)))
    assert [one for one in made.findings("digests") if one.file.startswith("data/shards")] == []
    found = made.findings("pixels")
    assert len(found) == 4  # as many as are drawn
    assert all(one.file.endswith("contrast/3/000000.tar") and one.sample for one in found)
    assert found[0].explanation["decoded values"] == "are not the recorded ones"


def test_another_encoder_is_no_other_data(made, monkeypatch):
    ref = made.one("shards", "test/contrast/3")
    tar = (made.root / ref.path).with_name("000000.tar")
    before = tar.read_bytes()

    def encoded(value):
        return cv2.imencode(".png", value, (cv2.IMWRITE_PNG_COMPRESSION, 0))[1].tobytes()

    monkeypatch.setitem(codecs._CODECS, "png", (encoded, codecs._CODECS["png"][1]))
    forgeries.samples(made.root, ref, list)
    assert tar.read_bytes() != before
    assert made.findings("pixels") == []


def test_a_chain_that_is_not_of_the_index_fails(made):
    ref = made.one("shards", "test/contrast/3")
    forgeries.manifest(made.root, ref, pixels="0" * 64)
    whys = [one.why for one in made.findings("pixels")]
    assert whys == ["the manifest's pixel digest is not that of the samples in the index"]


def test_records_of_other_pixels_than_the_shards_fail(made):
    ref = made.one("records", "s0/plain/tiny/test/contrast/3")
    receipt = f"{ref.path}.receipt.json"
    made.edit(receipt, lambda content: content["facts"].update(pixels="0" * 64))
    (finding,) = made.findings("pixels")
    assert (finding.verdict, finding.file) == ("failed", receipt)


def test_the_pixels_of_a_sample_count_all_its_fields(made):
    ref = made.one("shards", "test/contrast/3")
    first = next(iter(shards.read((made.root / ref.path).parent)))
    changed = np.array(first.fields["image"])
    changed[0, 0] ^= 1
    forgeries.sample(made.root, ref, first.key, image=changed)
    assert made.findings("pixels") == []  # consistent: only a rebuild can tell (level 2)
