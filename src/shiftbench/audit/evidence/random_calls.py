"""Calls in a source file that draw random numbers without a key, read from its syntax without running it."""

import ast
from collections.abc import Iterator
from pathlib import Path

TRAINING = frozenset("models trainers losses optimizers".split())
"""Plugin types that run inside a training, where `train` forks torch's generator and trainers seed it by the key."""

_SEEDED = frozenset(
    "Generator Philox PCG64 PCG64DXSM SFC64 MT19937 SeedSequence BitGenerator RandomState default_rng".split()
)
"""Names in numpy.random that are no global state if they get a seed."""
_TORCH = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like normal bernoulli multinomial poisson".split()
)
_IN_PLACE = frozenset("uniform_ normal_ random_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_".split())
_NEVER = frozenset(
    "os.urandom uuid.uuid1 uuid.uuid4 random.SystemRandom torch.seed torch.random.seed cv2.randn cv2.randu "
    "cv2.randShuffle cv2.setRNGSeed".split()
)


def calls(file: Path, *, training: bool) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of each call in a Python source that draws from a global or an unseeded generator.

    In a training torch's own generator may be used: the trainer sets its seed.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    known = _imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func, known)
            if (name and _is_global(name, node)) or (not training and _is_torch(name, node)):
                yield node.lineno, name or ast.unparse(node.func)


def _imports(tree: ast.AST) -> dict[str, str]:
    """Full name of each imported name: `np` -> `numpy`, `rand` -> `numpy.random.rand`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _name(node: ast.expr, known: dict[str, str]) -> str | None:
    """Full name of a called function; None if it does not begin with an import."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in known:
        return None
    return ".".join([known[node.id], *parts])


def _is_global(name: str, call: ast.Call) -> bool:
    module, _, last = name.rpartition(".")
    if name in _NEVER or module == "secrets":
        return True
    if module == "numpy.random":
        return last not in _SEEDED or not _is_seeded(call)
    if module == "random":
        return last != "Random" or not _is_seeded(call)
    return False


def _is_seeded(call: ast.Call) -> bool:
    """Whether a generator gets a seed."""
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(not (isinstance(value, ast.Constant) and value.value is None) for value in arguments)


def _is_torch(name: str | None, call: ast.Call) -> bool:
    """Whether a call draws from torch's global generator, or seeds it."""
    if any(keyword.arg == "generator" for keyword in call.keywords):
        return False
    if name is not None:
        module, _, last = name.rpartition(".")
        return module == "torch" and last in {*_TORCH, "manual_seed"}
    return isinstance(call.func, ast.Attribute) and call.func.attr in _IN_PLACE
