"""The audit: can anyone else get the same? Thirty checks, one per file, in five levels.

| level | asks | takes |
| --- | --- | --- |
| 0 | does the evidence agree with itself and with this checkout? no data is read | seconds |
| 1 | are the bytes those of the evidence, and do they give the published numbers? | as long as reading them |
| 2 | does a sample of the shards come out again, in another environment? | minutes |
| 3 | does a sample of the records come out again, without any cache? | minutes |
| 4 | does everything come out again, in a fresh clone with empty caches? | as long as the run |

A check is a file with `NUMBER`, `LEVEL` and `check(case)`, found by its name; `_case.py` is what it sees, `_finding.py`
what it says, `_run.py` calls one after the other.
"""
