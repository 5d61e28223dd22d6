"""The audit: can anyone else get the same? Thirty-three checks, one per file in `checks/`, in five levels.

| level | asks | takes |
| --- | --- | --- |
| 0 | does the evidence agree with itself and with this checkout? no data is read | seconds |
| 1 | are the bytes those of the evidence, and do they give the published numbers? | as long as reading them |
| 2 | does a sample of the shards come out again, in another environment? | minutes |
| 3 | does a sample of the records come out again, without any cache? | minutes |
| 4 | does everything come out again, in a fresh clone with empty caches? | as long as the run |

In the order of reading:

| here | holds |
| --- | --- |
| `run` | runs the checks that are asked for, one after the other, into an audit |
| `case` | what a check sees: plan, receipts, run files, what is drawn |
| `finding` | what a check says: findings, notes, verdicts |
| `published_numbers` | which printed numbers rest on an output |
| `checks/` | the checks |
| `evidence/` | reads what lies there and believes none of it; several checks share it |
| `recompute/` | computes rows and tables again, in this process |
| `reproduce/` | makes shards and records again, in processes that can reach nothing else |
| `compare/` | two runs compared: `shiftbench audit --against` |
| `page` | the last audit as a page, as JSON (`schema.json`) and as a badge |

The rest of the package imports `run`, `finding`, `page` and `compare` only. The audit may import everything but `cli`.
"""
