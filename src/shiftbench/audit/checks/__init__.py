"""The checks, one per file, found by their names.

A file has

- `NUMBER`: of docs/list_of_checks.md, `A1` to `A33`;
- `LEVEL`: 0 to 4, as `shiftbench.audit` says;
- `check(case)`: yields findings, and notes of what was checked; a check that yields nothing has failed;
- a docstring: what is checked, its pass rule, and its limits. docs/list_of_checks.md is generated from it.

Checks do not import each other. Their common code is in `evidence`, `recompute` and `reproduce`.
"""
