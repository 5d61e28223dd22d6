"""Generated pages say what the code says."""

from __future__ import annotations

import pytest

from shiftbench.tools import generate_docs

PAGES = generate_docs.pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(root, name):
    file = root / name
    assert file.read_text() == PAGES[name], f"{name} drifted; run `shiftbench docs`"


def test_all_thirty_checks_are_listed(root):
    lines = (root / "docs/list_of_checks.md").read_text().splitlines()
    listed = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| A")]
    assert listed == [f"A{number}" for number in range(1, 31)]
