"""How much each perturbation changes, beside the files released with ReCode, on the same 164 prompts.

OFFICIAL are rates of the released files of HumanEval (amazon-science/recode, commit 6688522), mean of their ten seeds,
measured by the functions below; of a deterministic perturbation there is one file. A rate of ours, on every second
problem, is within a quarter of it, or as near as APART says, for the reason that stands there.
"""

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

import pytest

from makers import code_problems
from makers.code_problems import Problems
from shiftbench.base.sample import Sample

Pair = tuple[Sample, Sample]
"""A clean prompt and a perturbed one."""
Rate = Callable[[Sequence[Pair]], float]


def text(sample: Sample) -> str:
    return str(sample.fields["text"])


def prose(sample: Sample) -> tuple[int, int]:
    """Return where the words of a docstring begin, and where its examples or its end are."""
    prompt = text(sample)
    entry = prompt.index(sample.fields["meta"]["entry_point"])
    found = re.search(r"\"\"\"|'''", prompt[entry:])
    assert found is not None
    start = entry + found.end()
    rest = prompt[start:].partition(found.group())[0].partition(">>>")[0]
    return start + len(rest) - len(rest.lstrip()), start + len(rest.rstrip())


def letters(pairs: Sequence[Pair]) -> float:
    """Return the share of the letters of docstrings that are others."""
    changed = count = 0
    for old, new in pairs:
        start, end = prose(old)
        count += sum(one.isalpha() for one in text(old)[start:end])
        changed += sum(one != two for one, two in zip(text(old), text(new), strict=False))
    return changed / count


def _spaces(pairs: Sequence[Pair]) -> tuple[float, float]:
    put = gone = others = spaces = 0
    for old, new in pairs:
        start, end = prose(old)
        before, within = (len("".join(text(old)[a:b].split())) for a, b in ((0, start), (start, end)))
        gaps = zip(_gaps(text(old)), _gaps(text(new)), strict=True)
        for number, (one, two) in enumerate(gaps):
            if before < number < before + within:
                others, spaces = others + 1, spaces + one
                put, gone = put + max(0, two - one), gone + max(0, one - two)
    return put / others, gone / spaces


def _gaps(prompt: str) -> list[int]:
    """Return how much white space stands before each other character."""
    return [len(gap) for gap in re.findall(r"(\s*)\S", prompt)]


def spaces_put(pairs: Sequence[Pair]) -> float:
    """Return spaces that were put within docstrings, per character that is none."""
    return _spaces(pairs)[0]


def spaces_gone(pairs: Sequence[Pair]) -> float:
    """Return white space that went from docstrings, per white space."""
    return _spaces(pairs)[1]


def _words(pairs: Sequence[Pair]) -> tuple[float, float]:
    put = replaced = count = 0
    for old, new in pairs:
        start, end = prose(old)
        texts = text(old)[start:end], text(new)[start:].partition(">>>")[0]
        one, two = (re.findall(r"[A-Za-z]+", part.lower()) for part in texts)
        count += len(one)
        for kind, i1, i2, j1, j2 in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
            put += max(0, j2 - j1 - (i2 - i1)) if kind in ("insert", "replace") else 0
            replaced += i2 - i1 if kind in ("replace", "delete") else 0
    return put / count, replaced / count


def words_put(pairs: Sequence[Pair]) -> float:
    """Return words that were put, per word of docstrings."""
    return _words(pairs)[0]


def words_replaced(pairs: Sequence[Pair]) -> float:
    """Return the share of the words of docstrings that were replaced."""
    return _words(pairs)[1]


def names(pairs: Sequence[Pair]) -> float:
    """Return the share of functions that have another name."""
    found = [[one.fields["meta"]["entry_point"] for one in pair] for pair in pairs]
    return sum(old != new for old, new in found) / len(found)


def prompts(pairs: Sequence[Pair]) -> float:
    """Return the share of prompts that are others, white space and quotes aside (Black changes these)."""
    return sum(_bare(old) != _bare(new) for old, new in pairs) / len(pairs)


def _bare(sample: Sample) -> str:
    return re.sub(r"[\s'\"]", "", text(sample))


def code_lines(pairs: Sequence[Pair]) -> float:
    """Return lines that were put and are not empty, per prompt that is another."""
    counts = [[_full_lines(one) for one in pair] for pair in pairs if _bare(pair[0]) != _bare(pair[1])]
    return sum(new - old for old, new in counts) / len(counts)


def _full_lines(sample: Sample) -> int:
    return sum(bool(line.strip()) for line in text(sample).split("\n"))


def lines(pairs: Sequence[Pair]) -> float:
    """Return lines that were put, per prompt."""
    return sum(text(new).count("\n") - text(old).count("\n") for old, new in pairs) / len(pairs)


def tabs(pairs: Sequence[Pair]) -> float:
    """Return the share of the lines, those of docstrings too, that begin with a tab."""
    found = [line for _, new in pairs for line in text(new).split("\n") if line.strip()]
    return sum(line.startswith("\t") for line in found) / len(found)


OFFICIAL: dict[str, dict[Rate, float]] = {
    "docstring_keyboard": {letters: 0.0506},
    "docstring_case": {letters: 0.3038},
    "docstring_inflection": {words_replaced: 0.2447},
    "docstring_swap": {letters: 0.0662},
    "docstring_synonym_insertion": {words_put: 0.1806},
    "docstring_synonym_substitution": {words_replaced: 0.1594},
    "docstring_tense_past": {words_replaced: 0.0996},
    "docstring_tense_future": {words_put: 0.0982},
    "docstring_whitespace": {spaces_put: 0.0538, spaces_gone: 0.1009},
    "name_camel_case": {names: 0.7744},
    "name_keyboard": {names: 0.5110},
    "name_swap": {names: 0.3421},
    "name_case": {names: 0.9720},
    "name_inflection": {names: 0.5921},
    "name_synonym_substitution": {names: 0.3982},
    "syntax_dead_code": {prompts: 0.7640, code_lines: 2.8716},
    "syntax_dead_code_last": {prompts: 0.7622, code_lines: 2.8800},
    "syntax_for_while": {prompts: 0.3780, code_lines: 1.7258},
    "syntax_operand_swap": {prompts: 0.3720},
    "syntax_rename_naive": {prompts: 0.7073},
    "syntax_rename_random": {prompts: 0.7098},
    "format_tab_indent": {tabs: 0.9170},
    "format_split_lines": {lines: 0.8110},
    "format_docstring_to_comments": {lines: -1.3720},
    "format_new_lines": {lines: 2.0323},
    "format_new_line_after_code": {lines: 1.0},
    "format_new_line_after_docstring": {lines: 1.0},
}
APART: dict[tuple[str, Rate], tuple[float, str]] = {
    ("docstring_tense_future", words_put): (0.35, "verbs are found by rules here, by a parser there"),
    ("name_synonym_substitution", names): (0.5, "there a seed draws alike for all names; seed 0 changes none"),
    ("syntax_for_while", code_lines): (1.0, "the step stands at the loop's top, as its end may not be given"),
}


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Problems:
    return code_problems.load(tmp_path_factory.mktemp("originals"))


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_perturbation_changes_as_much_as_the_released_files(name: str, problems: Problems) -> None:
    pairs: list[Pair] = []
    for seed in (1, 2):
        pairs += zip(*code_problems.perturbed(name, problems, seed, step=2), strict=True)
    for rate, official in OFFICIAL[name].items():
        near, _ = APART.get((name, rate), (0.25, ""))
        assert rate(pairs) == pytest.approx(official, rel=near), rate.__name__
