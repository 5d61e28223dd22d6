"""docs/params.md: the keys of params.yaml, generated below an introduction that is written by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shiftbench.cli.documents import markdown, plugin_pages, system_pages
from shiftbench.workflow.plan import params

PAGE = "docs/params.md"
_TYPES = {"string": "text", "integer": "int", "boolean": "true or false"}
_BOUNDS = {"exclusiveMinimum": ">", "minimum": "≥", "maximum": "≤", "exclusiveMaximum": "<"}
_Node = Mapping[str, Any]
"""An object of the JSON Schema."""


def page(repository: Path) -> str:
    """The page, with its generated part from the JSON Schema of params.yaml."""
    empty = f"# params.yaml\n\n{system_pages.BEGIN}\n{system_pages.END}\n"  # in a benchmark's repository
    return system_pages.filled(repository / PAGE, keys(), empty)


def keys() -> str:
    """Table of the top-level keys, then a table for each key that has keys of its own."""
    schema = params.schema()
    lines = ["## Top-level keys", "", *markdown.table(["key", "type", "default", "what it is"], _top(schema))]
    for name, node in schema["properties"].items():
        group, many = _group(node, schema["$defs"])
        if group and _has_section(name, group):
            lines += ["", f"## `{name}`", "", *_about(name, group)]
            lines += markdown.table(
                ["key", "type", "default", "meaning"], _rows(many.lstrip("."), group, schema["$defs"])
            )
    return "\n".join(lines)


def _top(whole: _Node) -> list[list[str]]:
    rows = []
    for name, node in whole["properties"].items():
        group, many = _group(node, whole["$defs"])
        if group is None:
            rows.append(_row(f"`{name}`", node))
        elif name in params.SECTIONS:
            about = f"{plugin_pages.ABOUT[name]} [All {name}]({_link(name)})"
            key = f"[`{name}`](#{name})" if _has_section(name, group) else f"`{name}`"
            rows.append([key, "name: options", "none", about])
        else:
            rows.append([f"[`{name}`](#{name})", "name: keys" if many else "keys", "", _first_line(group)])
    return rows


def _has_section(name: str, group: _Node) -> bool:
    """Plugin types with no key but `use` have no section."""
    return name not in params.SECTIONS or set(group["properties"]) != {"use"}


def _link(plugin_type: str) -> str:
    return f"{Path(plugin_pages.FOLDER).name}/{plugin_type}.md"


def _about(name: str, group: _Node) -> list[str]:
    lines = [_first_line(group), ""]
    if name in params.SECTIONS:
        lines.insert(1, f"All other keys are options of the plugin: [{name}]({_link(name)}).")
    return lines


def _rows(prefix: str, node: _Node, definitions: _Node) -> list[list[str]]:
    """One table row for each key below an object."""
    rows = []
    for name, child in node["properties"].items():
        path = f"{prefix}.{name}" if prefix else name
        group, many = _group(child, definitions)
        if group is None:
            rows.append(_row(f"`{path}`", child))
            continue
        rows.append([f"`{path}{many}`", "keys", "", _first_line(group)])
        rows += _rows(f"{path}{many}", group, definitions)
    return rows


def _row(name: str, node: _Node) -> list[str]:
    default = f"`{json.dumps(node['default'])}`" if "default" in node else "required"
    return [name, _type(node), default, node.get("description", "")]


def _first_line(group: _Node) -> str:
    first: str = group["description"].splitlines()[0]
    return first


def _group(node: _Node, definitions: _Node) -> tuple[_Node | None, str]:
    """The object below a key, one or many, and how the path to its keys goes on; None for a plain value."""
    child, many = node, ""
    if "patternProperties" in node:
        child, many = next(iter(node["patternProperties"].values())), ".NAME"
    elif isinstance(node.get("additionalProperties"), dict):
        child, many = node["additionalProperties"], ".NAME"
    elif "items" in node:
        child, many = node["items"], "[]"
    reference = child.get("$ref")
    return (definitions[reference.rpartition("/")[2]], many) if reference else (None, "")


def _type(node: _Node) -> str:
    """A type of the JSON Schema in words."""
    if "anyOf" in node:
        return " or ".join(map(_type, node["anyOf"]))
    if "$ref" in node:
        return "object"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "prefixItems" in node:
        return f"[{', '.join(map(_type, node['prefixItems']))}]"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    bounds = [f"{sign} {node[key]:g}" for key, sign in _BOUNDS.items() if key in node]
    word = _TYPES.get(node["type"]) or str(node["type"])
    return " ".join([word, *bounds])
