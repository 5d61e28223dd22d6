"""Claims at full scale name rows that their scale makes: weights trained or given, and where these are tested."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from isolation import ROOT
from shiftbench.statistics.claims.statements import parts
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan.params import Params

SLUGS = (
    *("cns-bench", "coco-o", "complexity-ood", "cooked"),
    *("fmr", "imagenet-e", "lapt", "m-hood"),
    *("m2mkd", "machine-vision-therapy", "mol-caood", "multiood"),
    *("neural-ranking-robustness", "pt-ood", "rfc-bonsai", "rwds"),
    *("shape-bias-robust-cnns", "so-fake", "spatial-vlm-cot-grpo", "ssl-medmnist"),
    *("successful-interpolation", "synctalk-plus-plus", "ugt-compnets"),
)


def selectors(expression: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the selectors of an expression."""
    if "metric" in expression:
        yield expression
        return
    _, operand, _ = parts(expression)
    for one in operand if isinstance(operand, list) else [operand]:
        yield from selectors(one)


def several(value: Any) -> list[Any]:
    """Return the values that a selector names; null is the row over all of them."""
    return [one for one in (value if isinstance(value, list) else [value]) if one is not None]


def made(params: Params, name: str) -> set[tuple[str, str, str]]:
    """Return (weights, shift, benchmark) of the rows of a benchmark; weights with and without what they learnt from."""
    benchmark, found = params.benchmarks[name], set()
    walked = [params.options("streams", stream).get("shift") for stream in benchmark.streams]
    walked += [params.options("analyses", analysis).get("shift") for analysis in benchmark.analyses]
    shifts = {"identity", *benchmark.shifts, *filter(None, walked)}
    for weights in benchmark.models:
        for model in weights.architectures:
            for trainer in weights.trainers:
                short = f"{model}-{trainer}"
                learnt = f"{weights.dataset or benchmark.dataset}/{short}"
                for shift in shifts:
                    found |= {(short, shift, name), (learnt, shift, name)}
    return found


@pytest.mark.parametrize("slug", SLUGS)
def test_full_claims_name_what_their_scale_makes(slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    params = configurations.load(f"systems/{slug}/full", tmp_path)
    rows = {row for name in params.benchmarks for row in made(params, name)}
    claims = {name: one for name, one in cards.load(slug).claims.items() if one.scale == "full"}
    assert claims
    for name, claim in claims.items():
        for selector in selectors(claim.value or {}):
            for column, at in (("model", 0), ("shift", 1), ("benchmark", 2)):
                named = set(several(selector[column])) if column in selector else set()
                lacking = named - {row[at] for row in rows}
                assert not lacking, f"{name}: {column} {sorted(lacking)}"
            wanted = [set(several(selector.get(c, []))) for c in ("model", "shift", "benchmark")]
            assert any(all(not one or value in one for one, value in zip(wanted, row, strict=True)) for row in rows), (
                f"{name}: no row has {selector}"
            )
