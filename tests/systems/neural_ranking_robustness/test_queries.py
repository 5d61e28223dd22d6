"""Queries by their type: of a collection in TREC's layout, and of Semanlink."""

from pathlib import Path
from typing import Any

import pytest

from makers import miniature_texts
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults


def test_queries_of_a_type_or_of_all_others_and_so_many_of_them(tmp_path: Path) -> None:
    """MS MARCO's layout: a type per query in a file of its own; one type is left out, or tested."""
    _, given = miniature_texts.trec(tmp_path)
    types = tmp_path / "types.tsv"
    types.write_text("200\tLOCATION\n201\tNUMERIC\n202\tLOCATION\n")
    module = registry.find("datasets", "trec")

    def names(**options: Any) -> list[str]:
        params = {**defaults(module), **given, "types": str(types), "name": "t", **options}
        found = list(module.samples("test", {}, params))
        assert all(len(one.fields["candidates"]) == 10 for one in found)
        assert all(one.fields["meta"]["group"] in ("LOCATION", "NUMERIC") for one in found)
        return [one.key.rpartition("/")[2] for one in found]

    assert names() == ["200", "201", "202"]
    assert names(kind="LOCATION") == ["200", "202"]
    assert names(without="LOCATION") == ["201"]
    few = names(limit=2)
    assert len(few) == 2
    assert set(names(limit=1)) < set(few)  # nested
    assert str(types) in module.wants("test", {**defaults(module), **given, "types": str(types)})
    with pytest.raises(DataError, match="no query is of the type 'PERSON'"):
        names(kind="PERSON")
    with pytest.raises(ParamsError, match="kind and without need `types`"):
        names(kind="PERSON", types="")
    types.write_text("200 LOCATION\n")
    with pytest.raises(DataError, match="expected lines `query <tab> type`"):
        names()


def test_where_semanlink_is_cut() -> None:
    module = registry.find("datasets", "semanlink")
    for cuts in ([0.5, 0.4], [0, 0.5], [0.5, 1]):
        with pytest.raises(ParamsError, match="expected two rising shares"):
            list(module.samples("test", {}, {**defaults(module), "name": "s", "cuts": cuts}))
