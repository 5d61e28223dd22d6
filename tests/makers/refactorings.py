"""Refactorings of a copy of the package, drawn: each leaves what every definition means as it was."""

import ast
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from numpy.random import Generator

from shiftbench.base import registry
from shiftbench.provenance import code_digest, source_names

Definition = ast.FunctionDef | ast.ClassDef


def copied(folder: Path) -> Path:
    """Return a copy of the package without systems; what is not written stays a link to it."""
    home = folder / registry.PACKAGE.name
    shutil.copytree(
        registry.PACKAGE, home, ignore=shutil.ignore_patterns("__pycache__", "systems"), copy_function=os.symlink
    )
    return home


def _read(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _write(file: Path, tree: ast.Module) -> None:
    file.unlink(missing_ok=True)
    file.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n")


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [one for one in tree.body if isinstance(one, ast.FunctionDef)]


def documented(file: Path, _: Generator, home: Path) -> bool:
    """Give every function and class another docstring; `unparse` drops comments and formatting."""
    tree = _read(file)
    for one in ast.walk(tree):
        if isinstance(one, Definition):
            has = ast.get_docstring(one) is not None
            one.body = [ast.Expr(ast.Constant("Another text.")), *one.body[has:]]
    _write(file, tree)
    return True


def annotated(file: Path, _: Generator, home: Path) -> bool:
    """Take the annotations of functions away, where no decorator looks at them."""
    tree = _read(file)
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef):
            one.returns = None
            for argument in ast.walk(one.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
    _write(file, tree)
    return True


def reordered(file: Path, random: Generator, home: Path) -> bool:
    """Put the functions at the end, in another order."""
    tree = _read(file)
    functions = _functions(tree)
    if len({one.name for one in functions}) < len(functions):
        return False
    rest = [one for one in tree.body if one not in functions]
    tree.body = [*rest, *(functions[int(at)] for at in random.permutation(len(functions)))]
    _write(file, tree)
    return True


def renamed_locals(file: Path, _: Generator, home: Path) -> bool:
    """Give each variable of each function another name, where the function has no function, class or text for it."""
    tree = _read(file)
    for one in _functions(tree):
        inner = list(ast.walk(one))
        if any(isinstance(node, Definition | ast.Lambda | ast.Global) for node in inner[1:]):
            continue
        given = {node.arg for node in inner if isinstance(node, ast.arg)}
        stored = [node for node in inner if isinstance(node, ast.Name)]
        names = {node.id for node in stored if isinstance(node.ctx, ast.Store)} - given
        names -= {node.name for node in inner if isinstance(node, ast.ExceptHandler)}
        names -= {a.asname or a.name for n in inner if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
        captured = (ast.MatchAs, ast.MatchStar, ast.MatchMapping)
        if any(isinstance(node, captured) for node in inner):
            continue
        for node in stored:
            if node.id in names:
                node.id = f"{node.id}_renamed"
    _write(file, tree)
    return True


def renamed(file: Path, random: Generator, home: Path) -> bool:
    """Give a function that only this file knows another name."""
    tree = _read(file)
    everywhere = "\n".join(one.read_text() for one in file.parent.glob("*.py") if one != file)
    own = [one.name for one in _functions(tree) if one.name.startswith("_")]
    bound = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    free = [name for name in own if name not in everywhere and name not in bound | texts]
    free = [name for name in free if not name.endswith("_renamed")]
    if not free:
        return False
    chosen = str(random.choice(free))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == chosen:
            node.id = f"{chosen}_renamed"
        if isinstance(node, ast.FunctionDef) and node.name == chosen:
            node.name = f"{chosen}_renamed"
    _write(file, tree)
    return True


def split(file: Path, random: Generator, home: Path) -> bool:
    """Move some functions to a new module, which imports what it needs of the old one, and is imported there."""
    tree = _read(file)
    movable = [one for one in _functions(tree) if _moves(one, file, tree)]
    if not movable or file.name == "__init__.py":
        return False
    count = 1 + int(random.integers(len(movable)))
    chosen = [movable[int(at)] for at in random.permutation(len(movable))[:count]]
    new = file.with_name(f"_part_{int(random.integers(1 << 30))}.py")
    _move(file, tree, chosen, new, home)
    return True


def _moves(one: ast.FunctionDef, file: Path, tree: ast.Module) -> bool:
    """Tell whether a function can be elsewhere: it reads no place, sets no global, and is no part of an interface."""
    inner = list(ast.walk(one))
    reads = {node.id for node in inner if isinstance(node, ast.Name)}
    plain = not reads & {"__name__", "__file__", "globals", "exec", "eval"}
    twice = sum(node.name == one.name for node in _functions(tree)) > 1
    return (
        plain
        and not twice
        and not any(isinstance(node, ast.Global) for node in inner)
        and (one.name.startswith("_") or file.name.startswith("_"))
    )


def _move(file: Path, tree: ast.Module, chosen: list[ast.FunctionDef], new: Path, home: Path) -> None:
    imports = [one for one in tree.body if _imports(one)]
    old_name, new_name = (_dotted(one, home) for one in (file, new))
    known = {name for one in tree.body for name in _binds(one)} - {one.name for one in chosen}
    back = sorted(known & _used(chosen))
    body: list[ast.stmt] = [*imports]
    if back:
        body.append(ast.ImportFrom(old_name, [ast.alias(name) for name in back], 0))
    _write(new, ast.Module([*body, *chosen], type_ignores=[]))
    there = ast.ImportFrom(new_name, [ast.alias(one.name) for one in chosen], 0)
    rest = _tidied([one for one in tree.body if one not in chosen], chosen)
    last = max((at for at, one in enumerate(rest) if _imports(one)), default=0)
    tree.body = [*rest[: last + 1], there, *rest[last + 1 :]]
    _write(file, tree)


def _tidied(body: list[ast.stmt], chosen: list[ast.FunctionDef]) -> list[ast.stmt]:
    """Return statements without the imports that only what has moved used."""
    idle = _used(chosen) - _used(body)
    for one in body:
        if isinstance(one, ast.ImportFrom) and one.module != "__future__":
            one.names = [alias for alias in one.names if (alias.asname or alias.name) not in idle]
    return [one for one in body if not isinstance(one, ast.ImportFrom) or one.names]


def _used(body: Iterable[ast.stmt]) -> set[str]:
    return {node.id for one in body for node in ast.walk(one) if isinstance(node, ast.Name)}


def _imports(one: ast.stmt) -> bool:
    for_types = isinstance(one, ast.If) and "TYPE_CHECKING" in ast.unparse(one.test)
    return isinstance(one, ast.Import | ast.ImportFrom) or for_types


def _binds(one: ast.stmt) -> Iterable[str]:
    if isinstance(one, Definition):
        return [one.name]
    if isinstance(one, ast.Assign | ast.AnnAssign):
        targets = one.targets if isinstance(one, ast.Assign) else [one.target]
        return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    return []


def _dotted(file: Path, home: Path) -> str:
    parts = file.relative_to(home.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def merged(file: Path, random: Generator, home: Path) -> bool:
    """Move all functions of a helper into a neighbour, where no name is another's; the helper imports them again."""
    tree = _read(file)
    movable = [one for one in _functions(tree) if _moves(one, file, tree)]
    others = [one for one in sorted(file.parent.glob("_[a-z]*.py")) if one != file]
    if not movable or not others or not file.name.startswith("_") or file.name == "__init__.py":
        return False
    target = others[int(random.integers(len(others)))]
    there = _read(target)
    mine, theirs = _bindings(tree), _bindings(there)
    used = _used(movable)
    clash = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    locals_ = {one.name for one in movable} & theirs.keys()
    if "ASSETS" in mine | theirs:  # which count with all that a module defines
        return False
    if clash or locals_ or used & theirs.keys() - mine.keys() or _acts(target) or _acts(file):
        return False
    own = [one for one in there.body if not _imports(one)]
    kept = [one for one in there.body if _imports(one)]
    brought = [one for one in tree.body if _imports(one)]
    back = sorted({name for one in tree.body for name in _binds(one)} & used - {m.name for m in movable})
    link = [ast.ImportFrom(_dotted(file, home), [ast.alias(n) for n in back], 0)] if back else []
    _write(target, ast.Module([*kept, *brought, *link, *own, *movable], type_ignores=[]))
    again = ast.ImportFrom(_dotted(target, home), [ast.alias(one.name) for one in movable], 0)
    rest = [one for one in tree.body if one not in movable]
    _write(file, ast.Module([rest[0], again, *rest[1:]] if _is_future(rest) else [again, *rest], []))
    return True


def _is_future(body: list[ast.stmt]) -> bool:
    return bool(body) and not isinstance(body[0], ast.Import | ast.ImportFrom)


def _bindings(tree: ast.Module) -> dict[str, str]:
    """Return what each name at the top is: what is imported, or that it is the module's own."""
    found = {}
    for one in ast.walk(tree):
        if isinstance(one, ast.Import):
            found.update({a.asname or a.name.partition(".")[0]: a.name for a in one.names})
        if isinstance(one, ast.ImportFrom):
            found.update({a.asname or a.name: f"{one.module}.{a.name}" for a in one.names})
    return found | {name: f"own {id(tree)}" for one in tree.body for name in _binds(one)}


def _acts(file: Path) -> bool:
    """Tell whether importing a file, with what it imports, does more than define."""
    linker = code_digest._jobs().linker
    return any(linker.acts(one) for one in linker.imports(linker.file(file)))


def renamed_module(file: Path, random: Generator, home: Path) -> bool:
    """Give a helper another name, in all files that import it."""
    if not file.name.startswith("_") or file.name == "__init__.py" or "__name__" in file.read_text():
        return False
    dotted = _dotted(file, home)
    package, _, stem = dotted.rpartition(".")
    users = [one for one in home.rglob("*.py") if stem in (text := one.read_text()) and package in text]
    users = [one for one in users if "templates" not in one.parts]
    new = f"{stem}_{int(random.integers(1 << 30))}"
    for user in users:
        tree = _read(user)
        for one in ast.walk(tree):
            if isinstance(one, ast.ImportFrom) and one.module == dotted:
                one.module = f"{package}.{new}"
            if isinstance(one, ast.ImportFrom) and one.module == package:
                one.names = [ast.alias(new, a.asname or stem) if a.name == stem else a for a in one.names]
        _write(user, tree)
    text = file.read_text()
    file.unlink()
    file.with_name(f"{new}.py").write_text(text)
    return True


ALL: dict[str, Callable[[Path, Generator, Path], bool]] = {
    "document": documented,
    "annotate": annotated,
    "reorder": reordered,
    "rename locals": renamed_locals,
    "rename": renamed,
    "split": split,
    "merge": merged,
    "rename a module": renamed_module,
}
"""Name -> what applies it to a file of a copy; False: it does not fit there."""


class changed:
    """Another body of a definition, meanwhile.

    Args:
        name: as `code_digest.named_digests` spells it.
    """

    def __init__(self, name: str) -> None:
        place, _, self.names = name.partition(": ")
        self.file = source_names.locate(place)

    def __enter__(self) -> None:
        self.text = self.file.read_text()
        tree = ast.parse(self.text)
        wanted = self.names.split(", ")
        found = [node for node in tree.body if wanted[0] in _binds(node)]
        for node in found:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                node.body.append(ast.parse("changed = 1").body[0])
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                node.value = ast.Tuple([node.value or ast.Constant(None), ast.Constant(1)], ast.Load())
        assert found, self.names
        self.link = self.file.readlink() if self.file.is_symlink() else None
        _write(self.file, tree)

    def __exit__(self, *_: object) -> None:
        self.file.unlink()
        if self.link:
            self.file.symlink_to(self.link)
        else:
            self.file.write_text(self.text)
