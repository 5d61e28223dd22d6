"""Generated pages say what the code says; those of published systems say what was measured."""

import functools
import json
import re
from typing import Any, Literal

import pytest
import typer
import yaml
from pydantic import Field

import isolation
import shiftbench
from shiftbench import cli
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.cli.documents import (
    measured,
    pages,
    params_page,
    plugin_facts,
    reference_pages,
    shift_pages,
    system_pages,
)
from shiftbench.data import claim_formats, schema
from shiftbench.provenance import recipe
from shiftbench.workflow.plan import cards, configurations, loading, plan

HOME = isolation.ROOT
BUILT = configurations.built_slugs()


@functools.cache
def generated() -> dict[str, str]:
    return pages.pages(HOME)


@pytest.mark.network
def test_the_pages_are_what_the_code_says(root):
    missing = [name for name in generated() if not (root / name).is_file()]
    assert missing == [], "run `shiftbench docs`"
    drifted = [name for name, text in generated().items() if (root / name).read_text() != text]
    assert drifted == [], "run `shiftbench docs`"


def test_all_checks_are_listed_by_number(root):
    lines = (root / "docs/list_of_checks.md").read_text().splitlines()
    listed = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| A")]
    assert listed == [f"A{number}" for number in range(1, 35)]


# --- commands and functions -----------------------------------------------------------------------


def test_the_page_of_commands_has_every_help_in_whole():
    top = typer.main.get_command(cli.app)
    page = reference_pages.commands(top)
    context = top.make_context("shiftbench", [], resilient_parsing=True)
    shown = [name for name in top.list_commands(context) if not top.get_command(context, name).hidden]
    assert sorted(re.findall(r"^### (\S+) \{#", page, re.M)) == sorted(shown)
    listed = re.findall(r"^\| \[`(\S+)`\]\(#\S+\) \| (.*) \|$", page, re.M)
    assert sorted(name for name, _ in listed) == sorted(shown)
    assert [about for _, about in listed if not about.endswith((".", "."))] == []
    assert "..." not in " ".join(about for _, about in listed)
    assert "--config NAME` |" in page.partition("### plan {")[2].partition("\n### ")[0]


def test_signatures_of_the_public_functions_are_shown():
    page = generated()["docs/api.md"]
    for name in reference_pages.FUNCTIONS:
        assert f"\n`{name}`: " in page
        assert f"\n```python\n{name.rpartition('.')[2]}(" in page
    assert "    **params: object,\n) -> Any" in page
    assert "ForwardRef" not in page
    assert "| `RangeError` |" in page


# --- the reference of plugins ---------------------------------------------------------------------


@pytest.mark.parametrize("plugin_type", registry.PLUGIN_TYPES)
def test_every_plugin_has_one_heading_and_one_line_in_the_index(plugin_type):
    page = generated()[f"docs/params/{plugin_type}.md"]
    headings = re.findall(r"^##+ (.+)$", page, re.M)
    assert len(set(headings)) == len(headings)
    named = [heading.strip("`") for heading in headings if heading.startswith("`")]
    assert sorted(named) == sorted(name for name in registry.packaged_names(plugin_type) if not name.startswith("_"))
    listed = re.findall(rf"^\| \[`(\w+)`\]\(params/{plugin_type}\.md#\1\)", generated()["docs/plugins.md"], re.M)
    assert listed == sorted(named)


def test_files_that_the_reference_links_exist(root):
    pages = {name: text for name, text in generated().items() if name.startswith(("docs/params", "docs/plugins"))}
    links = {
        (root / name).parent / link for name, text in pages.items() for link in re.findall(r"\]\(([^)#\s]+)", text)
    }
    assert [str(link) for link in sorted(links) if not link.is_file()] == []


def test_the_menu_has_the_page_of_every_plugin_type(root):
    menu = (root / "mkdocs.yml").read_text()
    assert [name for name in registry.PLUGIN_TYPES if f"- params/{name}.md\n" not in menu] == []


def test_the_example_of_params_can_be_planned(root, tmp_path):
    (example,) = re.findall(r"```yaml\n(.+?)```", (root / "docs/params.md").read_text(), re.S)
    file = tmp_path / "params.yaml"
    file.write_text(example)
    params = loading.load(file)
    assert set(yaml.safe_load(example)) <= set(schema_keys())
    assert plan.Plan.of(params).targets()
    assert params.options("shifts", "haze") == {"profile": "continuous"}


def schema_keys() -> list[str]:
    return re.findall(r"^\| \[?`(\w+)`", params_page.keys().partition("\n## `")[0], re.M)


def test_the_page_of_params_has_every_key():
    keys = params_page.keys()
    for key in ("shards.max_mb", "datasets.NAME.subset.train", "benchmarks.NAME.models[].seeds"):
        top, _, rest = key.partition(".")
        assert f"| `{rest}` |" in keys.partition(f"\n## `{top}`\n")[2].partition("\n## ")[0]


def test_a_variant_says_what_it_is_a_variant_of():
    section = generated()["docs/params/metrics.md"].partition("### `map50`\n")[2].partition("\n### ")[0]
    assert "- Variant of [`map`](#map)" in section
    assert "| `iou` | `0.5` | number ≥ 0 &lt; 1 |" in section
    assert "max_dets" not in section


def test_a_plugin_without_options_has_no_table():
    page = generated()["docs/params/losses.md"]
    section = page.partition("### `soft_cross_entropy`\n")[2].partition("\n### ")[0]
    assert "losses/classification.py" in section
    assert "|" not in section
    assert "| `smoothing` | `0.0` | number from 0 to 1 |" in page


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (Field(3, ge=1), "int ≥ 1"),
        (Field(3, ge=0, le=255), "int from 0 to 255"),
        (Field(0.5, gt=0, lt=1), "number > 0 < 1"),
        (Field(None, gt=0), "number or null > 0"),
        (Field("a"), "`a` or `b`"),
        (Field([1]), "list of int or text"),
        (Field([]), "list"),
        (Field({}), "mapping"),
        (Field(True), "true or false"),
    ],
)
def test_the_type_and_the_bounds_of_an_option_are_shown(field, words):
    types = {
        "number or null > 0": float | None,
        "`a` or `b`": Literal["a", "b"],
        "list of int or text": list[int | str],
        "list": list[Any],
        "mapping": dict[str, int],
    }
    field.annotation = types.get(words, type(field.default))
    field.description = "what it is"
    shown = plugin_facts.option("size", field, field.default)
    assert shown == plugin_facts.Option("size", json.dumps(field.default), words, "what it is")


def test_common_options_are_those_of_the_shared_fields():
    erm = {option.name: option for option in plugin_facts.of("trainers", "erm").options}
    assert erm["lr"].is_common
    assert erm["lr"].meaning == "learning rate; with a schedule, the highest one"
    pgd = {option.name: option for option in plugin_facts.of("trainers", "pgd").options}
    assert not pgd["eps"].is_common


# --- the documentation site -----------------------------------------------------------------------


def test_every_shift_has_a_page_that_its_kind_leads_to(monkeypatch, tmp_path):
    monkeypatch.setattr(shift_pages, "picture", lambda *_: "")
    found = {page.stem: page.parent.name for page in shift_pages.write(tmp_path)}
    assert sorted(found) == sorted(registry.names("shifts"))
    assert set(found.values()) == shift_pages.KINDS.keys()


@pytest.mark.parametrize("name", ["rotate_degrees", "object_size", "audio_gain"])
def test_a_shift_is_shown_beside_its_page(tmp_path, name):
    seen = shift_pages.picture(name, registry.find("shifts", name), tmp_path / f"{name}.md")
    assert seen == f"![{name} at rising severity]({name}.jpg)"
    assert (tmp_path / f"{name}.jpg").is_file()


@pytest.mark.parametrize("name", ["table_column_shuffle", "syntax_for_while"])
def test_a_table_or_a_program_is_shown_before_and_after(tmp_path, name):
    seen = shift_pages.picture(name, registry.find("shifts", name), tmp_path / f"{name}.md")
    before, after = seen.removeprefix("Before:").split("At severity ")
    assert before.strip() != after.partition(":")[2].strip()


def test_a_shift_whose_originals_are_not_here_says_what_brings_them(monkeypatch, tmp_path):
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path))
    seen = shift_pages.picture("frost", registry.find("shifts", "frost"), tmp_path / "frost.md")
    assert "`shiftbench fetch frost_textures`" in seen


def test_what_users_import_is_on_the_page_of_functions(root):
    page = (root / "docs/api.md").read_text()
    assert [name for name in shiftbench._PUBLIC if f"\n::: {shiftbench._PUBLIC[name]}.{name}\n" not in page] == []


# --- published systems ----------------------------------------------------------------------------


@pytest.mark.parametrize("slug", BUILT)
def test_a_built_system_has_a_page_with_what_was_learnt(slug):
    page = generated()[f"src/shiftbench/systems/{slug.replace('-', '_')}/README.md"]
    for heading in ("How to run", "Summary of results", "Claims and verdicts"):
        assert f"\n## {heading}\n" in page
    assert system_pages._SUMMARY.search(page)
    assert all(what in page for what in cards.load(slug).not_exercised)


@pytest.mark.parametrize("slug", BUILT)
def test_a_page_has_each_claim_as_measured_or_says_that_it_changed(slug):
    kept, found, card = measured.load(slug), measured.current(slug), cards.load(slug)
    page = system_pages.readme(HOME, slug)
    again = f"`shiftbench docs --measured {slug}`" in page
    if kept is None:
        assert again
        return
    rules = measured.judged_contents(card.model_dump(mode="json"))["rules"]
    here = {name for name, claim in card.claims.items() if claim.scale == "embedded"}
    changed = {name for name in here if rules.get(name) != kept["rules"].get(name)}
    states = {row["claim"]: row["verdict"] for row in found["claims"] if row["part"] is None}
    assert states.keys() == here
    assert {name for name, state in states.items() if state == measured.NOT_RUN} == changed
    assert again == bool(changed)


def test_what_changed_since_is_not_shown_as_measured(monkeypatch):
    kept = measured.load("palm")
    name, number = (next(iter(kept["rules"])), next(one for one in kept["reported"] if "number" in one))
    other = {**kept, "rules": {**kept["rules"], name: "another rule"}}
    other["reported"] = [{**one, "what": "another"} if one is number else one for one in kept["reported"]]
    monkeypatch.setattr(measured, "load", {"palm": other}.get)
    found = measured.current("palm")
    states = {row["claim"]: row["verdict"] for row in found["claims"]}
    assert [one for one, state in states.items() if state == measured.NOT_RUN] == [name]
    lacking = [one for one in found["reported"] if "number" not in one]
    assert number["what"] in {one["what"] for one in lacking}
    assert f"| **{name}**" in system_pages.readme(HOME, "palm")
    assert "Claims that changed since are *not run here* yet" in system_pages.readme(HOME, "palm")


def test_every_system_stands_in_the_list_once():
    for slug in cards.slugs():
        folder = f"](../src/shiftbench/systems/{slug.replace('-', '_')}/"
        assert generated()["docs/systems.md"].count(folder) == 1


def test_rows_of_the_list_end_where_they_should():
    rows = [row for row in generated()["docs/systems.md"].splitlines() if row.startswith("| [")]
    assert {row.count(" | ") for row in rows[: len(BUILT)]} == {7}
    assert {row.count(" | ") for row in rows[len(BUILT) :]} <= {1}  # of those that are planned


def test_a_page_without_markers_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# PALM\n")
    with pytest.raises(DataError, match="expected one line `<!-- generated by"):
        system_pages.filled(page, "new")


def test_what_is_written_by_hand_stays(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"above\n\n{system_pages.BEGIN}\nold\n{system_pages.END}\n\nbelow\n")
    text = system_pages.filled(page, r"new \1")
    assert text == f"above\n\n{system_pages.BEGIN}\n\nnew \\1\n\n{system_pages.END}\n\nbelow\n"


def ran(home, card):
    """Leave what a run of PALM leaves of its claims: one supported, one refuted, one number beside the paper's."""
    root, ref = home / configurations.root("palm", "embedded"), Ref("claims", "palm")
    number = {"value": 0.123456, "ci_low": -0.0, "ci_high": 0.5}
    whole = {"part": None, "confidence": 0.9875, "seeds": 3, "reason": None}
    claims = [
        {"claim": "far", "verdict": "supported", **number, **whole},
        {"claim": "near", "verdict": "refuted", **dict.fromkeys(number), **whole},
        {"claim": "near", "verdict": "refuted", **number, **whole, "part": "0"},
        {"claim": "far_full", "verdict": measured.ELSEWHERE, **dict.fromkeys(number), **whole},
    ]
    numbers = [{"number": 2, **number, "reason": None}]
    file = root / ref.path
    file.parent.mkdir(parents=True)
    for rows, form in ((claims, claim_formats.CLAIMS), (numbers, claim_formats.MEASURED)):
        name = file.with_name(f"{form.name}.parquet")
        schema.write(schema.table(rows, form), name, "f" * 64, form)
    known = {"fingerprint": "f" * 64, "made": {"claims.parquet": "b"}, "rows": {"claims.parquet": "a"}, "consumed": {}}
    receipt = recipe.receipt_path(root, ref)
    receipt.write_text(json.dumps({**known, "recipe": {"card": card}}))
    packages = {"shiftbench": "0.1.0", "torch": "2.13.0+cpu"}
    place = {"system": "Linux 6.1 x86_64", "cores": 2, "python": "3.11.7", "packages": packages}
    recipe.run_path(root, ref).write_text(json.dumps({"environment": place}))


def test_what_a_run_gave_stands_on_the_page(tmp_path, monkeypatch):
    card = cards.load("palm")
    ran(tmp_path, card.model_dump(mode="json"))
    found = {**measured.results("palm", tmp_path), "minutes": 1.75}
    assert [row["claim"] for row in found["claims"]] == ["far", "near", "near"]
    monkeypatch.setattr(measured, "load", {"palm": found}.get)
    page = system_pages.readme(HOME, "palm")
    assert "on 2 x86-64 cores, no GPU, in 1.8 CPU minutes; claims of fingerprint `ffffffffffff`" in page
    judged = "(mnist, ssd_plus, convnet-palm) minus auroc (mnist, msp, convnet-erm) lies above 0.1, for new training"
    assert f"| supported | 0.1235 [0, 0.5] | auroc {judged} seeds; 98.75% interval; 3 train" in page
    assert "| refuted | 0: 0.1235 [0, 0.5] refuted | for every seed: auroc (" in page
    assert "| AUROC, % | 75.27 | table 1 | 75.27 | 12.35 [0, 50] |" in page
    assert "| 1 / 1 / 0 | 1.8 | PALM with SSD+" in system_pages.listing(HOME)


def test_a_system_that_was_not_run_has_nothing_to_keep(tmp_path):
    with pytest.raises(DataError, match=r"palm was not run here .* `shiftbench systems palm` runs it"):
        measured.record("palm", home=tmp_path)


@pytest.mark.parametrize(("place", "value"), [("claims.far.margin", 0.2), ("reported.0.value", 94.0)])
def test_a_run_of_another_card_is_not_kept(tmp_path, place, value):
    card = cards.load("palm").model_dump(mode="json")
    family, name, key = place.split(".")
    card[family][int(name) if name.isdigit() else name][key] = value
    ran(tmp_path, card)
    with pytest.raises(DataError, match="the card of palm has changed its claims or reported numbers"):
        measured.record("palm", home=tmp_path)
