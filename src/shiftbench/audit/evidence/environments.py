"""Differences between the environment of a run file and another one."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Environment = Mapping[str, Any]
"""As `shiftbench.provenance.environment.describe` gives it."""
_FACTS = ("python os cpu cpu_features torch_cpu blas blas_core variables gpu cuda cudnn driver").split()
_WHERE_KNOWN = ("torch_cpu", "blas_core")
"""Known only after the library was imported: a missing value is no difference."""
_NO_REASON = ("os", "driver")
_LIBRARIES_OF_NO_REASON = ("shiftbench", "snakemake", "dvc", "polars")


def differences(then: Environment, now: Environment) -> list[str]:
    """Differences of two environments, a line each: facts of the machine, packages, codecs.

    A library that only one of them names is not listed.
    """
    return [*_facts(then, now, _FACTS), *_libraries(then, now, ())]


def reasons(then: Environment | None, now: Environment) -> list[str]:
    """Differences of two environments that can change bytes, a line each: CPU, Python, libraries, codecs, GPU.

    If the environment of the run is unknown, there are none.
    """
    if not then:
        return []
    facts = [name for name in _FACTS if name not in _NO_REASON]
    return [*_facts(then, now, facts), *_libraries(then, now, _LIBRARIES_OF_NO_REASON)]


def is_software(reason: str) -> bool:
    """Whether a difference is in a library, wheel or codec, which an auditor could install."""
    name = reason.partition(" ")[0].rstrip(":")
    return name not in _FACTS


def _facts(then: Environment, now: Environment, names: Collection[str]) -> Iterator[str]:
    for name in names:
        unknown = then.get(name) if name in _WHERE_KNOWN else "none"
        value = now.get(name, unknown)
        if name in then and then[name] != value:
            yield _difference(name, then[name], value)


def _difference(name: str, then: Any, now: Any) -> str:
    if isinstance(then, list) and isinstance(now, list):  # CPU features, of which there are many
        return f"{name}: {', '.join(sorted(set(then) ^ set(now)))} only on one of them"
    if isinstance(then, dict) and isinstance(now, dict):
        keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        changes = (f"{key} {then.get(key, 'unset')} -> {now.get(key, 'unset')}" for key in keys)
        return f"{name}: {', '.join(changes)}"
    return f"{name} {then} -> {now}"


def _libraries(then: Environment, now: Environment, without: Collection[str]) -> Iterator[str]:
    for kind in ("packages", "installed", "codecs"):
        old, new = then.get(kind) or {}, now.get(kind) or {}
        for name in sorted((old.keys() & new.keys()) - set(without)):
            if old[name] != new[name]:
                what = f"the wheel of {name}" if kind == "installed" else name
                yield f"{what} {old[name]} -> {new[name]}"
