"""What is printed of others is only text: it colours nothing, moves no cursor, renames no window."""

import io

import numpy as np
from rich.table import Table

from shiftbench.base.progress import Screen
from shiftbench.cli.application import escaped


def printed(what: object, **options: object) -> str:
    stream = io.StringIO()
    Screen(file=stream, highlight=False, width=10_000, **options).print(what)
    return stream.getvalue()


def test_drawn_names_tell_a_terminal_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        codes = [*rng.integers(0, 0xA0, 20), *rng.integers(0x2000, 0x2070, 5), *rng.integers(0xD7F0, 0xE000, 5)]
        name = "".join(map(chr, codes)).replace("\n", "").replace("\t", "")
        table = Table("name")
        table.add_row(escaped(name))
        for shown in (printed(escaped(name)), printed(table)):
            shown.encode()  # a surrogate of a file's name could not be
            rest = shown.replace("\n", "")
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or 0x202A <= ord(c) < 0x202F for c in rest)


def test_a_control_character_is_seen_as_it_is_spelled() -> None:
    assert printed(escaped("a\x1b]0;owned\x07b\rc\udcff")) == "a\\x1b]0;owned\\x07b\\rc\\udcff\n"
    assert printed("two\nlines\tand [bold]ours[/]") == "two\nlines\tand ours\n".expandtabs(8)


def test_our_own_colours_stay() -> None:
    assert "\x1b[1m" in printed("[bold]ours[/]", force_terminal=True, color_system="standard")
