"""The checks, one per file, found by their names.

A file has

- `NUMBER`: of docs/list_of_checks.md, `A1` to `A30`;
- `LEVEL`: 0 to 4, as `shiftbench.audit` says;
- `check(case)`: yields findings, and notes of what it looked at; a check that says nothing has failed;
- a docstring: what is checked, its pass rule, and its limits. docs/list_of_checks.md is generated from it.

Checks do not import each other. What two of them need stands in `evidence`, `recompute` or `reproduce`.
"""
