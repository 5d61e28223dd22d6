"""What pages with scripts share: their templates' environment, their policy, and data that scripts read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from shiftbench.page.chapters import ends
from shiftbench.page.links import linked, slug
from shiftbench.page.measures import DASH, spell


def environment(*folders: Path) -> Environment:
    """Return the environment of the templates in some folders, and of those above the last that all pages share.

    Everything is escaped, nothing may be undefined.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, folders[-1].parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"spell": spell, "ends": ends, "count": lambda number: f"{number:,}"}
    made.filters |= {"slug": slug, "linked": linked}
    made.globals["DASH"] = DASH
    return made


def policy(scripts: Iterable[str]) -> str:
    """Return a content security policy: no request, and no script but these; images and sounds are data URLs."""
    digests = (
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    )
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: object) -> Markup:
    """Return JSON that may stand in a script element: no character of it can end the element."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    )
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
