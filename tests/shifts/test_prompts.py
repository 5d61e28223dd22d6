"""Perturbed code prompts: only what may change does, programs still parse, canonical solutions still pass."""

import ast
import re

import pytest

from makers import code_problems
from makers.code_problems import perturbed
from shiftbench.base import registry
from shiftbench.base.errors import DataError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.contracts import shift_digests
from shiftbench.evaluation.sandbox import pool
from shiftbench.plugins.tasks import generation
from shiftbench.systems.recode.shifts import _code, _docstrings, _english, _names, _recode_docstring

OF = {
    "docstring": (
        *("keyboard", "case", "inflection", "swap", "synonym_insertion", "synonym_substitution"),
        *("tense_past", "tense_future", "whitespace"),
    ),
    "name": ("camel_case", "keyboard", "swap", "case", "inflection", "synonym_substitution"),
    "syntax": (*("dead_code", "dead_code_last", "for_while", "operand_swap"), *("rename_naive", "rename_random")),
    "format": (
        *("tab_indent", "split_lines", "docstring_to_comments", "new_lines"),
        *("new_line_after_code", "new_line_after_docstring", "black_only"),
    ),
}
NAMES = [f"{kind}_{name}" for kind, names in OF.items() for name in names]
FIXED = {
    *("docstring_tense_past", "docstring_tense_future", "name_camel_case", "syntax_for_while"),
    *("syntax_operand_swap", "syntax_rename_naive"),
    *(name for name in NAMES if name.startswith("format_") and name != "format_new_lines"),
}
"""Deterministic ones, whose seeds are alike."""
UNDONE = dict.fromkeys(("name_keyboard", "name_swap", "name_synonym_substitution"), 0.7)
UNDONE["syntax_for_while"] = 0.75
"""Share of prompts that a perturbation may leave as they are; 0.5 for all others."""


@pytest.fixture(scope="session")
def problems(tmp_path_factory):
    return code_problems.load(tmp_path_factory.mktemp("originals"))


def test_there_are_twenty_seven_and_a_control():
    assert len(NAMES) == 27 + 1
    assert set(NAMES) <= set(registry.names("shifts"))


@pytest.mark.parametrize("name", NAMES)
def test_only_what_may_change_does(name, problems):
    before, after = perturbed(name, problems, step=4)
    again = perturbed(name, problems, step=4)[1]
    other = perturbed(name, problems, seed=2, step=4)[1]
    assert again == after
    assert (other == after) == (name in FIXED)
    same = sum(one == two for one, two in zip(before, after, strict=True)) / len(before)
    assert same <= UNDONE.get(name, 0.5), same
    for one, two in zip(before, after, strict=True):
        ast.parse(two.fields["text"] + two.fields["meta"]["canonical_solution"])
        generation.check(two, [])
        KEPT.get(name, KEPT[name.partition("_")[0]])(one, two)


def outside(sample):
    code = _code.Code.of(sample)
    start, end = code.inner
    return code.text[:start], code.text[start:end], code.text[end:]


def docstring_alone(before, after):
    head, inner, tail = outside(before)
    new_head, new_inner, new_tail = outside(after)
    assert (head, tail, before.fields["meta"]) == (new_head, new_tail, after.fields["meta"])
    lines, new = inner.split("\n"), new_inner.split("\n")
    assert _docstrings.doctest(lines) == _docstrings.doctest(new)
    for line, changed, kept in zip(lines, new, _docstrings.doctest(lines), strict=True):
        assert changed == line or not kept
    names = _code.Code.of(before).names
    for name in names:  # nothing that the code calls something is misspelled
        whole = rf"(?<!\w){re.escape(name)}(?!\w)"
        assert len(re.findall(whole, new_inner)) >= len(re.findall(whole, inner))


def spaces_alone(before, after):
    """Of the docstring's words nothing but white space changes, and its examples stay; names are words like others."""
    (head, inner, tail), (new_head, new_inner, new_tail) = outside(before), outside(after)
    assert (head, tail, before.fields["meta"]) == (new_head, new_tail, after.fields["meta"])
    assert "".join(inner.split()) == "".join(new_inner.split())
    assert inner.partition(">>>")[1:] == new_inner.partition(">>>")[1:]


def name_alone(before, after):
    old, new = before.fields["meta"]["entry_point"], after.fields["meta"]["entry_point"]
    assert new.isidentifier()
    whole = re.compile(rf"(?<!\w){re.escape(new)}(?!\w)")
    back = _code.with_code(after, whole.sub(old, after.fields["text"])).fields["text"]
    assert back == before.fields["text"]


def same_tree_but_for_code(before, after):
    """The docstring has the same words, and the code's size is about the same."""
    one, two = (ast.get_docstring(_code.Code.of(sample).function) for sample in (before, after))
    assert (one or "").split() == (two or "").split()
    assert before.fields["meta"]["test"] == after.fields["meta"]["test"]


def layout_alone(before, after):
    one, two = (pool.essence(s.fields["text"] + s.fields["meta"]["canonical_solution"]) for s in (before, after))
    assert one == two


KEPT = {
    "docstring": docstring_alone,
    "docstring_whitespace": spaces_alone,
    "name": name_alone,
    "syntax": same_tree_but_for_code,
    "format": layout_alone,
}


def solved(samples):
    programs = [generation.program(one, one.fields["meta"]["canonical_solution"]) for one in samples]
    found = pool.run_all(programs, None, generation.LIMITS)
    return [(s.key, o.reason) for s, o in zip(samples, found, strict=True) if not o.passed]


CODE = [name for name in NAMES if not name.startswith("docstring_")]


@pytest.mark.parametrize("name", CODE)
def test_a_sample_of_canonical_solutions_still_passes(name, problems):
    assert solved(perturbed(name, problems, step=12)[1]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CODE)
def test_all_canonical_solutions_still_pass(name, problems):
    for seed in (1, 2):
        assert solved(perturbed(name, problems, seed)[1]) == []


def test_canonical_solutions_pass_and_nothing_does_not(problems):
    whole, partial, _ = problems
    assert (len(whole), len(partial)) == (164, 164)
    assert solved(whole) == solved(partial) == []
    nothing = {"canonical_solution": "    raise ValueError\n"}
    raising = [one.with_field("meta", one.fields["meta"] | nothing) for one in whole[:4]]
    assert [reason for _, reason in solved(raising)] == ["failed: ValueError"] * 4


def test_half_of_the_lines_are_given(problems):
    for whole, partial in zip(*problems[:2], strict=True):
        given = partial.fields["text"].removeprefix(whole.fields["text"])
        solution = whole.fields["meta"]["canonical_solution"]
        assert given.count("\n") == len(solution.rstrip("\n").split("\n")) // 2
        assert given + partial.fields["meta"]["canonical_solution"] == solution


# ------------------------------------------------------------------ by hand


def apply(name, given=0, seed=1.0, key="k", **options):
    module = registry.find("shifts", name)
    sample = shift_digests.prompt(given)
    return shift_digests.apply(module, sample, seed, RandomStream(0, name, "d", key), **options)


def text(name, given=0, **options):
    return apply(name, given, **options).fields["text"]


def test_prompts_by_hand():
    assert "def addLarge(numbers" in text("name_camel_case")
    assert ">>> addLarge([1, 5])" in text("name_camel_case")
    assert "Checked the numbers, and returned the sum" in text("docstring_tense_past")
    assert "Will check the numbers, and will return the sum" in text("docstring_tense_future")
    assert "if limit < number and total >= 0:" in text("syntax_operand_swap", 4)
    assert "while place + 1 < len(items):\n        place += 1\n" in text("syntax_for_while", 5)
    assert "VAR_0, limit = 0, 3" in text("syntax_rename_naive", 5)
    assert text("format_tab_indent", 4).endswith(
        "\t# every number\n\ttotal, limit = 0, 3\n\tfor number in numbers:\n\t\tif number > limit and total >= 0:\n"
    )
    assert "\n\t>>> add_large([1, 5])\n\t5\n" in text("format_tab_indent", 4)
    assert " \\\n" in text("format_split_lines", 4)
    assert "    # >>> add_large([1, 5])\n    # 5\n" in text("format_docstring_to_comments")
    assert text("format_new_line_after_code") == shift_digests.PROMPT + "\n"
    assert text("format_new_line_after_docstring").endswith('    """\n\n')
    assert text("syntax_dead_code") == shift_digests.PROMPT  # nothing is given, nothing is changed
    assert "False:" in text("syntax_dead_code", 5) or "range(0):" in text("syntax_dead_code", 5)
    assert apply("syntax_rename_naive", 5).fields["meta"]["canonical_solution"].count("VAR_0") > 2


def test_synonyms_come_from_wordnet_in_the_word_s_form():
    new = text("docstring_synonym_substitution", share=1.0)
    assert "Verify the numbers, and return the total of those" in new
    assert "verify Check" in text("docstring_synonym_insertion", share=1.0).replace("Verify", "verify")
    with pytest.raises(DataError, match="synonyms need WordNet"):
        registry.find("shifts", "name_synonym_substitution").apply(
            shift_digests.prompt(0), 1.0, RandomStream(0, "a", "d", "k"), sources={}
        )


def test_names_are_cut_and_joined():
    for name, words in {
        "is_simple_power": ["is", "simple", "power"],
        "sortThird": ["sort", "Third"],
        "_int_to_mini_roman2": ["int", "to", "mini", "roman", "2"],
        "HTTPServer": ["HTTP", "Server"],
    }.items():
        assert _names.split(name) == words
    assert _names.joined("_a_b", ["x", "y"]) == "_x_y"
    assert _names.joined("ab", ["x", "y"]) == "xy"


def test_parts_of_speech_by_their_neighbours():
    words = "Return the closest numbers to check".split()
    assert _english.parts_of_speech(words) == ["VERB", None, "ADJ", "NOUN", None, "VERB"]
    parts = ["to", " ", "return", " ", "it", ", ", "are", " ", "is"]
    free = [part.isalpha() for part in parts]
    assert "".join(_recode_docstring._past(parts, free, None)) == "to return it, were was"


def test_other_severities_and_samples_are_refused():
    module = registry.find("shifts", "docstring_case")
    rng = RandomStream(0, "a", "d", "k")
    with pytest.raises(RangeError, match="'docstring_case': severity 1.5 is no seed"):
        module.apply(shift_digests.prompt(0), 1.5, rng, **defaults(module))
    with pytest.raises(DataError, match="no 'canonical_solution': this is no sample of the task"):
        module.apply(Sample("k", {"text": "a"}), 1.0, rng, **defaults(module))
    broken = shift_digests.prompt(0).with_field("text", "def add_large(:\n")
    with pytest.raises(DataError, match="are no Python"):
        module.apply(broken, 1.0, rng, **defaults(module))
    nameless = shift_digests.prompt(0).with_field("text", "def other():\n")
    with pytest.raises(DataError, match="defines no function 'add_large'"):
        module.apply(nameless, 1.0, rng, **defaults(module))
