"""A published cache of rewrites is replayed by the released rule, and what is none is refused."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from makers.short_texts import lengths, samples
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults

LLM = "boss_sentiment_stabilityai_StableBeluga_7b_tempequals0dot0"


INSERT = "boss_sentiment_aug_insert"


def asked(text: str, *examples: str) -> str:
    """Return a prompt with the headings and fences of the released templates (v5, zero shot), as they wrap it."""
    shown = "".join(f'- "{example}"\n' for example in examples)
    text = text.replace("\n", " ")
    if examples:
        head = f"### Style Examples ###\n{shown}\n"
        rest = f'Now say ```"{text}"``` as one of these.\n\n### Said Text ###\nSaid Text:'
    else:
        head = ""
        rest = f'Now say {{{{{{"{text}"}}}}}}.\n\n### Said Text ###\nSaid Text: {{{{{{### Assistant:'
    return (
        f"### System:\n### Instructions ###\nSay it.\n\n{head}### User:\n### Input Text ###\n{rest}\n\n### Assistant:\n"
    )


def publish(folder: Path, split: str, *rows: tuple[str, Sequence[str]], spelled: bool = False) -> None:
    """Write a miniature of a published file: a list of texts for each prompt, or that list as Python writes it."""
    prompts, rewrites = zip(*rows, strict=True)
    columns = {
        "prompt_hash": [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts],
        "prompt": prompts,
        "rewrites": [str(list(some)) if spelled else list(some) for some in rewrites],
    }
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")


TEXTS = ('she said "no"\nto {{{all}}}', "no way: never", "it's ```fine```")


REWRITES = {
    style: [[f"{style}: {number} {'a' * k}" for k in range(5)] for number in range(len(TEXTS))]
    for style in ("icr", "paraphrase", "plain")
}


@pytest.fixture(params=[False, True], ids=["lists", "spelled"])
def published(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The two files of a task: a language model's, of both styles in turn, and an augmenter's."""
    folder = tmp_path / "rewrites/data"
    mixed = []
    for text, icr, paraphrase in zip(TEXTS, REWRITES["icr"], REWRITES["paraphrase"], strict=True):
        mixed.append((asked(text, "one of them", 'a "quoted" one'), icr))
        mixed.append((asked(text), paraphrase))
        mixed.append((asked(text, "another"), ["of other examples"] * 4))  # the first counts
    publish(folder, LLM, *mixed, spelled=request.param)
    plain = [text.replace("\n", " ") for text in TEXTS]
    publish(folder, INSERT, *zip(plain, REWRITES["plain"], strict=True), spelled=request.param)
    return tmp_path / "rewrites"


def cached(path: Path, **options: object) -> tuple[Callable[..., Any], dict[str, Any]]:
    module = registry.find("methods", "tta_cached")
    given = {**defaults(module), "path": str(path), **options}
    module.needs(given)
    return module.wrap(lengths, given, {}), given


@pytest.mark.parametrize(
    ("style", "files"), [("icr", f"*{LLM[14:]}-*"), ("paraphrase", f"*{LLM[14:]}-*"), ("plain", "*_aug_insert-*")]
)
def test_a_published_cache_is_replayed_by_the_released_rule(published: Path, style: str, files: str) -> None:
    """Each style has its own rewrites, as they are; logits are the mean over four of them and the text, twice."""
    given = samples(*TEXTS)
    found = cached(published, style=style, files=files, originals=2)[0](given)["logits"]
    for row, sample, some in zip(found, given, REWRITES[style], strict=True):
        six = lengths([*samples(*some[:4]), sample, sample])["logits"]
        assert row == pytest.approx(six.mean(0), abs=1e-6)
    once = cached(published, style=style, files=files)[0](given)["logits"]
    assert once[0] == pytest.approx(lengths([*samples(*REWRITES[style][0][:4]), given[0]])["logits"].mean(0), abs=1e-6)


def test_texts_without_rewrites_stand_for_themselves_as_far_as_allowed(published: Path) -> None:
    options = {"style": "icr", "files": f"{LLM}-*"}
    some = samples("unknown", TEXTS[0])
    found = cached(published, missing=1, **options)[0](some)["logits"]
    assert found[0] == pytest.approx(lengths(some[:1])["logits"][0], abs=1e-6)
    with pytest.raises(DataError, match="toy/test/0: .* no rewrites of its text in the style 'icr'"):
        cached(published, **options)[0](some)
    with pytest.raises(DataError, match="5 rewrites in .*, k is 6"):
        cached(published, k=6, **options)[0](samples(TEXTS[0]))


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    module = registry.find("methods", "tta_cached")
    with pytest.raises(ParamsError, match="tta_cached: path is missing"):
        module.needs(defaults(module))
    with pytest.raises(ParamsError, match="style is 'ice'; did you mean icr"):
        cached(tmp_path, style="ice")
    with pytest.raises(DataError, match=r"holds no Parquet file of rewrites called a\*"):
        module.read(tmp_path, "a*", "plain")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has not the columns prompt_hash, prompt, rewrites"):
        module.read(tmp_path, "a*", "plain")
    b = tmp_path / "b.parquet"
    for wrong in ("nope", "{'a': 1}", "[1, 2]"):
        row = {"prompt_hash": ["0"], "prompt": ["no way"], "rewrites": [wrong]}
        pq.write_table(pa.table(row), b)
        with pytest.raises(DataError, match=r"row 0: rewrites is no list of texts"):
            module.read(b, "", "plain")
    row = {"prompt_hash": ["0"], "prompt": [f"{module.INPUT} say it"], "rewrites": [["a"]]}
    pq.write_table(pa.table(row), b)
    with pytest.raises(DataError, match="row 0: no text in quotes under '### Input Text ###'"):
        module.read(b, "", "paraphrase")
