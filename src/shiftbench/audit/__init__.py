"""The audit checks whether anyone else can get the same results: 34 checks in five levels.

| level | question | time |
| --- | --- | --- |
| 0 | does the evidence agree with itself and with this checkout? (no data are read) | seconds |
| 1 | are the bytes those of the evidence, and do they give the published numbers? | as long as reading them |
| 2 | does a sample of the shards, made again in another environment, have the same bytes? | minutes |
| 3 | does a sample of the records, evaluated again without any cache, have the same rows? | minutes |
| 4 | does a run in a fresh clone, with empty caches, give everything again? | as long as the run |

Read the modules in this order:

| module | contents |
| --- | --- |
| `run` | runs the requested checks one after the other |
| `case` | what a check can read: plan, receipts, run files, drawn samples |
| `finding` | what a check yields: findings, notes, verdicts |
| `check` | the decorator that declares a check |
| `published_numbers` | the printed numbers that depend on an output |
| `checks/` | the checks, several of one theme in a file |
| `evidence/` | reads files without trusting them |
| `recompute/` | computes rows and tables again, in this process |
| `reproduce/` | makes shards, records and models again, in processes that can read only their inputs |
| `compare/` | compares two runs: `shiftbench audit --against` |
| `summary`, `page` | the result per table; the last audit as a page, as JSON (`schema.json`) and as a badge |

The rest of the package imports `run`, `finding`, `page` and `compare` only. The audit may import everything but `cli`.
"""
