"""Loops that NumPy and OpenCV have no functions for, compiled by numba at their first call.

A compiled function takes arrays and scalars and calls no other compiled function. Its loops are over
integers, or over single IEEE operations in the order in which they are written: without `fastmath` LLVM
neither reorders nor contracts them, so that the bytes are the same on every CPU. numba is imported at the
first call only: planning and listing cost nothing.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, compiled; machine code is kept next to its file, or in the user's cache.

    Example:
        >>> @compiled
        ... def total(values):
        ...     result = 0
        ...     for value in values:
        ...         result += value
        ...     return result
    """
    machine_code: list[Callable[P, R]] = []

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not machine_code:
            machine_code.append(_machine_code(function))
        return machine_code[0](*args, **kwargs)

    return call


@functools.cache
def _machine_code(function: Callable[P, R]) -> Callable[P, R]:
    import numba

    compile_exactly = functools.partial(numba.njit, nogil=True, error_model="numpy")  # and no fastmath
    try:
        machine_code: Callable[P, R] = compile_exactly(cache=True)(function)
    except RuntimeError:  # no folder can be written: compile again in each process
        machine_code = compile_exactly()(function)
    return machine_code
