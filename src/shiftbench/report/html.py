"""Common parts of pages with scripts: environment of templates, security policy, and data for scripts."""

import base64
import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from shiftbench.report import svg
from shiftbench.report.chapters import ends
from shiftbench.report.links import linked, slug
from shiftbench.report.measures import DASH
from shiftbench.report.titles import spell

TEMPLATES = Path(__file__).with_name("templates")


@functools.cache
def environment(*folders: str) -> Environment:
    """Jinja environment for the templates in some folders of `TEMPLATES`, and for those of all pages.

    It escapes every value and refuses undefined names. It is cached, because it keeps compiled templates.
    """
    environment = Environment(
        loader=FileSystemLoader([*(TEMPLATES / folder for folder in folders), TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"spell": spell, "ends": ends, "count": lambda number: f"{number:,}"}
    environment.filters["level"] = lambda severity: f"{severity:g}"
    environment.filters |= {"slug": slug, "linked": linked, "svg": svg.svg, "code": code}
    environment.globals["DASH"] = DASH
    return environment


def code(text: str) -> Markup:
    """A text of a docstring, with what stands between backticks as code.

    Example:
        >>> code("As `mce`, < 1")
        Markup('As <code>mce</code>, &lt; 1')
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts))
    return Markup().join(marked)


def style() -> Markup:
    """Style sheet of all pages."""
    return Markup((TEMPLATES / "report/style.css").read_text())


def policy(scripts: Iterable[str]) -> str:
    """A content security policy: no request, and no other script than these; images and sounds are data URLs."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def embedded(value: object) -> Markup:
    """JSON for a script element, with no character that could end the element."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
