"""Definitions of one source file, each with a meaning that names, comments, docstrings and annotations do not change.

The description of a pydantic field is a docstring here.

A *definition* is a statement at the top of a module, or several statements that bind the same names.
`definition_writer` writes its meaning.
"""

import ast
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shiftbench.provenance.definition_writer import Writer
from shiftbench.provenance.import_effects import Calls
from shiftbench.provenance.module_names import Module, acts_in_notes, bound


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition of a file, with one name, several names that cannot be separated, or none.

    Attributes:
        names: that it binds, in the order of the text.
        meaning: digest of its syntax tree, references left out.
        descriptions: digests of names of functions and annotations, and of docstrings and fields' descriptions.
        uses: references, in the order of the text: `.name.attribute` of this file, else `package.module.name`.
        notes: references of annotations.
        lazy: modules that it imports when it runs.
        strings: texts that may be names of modules or files, and plugins that it uses: `TYPE/NAME`, or `TYPE/`
            where the name is computed.
        calls: calls in it when the file is imported, as `uses`; see `Calls`.
        traits: `acts` (no definition, or more than one), `main` (runs in scripts alone), `quiet` (calling it changes
            nothing), `value` (the value of an expression), `plain` (a literal, which cannot change), `plain base`
            (nothing happens in this class when another is derived from it), `reflects`, `documents` and `sources`
            (read descriptions, or the text of a file), `stores` (may change the meaning of a name that it uses),
            `opaque` (reaches definitions that no text names), `placed` (its module's name or file is data).
        lines: first and last line of each statement.
    """

    names: tuple[str, ...]
    meaning: str
    descriptions: tuple[str, str]
    uses: tuple[str, ...]
    notes: tuple[str, ...]
    lazy: tuple[str, ...]
    strings: tuple[str, ...]
    calls: tuple[str, ...]
    traits: frozenset[str]
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Text:
    """Facts of a source file.

    Attributes:
        aliases: name that an import binds -> dotted name that is imported.
        imports: modules and names that importing the file imports.
        stars: modules of which it imports all names.
        assets: files that it names as ASSETS.
        definitions: in the order of the text.
        descriptions: digests of annotations without a value, of its docstring, and of its bytes.
    """

    aliases: dict[str, str]
    imports: tuple[str, ...]
    stars: tuple[str, ...]
    assets: tuple[str, ...]
    definitions: tuple[Definition, ...]
    descriptions: tuple[str, str, str]


def read(source: bytes, package: str, name: str = "") -> Text:
    """Read the facts of a file.

    Args:
        source: its bytes.
        package: dotted name of the package that it is in, which relative imports begin at.
        name: of the file, for errors.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source, filename=name)
    module = Module(package, tree)
    statements = [statement for statement in tree.body if not _does_nothing(statement, module)]
    for statement in statements:
        module.look_at(statement)
    module.settle()
    definitions = tuple(
        _definition(module, group)
        for group in _groups(statements, module)
        if not all(_only_imports(statement, module) for statement in group)
    )
    assets = next((_literals(statement) for statement in statements if _names_assets(statement)), ())
    annotations = [ast.unparse(statement) for statement in tree.body if isinstance(statement, ast.AnnAssign)]
    texts = (annotations, [ast.get_docstring(tree, clean=False) or ""], [source.hex()])
    descriptions = digest(texts[0]), digest(texts[1]), digest(texts[2])
    return Text(module.aliases, tuple(module.imports), tuple(module.stars), assets, definitions, descriptions)


def _definition(module: Module, statements: list[ast.stmt]) -> Definition:
    """The definition that some statements make."""
    writer = Writer(module, statements)
    writer.docs += _take_descriptions(statements, module)
    for statement in statements:
        writer.write(statement)
    calls = [call for statement in statements for call in Calls(module).of(statement)]
    writer.judge()
    return Definition(
        writer.names,
        digest(writer.tokens),
        (digest(writer.labels), digest(writer.docs)),
        tuple(writer.uses),
        tuple(dict.fromkeys(writer.notes)),
        tuple(dict.fromkeys(writer.lazy)),
        tuple(dict.fromkeys(writer.strings)),
        tuple(dict.fromkeys(calls)),
        frozenset(writer.traits),
        tuple((_first_line(statement), statement.end_lineno or statement.lineno) for statement in statements),
    )


def _take_descriptions(statements: list[ast.stmt], module: Module) -> list[str]:
    """Remove the literal descriptions of pydantic's fields from statements; they count as docstrings do."""
    taken: list[str] = []
    if {"pydantic", "pydantic.Field"}.isdisjoint(module.aliases.values()):
        return taken
    named = Calls(module).named
    for call in (node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.Call)):
        if named(call.func) == "pydantic.Field":
            for keyword in list(call.keywords):
                if keyword.arg == "description" and isinstance(keyword.value, ast.Constant):
                    taken.append(str(keyword.value.value))
                    call.keywords.remove(keyword)
    return taken


def _does_nothing(statement: ast.stmt, module: Module) -> bool:
    """Whether a statement at the top of a module does nothing."""
    if isinstance(statement, ast.AnnAssign) and statement.value is None:
        return module.future or not acts_in_notes(statement.annotation)
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _only_imports(statement: ast.stmt, module: Module) -> bool:
    """Whether a statement binds only the names that it imports."""
    is_import = isinstance(statement, ast.Import | ast.ImportFrom)
    return is_import and module.own.keys().isdisjoint(bound(statement))


def _names_assets(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and "ASSETS" in list(bound(statement))


def _literals(statement: ast.stmt) -> tuple[str, ...]:
    return tuple(ast.literal_eval(statement.value)) if isinstance(statement, ast.Assign) else ()


def _groups(statements: list[ast.stmt], module: Module) -> list[list[ast.stmt]]:
    """The statements, those together that bind the same names."""
    group_of: dict[str, int] = {}
    groups: dict[int, list[ast.stmt]] = {}
    for index, statement in enumerate(statements):
        if module.is_for_types(statement):
            continue
        names = [name for name in bound(statement) if name in module.own]
        places = sorted({group_of[name] for name in names if name in group_of} | {index})
        first = places[0]
        groups[first] = [member for place in places for member in groups.pop(place, ())] + [statement]
        for name, place in [*group_of.items(), *((name, index) for name in names)]:
            if place in places:
                group_of[name] = first
    return [groups[index] for index in sorted(groups)]


def _first_line(statement: ast.stmt) -> int:
    decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", ())
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def digest(tokens: Iterable[str]) -> str:
    """Digest of tokens (32 hexadecimal digits)."""
    return hashlib.sha256("\0".join(tokens).encode("utf-8", "surrogatepass")).hexdigest()[:32]
