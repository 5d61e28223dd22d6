"""The definitions that run in a job: each of our code objects that Python enters is noted, to compare with the recipe.

Python 3.12 reports the first call of each function (`sys.monitoring`, PEP 669), 3.11 all calls (a tracer). A compiled
function is no code of Python's: it counts when its wrapper (`compiled.py`) is called, and where numba compiled or
loaded it meanwhile. What a module calls when it is imported counts where it does more than define, and where the job
reaches something of that module. Limit: other processes are not seen.
"""

import inspect
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from shiftbench.base import compiled, registry
from shiftbench.provenance import code_digest, linker
from shiftbench.provenance.source_facts import Home

_WRAPPER = next(one for one in compiled.compiled.__code__.co_consts if isinstance(one, CodeType))
_COMPILER, _COMPILED = "numba.core.dispatcher", "add_overload"
"""numba's method that is called where it has compiled a function or loaded its machine code."""


class Ran:
    """Our code objects that ran.

    Attributes:
        codes: code object -> whether only the import of a module called it.
    """

    def __init__(self) -> None:
        homes = (registry.PACKAGE, Home.package, *registry.Folders.extra)
        self._homes = tuple(f"{home}/" for home in homes)
        self.codes: dict[CodeType, bool] = {}
        self._others: set[CodeType] = set()

    def hear(self, frame: FrameType | None) -> None:
        """Note the call of a frame."""
        if frame is None or frame.f_code in self._others:
            return
        code = frame.f_code
        if code is _WRAPPER:
            self._note(frame.f_locals["function"].__code__, imports=False)
        if code.co_name == _COMPILED and frame.f_globals.get("__name__") == _COMPILER:
            compiled_here = frame.f_locals["self"].py_func.__code__
            if compiled_here.co_filename.startswith(self._homes):
                self._note(compiled_here, imports=False)
            return
        if not self.codes.get(code, True):
            return
        if code.co_filename.startswith(self._homes):
            self._note(code, imports=self._is_import(frame.f_back))
        else:
            self._others.add(code)

    def _is_import(self, frame: FrameType | None) -> bool:
        """Whether an import of ours is under way."""
        while frame is not None:
            code, name = frame.f_code, frame.f_globals.get("__name__")
            if code.co_name == "<module>" and code.co_filename.startswith(self._homes):
                return bool(name != "__main__")
            frame = frame.f_back
        return False

    def _note(self, code: CodeType, *, imports: bool) -> None:
        self.codes[code] = imports and self.codes.get(code, True)

    def unlisted(self, recipes: Iterable[Mapping[str, Any]]) -> list[str]:
        """Definitions that ran and are in none of the recipes, as readers see them, sorted."""
        tables = [one.get("code", {}) for one in recipes]
        known = {name for table in tables for name, _ in code_digest.named_digests(table)}
        files = {file for table in tables for file in table}
        names = set()
        for code, imports, span in self.definitions():
            if is_function(code):
                is_import_only = imports and (span.is_quiet or span.file not in files)
                names |= set() if is_import_only else {span.name}
        return sorted(names - known)

    def definitions(self) -> Iterator[tuple[CodeType, bool, linker.Span]]:
        """Yield each code object that ran, whether only an import ran it, and a definition that has it."""
        spans = code_digest.definitions_of({Path(code.co_filename) for code in self.codes})
        for code, imports in self.codes.items():
            for span in spans.get(Path(code.co_filename), ()):
                if span.has(code.co_firstlineno):
                    yield code, imports, span


def is_function(code: CodeType) -> bool:
    """Whether code is that of a function, not of a module or of a class's body."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


@contextmanager
def watched() -> Iterator[Ran]:
    """Note the code that runs in this block."""
    ran = Ran()
    stop = _monitored(ran) if sys.version_info >= (3, 12) else _traced(ran)
    try:
        yield ran
    finally:
        stop()


def _traced(ran: Ran) -> Any:
    # A profiler would hear of returns and of C functions too, a tracer that wants no lines of calls alone.
    def hear(frame: FrameType, *_: object) -> None:
        ran.hear(frame)

    before = sys.gettrace(), threading.gettrace()
    threading.settrace(hear)
    sys.settrace(hear)

    def stop() -> None:
        sys.settrace(before[0])
        threading.settrace(before[1])

    return stop


def _monitored(ran: Ran) -> Any:
    tool: Any = vars(sys)["monitoring"]
    number = next(one for one in range(5, -1, -1) if tool.get_tool(one) is None)

    def hear(code: CodeType, _: int) -> object:
        ran.hear(sys._getframe(1))
        again = code is _WRAPPER or code.co_name == _COMPILED or ran.codes.get(code, False)
        return None if again else tool.DISABLE

    tool.use_tool_id(number, "shiftbench")
    tool.register_callback(number, tool.events.PY_START, hear)
    tool.set_events(number, tool.events.PY_START)
    tool.restart_events()

    def stop() -> None:
        tool.set_events(number, 0)
        tool.register_callback(number, tool.events.PY_START, None)
        tool.free_tool_id(number)

    return stop
