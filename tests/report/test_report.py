"""The page of the report: links, policy, escaping, bytes, gallery, and what is wrong with an input."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from makers import synthetic_outputs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import codecs
from shiftbench.data.skipped import Skipped
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact
from shiftbench.report import gallery
from shiftbench.report.measures import DASH
from shiftbench.workflow.stages import report

FILES = ("index.html", "metrics.json", "leaderboard.csv", "curves.csv", "findings.txt")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose report is made."""
    root = tmp_path_factory.mktemp("report")
    recipe.execute(synthetic_outputs.root(root), report.run)
    return root


@pytest.fixture(scope="module")
def html(made: Path) -> str:
    return (made / "results/report/index.html").read_text()


# ---------------------------------------------------------------------------------- the page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.policy = ""

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.links += [own[name] or "" for name in ("src", "href", "action", "data", "poster") if name in own]
        if own.get("http-equiv") == "Content-Security-Policy":
            self.policy = own["content"] or ""


def test_nothing_on_the_page_points_outside_and_its_policy_names_its_scripts(html: str, made: Path) -> None:
    page = _Links()
    page.feed(html)
    outside = {link for link in page.links if not link.startswith(("#", "data:"))}
    behind = {link for link in outside if link.startswith("samples/clothes/index.html#model=")}
    papers = {link for link in outside if link.startswith("https://arxiv.org/abs/")}
    assert papers == {"https://arxiv.org/abs/1708.07747"}  # a reader may go there; the page does not
    audited = {"audit.html"}  # the page says that `shiftbench audit` writes it
    assert all((made / "results/report" / link).is_file() for link in outside - papers - behind - audited)
    assert "samples/clothes/index.html#model=vit-erm-s0&set=fashion_mnist%2Fidentity" in behind
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(digests) == 1
    assert all(f"'sha256-{digest}'" in page.policy for digest in digests)
    assert "default-src 'none'" in page.policy
    assert "img-src data:;" in page.policy


def test_names_are_escaped(html: str) -> None:
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 4  # title, citation, class, text
    assert "<b>noise" not in html
    assert "&lt;b&gt;noise&lt;/b&gt;" in html
    assert "<i>" not in html.partition('<script type="application/json"')[0]
    assert "&lt;i&gt;more&lt;/i&gt; than 4,000" in html
    assert synthetic_outputs.NASTY not in html


def test_the_page_says_what_was_run_and_what_was_left_out(html: str) -> None:
    for text in (
        "npm pack animal-shape",
        "Xiao et al. 2017",
        "Gaussian noise, Fog, Contrast",
        "40 bootstrap resamples",
    ):
        assert text in html
    assert f'<span class="value">{DASH}</span>' in html
    assert '<span class="n">n = 2,000 + 0</span>' in html
    assert "40 bootstrap resamples are too few for this correction among 4 detectors (120 are enough)" in html
    assert "none shares a sample by key or by content" in html
    assert '<span class="n">n = 0</span>' in html


def test_the_same_tables_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    recipe.execute(synthetic_outputs.root(tmp_path), report.run)
    for name in FILES:
        own = (tmp_path / "results/report" / name).read_bytes()
        assert own == (made / "results/report" / name).read_bytes()
        assert str(tmp_path).encode() not in own


def test_a_page_without_benchmarks_says_so() -> None:
    artifact = Artifact.of(Ref("report", "index"), {"benchmarks": {}, "datasets": {}, "unavailable": []}, ())
    assert "Nothing could be run" in report.page(artifact, [], [])


def test_every_file_of_the_template_decides_the_recipe() -> None:
    folder = Path(report.__file__).parents[2] / "report/templates"
    files = ("page.html", *(f"report/{file.name}" for file in (folder / "report").iterdir()))
    assert {f"../../report/templates/{name}" for name in files} == set(report.ASSETS)


# ------------------------------------------------------------------------------------ gallery


def test_the_gallery_puts_the_clean_partner_first(made: Path) -> None:
    refs = [Ref("previews", f"fashion_mnist/test/{name}") for name in ("identity/0", "fog/1", "fog/5")]
    boards = gallery.boards({ref: made / ref.path for ref in refs})
    assert [board.shift for board in boards] == ["identity", "fog"]
    assert boards[1].severities == (0, 1, 5)
    assert (boards[1].strips[0].label, boards[1].strips[0].images[0].width) == ("T-shirt", 28)


def test_boxes_are_drawn_over_the_picture(tmp_path: Path) -> None:
    ref = Ref("previews", "scenes/test/identity/0")
    png = base64.b64encode(codecs.encode("png", np.zeros((20, 30), np.uint8))).decode()
    sample = {"key": "scenes/test/0", "label": None, "png": png, "boxes": [[2, 3.5, 10, 8, 1]]}
    content = {"classes": ["cat", "<dog>"], "samples": [sample], "skipped": []}
    (tmp_path / "0.json").write_text(json.dumps(content))
    boards = gallery.boards({ref: tmp_path / "0.json"})
    recipe_ = {"benchmarks": {}, "datasets": {"scenes": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], boards)
    assert '<svg class="marks" viewBox="0 0 30 20"' in html
    assert '<rect x="2.0" y="3.5" width="10.0" height="8.0"><title>&lt;dog&gt;</title>' in html
    sample["boxes"] = [[2, 3, 10]]
    (tmp_path / "0.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="the boxes of 'scenes/test/0' are not x, y, w, h and a cl"):
        gallery.boards({ref: tmp_path / "0.json"})


def test_areas_are_drawn_over_the_picture(tmp_path: Path) -> None:
    ref, file = Ref("previews", "faces/test/identity/0"), tmp_path / "0.json"
    png = base64.b64encode(codecs.encode("png", np.zeros((20, 30), np.uint8))).decode()
    sample = {"key": "faces/test/0", "label": 0, "png": png, "areas": [[2, 3, 10, 8]]}
    content = {"classes": ["tampered"], "samples": [sample], "skipped": []}
    file.write_text(json.dumps(content))
    recipe_ = {"benchmarks": {}, "datasets": {"faces": {"licence": "mine", "citation": "me"}}}
    boards = gallery.boards({ref: file})
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], boards)
    assert '<rect class="area" x="2.0" y="3.0" width="10.0" height="8.0"/>' in html
    sample["areas"] = [[2, 3, 10]]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="the areas of 'faces/test/0' are not x, y, w and h"):
        gallery.boards({ref: file})


def test_a_sound_has_a_player_that_requests_nothing(tmp_path: Path) -> None:
    ref, file = Ref("previews", "clips/test/identity/0"), tmp_path / "0.json"
    wave = np.arange(-3000, 3000, dtype=np.int16)
    wav = base64.b64encode(codecs.encode("wav", wave)).decode()
    sample = {"key": "clips/test/0", "label": None, "wav": wav, "text": "so"}
    three = [{**sample, "key": f"clips/test/{number}"} for number in range(3)]
    file.write_text(json.dumps({"classes": [], "samples": three, "skipped": []}))
    assert [bool(one.images[0].wav) for one in gallery.boards({ref: file})[0].strips] == [True, True, False]
    file.write_text(json.dumps({"classes": [], "samples": [sample], "skipped": []}))
    boards = gallery.boards({ref: file})
    recipe_ = {"benchmarks": {}, "datasets": {"clips": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], boards)
    (source,) = re.findall(r'<audio controls [^>]*src="data:audio/wav;base64,([^"]+)"', html)
    assert np.array_equal(codecs.decode("wav", base64.b64decode(source)), wave)
    assert "media-src data:;" in html
    assert boards[0].strips[0].images[0].webp is not None  # drawn above
    sample["wav"] = wav[:60]
    file.write_text(json.dumps({"classes": [], "samples": [sample]}))
    with pytest.raises(DataError, match=r"the sound of 'clips/test/0' is not a WAV"):
        gallery.boards({ref: file})


def test_skipped_samples_are_counted_and_those_of_public_data_told() -> None:
    file = Path("data/photos/manifest.json")
    public = Skipped("photos", "test", 9, ("photos/a/7: <truncated>",), file)
    about = {"photos": {"licence": "mine", "citation": "me"}}
    recipe_ = {"benchmarks": {}, "datasets": about}
    artifact = Artifact.of(Ref("report", "index"), recipe_, ())
    html, private = (
        report.page(artifact, [], [], None, [replace(public, private=private)]) for private in (False, True)
    )
    assert "test: 1 of 10 samples could not be read and were skipped" in html
    assert "photos/a/7: &lt;truncated&gt;" in html
    assert "1 of 10 samples" in private
    assert "data/photos/manifest.json" in private
    assert "photos/a/7" not in private


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"broken\.json is not a preview"),
        ('{"samples": [{"label": 1}]}', r"broken\.json is not a preview .*'key'"),
        ('{"samples": [{"key": "a", "png": "!!!!"}]}', r"the image of 'a' is not base64 of a PNG"),
        (f'{{"samples": [{{"key": "a", "png": "{"R0lG" * 12}"}}]}}', r"the image of 'a' is not a PNG"),
    ],
)
def test_a_broken_preview_names_its_file(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        gallery.boards({Ref("previews", "d/test/identity/0"): file})


def test_a_shifted_text_stands_as_a_diff_beside_its_clean_partner(tmp_path: Path) -> None:
    files = {}
    for shift, severity, text in (("identity", 0, "a red <fox> ran"), ("typos", 2, "a rde <fox>")):
        ref = Ref("previews", f"d/test/{shift}/{severity}")
        files[ref] = tmp_path / f"{shift}.json"
        files[ref].write_text(json.dumps({"samples": [{"key": "k", "text": text}]}))
    (strip,) = gallery.boards(files)[1].strips
    clean, shifted = strip.images
    assert clean.diff == ()
    assert [(piece.kind, piece.text) for piece in shifted.diff if piece.kind != "kept"] == [
        ("new", "d"),
        ("gone", "d"),
        ("gone", " ran"),
    ]
    recipe_ = {"benchmarks": {}, "datasets": {"d": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], gallery.boards(files))
    assert "a r<ins>d</ins>e<del>d</del> &lt;fox&gt;<del> ran</del>" in html


def test_a_lookalike_has_its_code_point_on_the_page(tmp_path: Path) -> None:
    files = {}
    for shift, severity, text in (("identity", 0, "buy"), ("homoglyphs", 1, "b\u0443y")):
        ref = Ref("previews", f"d/test/{shift}/{severity}")
        files[ref] = tmp_path / f"{shift}.json"
        files[ref].write_text(json.dumps({"samples": [{"key": "k", "text": text}]}))
    recipe_ = {"benchmarks": {}, "datasets": {"d": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], gallery.boards(files))
    assert '<ins data-codes="U+0443" title="U+0443 CYRILLIC SMALL LETTER U">\u0443</ins>' in html


def test_pictures_are_described_in_words_and_only_the_first_data_set_is_open(tmp_path: Path) -> None:
    png = base64.b64encode(codecs.encode("png", np.zeros((20, 30), np.uint8))).decode()
    files = {}
    for name in ("a/test/identity/0", "a/test/fog/3", "b/test/identity/0"):
        sample = {"key": f"{name[0]}/7", "label": 0, "png": png}
        files[Ref("previews", name)] = tmp_path / f"{name.replace('/', '-')}.json"
        files[Ref("previews", name)].write_text(json.dumps({"classes": ["ankle_boot"], "samples": [sample]}))
    about = {"licence": "mine", "citation": "me"}
    recipe_ = {"benchmarks": {}, "datasets": {"a": about, "b": about}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], gallery.boards(files))
    pictures = re.findall(r'<img [^>]*alt="([^"]+)" title="([^"]+)"', html)
    assert set(pictures) == {
        ("ankle boot, clean", "a/7"),
        ("ankle boot, Fog, severity 3", "a/7"),
        ("ankle boot, clean", "b/7"),
    }
    assert re.findall(r'<details class="gallery"( open data-narrow)?>', html) == [" open data-narrow", ""]


@pytest.mark.parametrize(("words", "folded"), [(10, 0), (500, 2)])
def test_of_long_texts_the_first_is_open_and_none_is_lost(words: int, folded: int, tmp_path: Path) -> None:
    ref, file = Ref("previews", "code/test/identity/0"), tmp_path / "0.json"
    samples = [{"key": f"k{at}", "text": f"text{at} " + "word " * words} for at in range(3)]
    file.write_text(json.dumps({"samples": samples}))
    recipe_ = {"benchmarks": {}, "datasets": {"code": {"licence": "mine", "citation": "me"}}}
    html = report.page(Artifact.of(Ref("report", "index"), recipe_, ()), [], gallery.boards({ref: file}))
    shown, _, rest = html.partition(f"<summary>{folded} more</summary>")
    assert [name in rest for name in ("text0 ", "text1 ", "text2 ")] == [False, *[folded > 0] * 2]
    assert all(name in shown + rest for name in ("text0 ", "text1 ", "text2 "))
