"""Generated pages say what the code says."""

from __future__ import annotations

import pytest

from shiftbench import docs

PAGES = docs.pages()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(root, name):
    file = root / name
    assert file.read_text() == PAGES[name], f"{name} drifted; run `shiftbench docs`"
