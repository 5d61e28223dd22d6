"""JSON whose lists have one element a line: small, and legible in a diff."""

from typing import Any

from shiftbench.provenance.recipe import canonical


def lined(content: dict[str, Any]) -> bytes:
    """Return a document as JSON: sorted keys, one element of each top-level list a line."""
    parts = [f"{canonical(key)}:{_value(value)}" for key, value in sorted(content.items())]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _value(value: object) -> str:
    if not isinstance(value, list) or not value:
        return canonical(value)
    return "[\n" + ",\n".join(f" {canonical(element)}" for element in value) + "\n]"
