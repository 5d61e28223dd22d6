"""Claims of a card: from the text of a claim to its verdict.

1. `statements.Claim` parses a claim: an expression, a kind (superiority, equivalence, report) and a margin.
2. `metric_rows.MetricRows` are the rows of the card's benchmarks, each with its value under every bootstrap resample.
3. `expressions.evaluate` selects the rows that an expression names and combines them, under every resample at once.
4. `estimates.evidence` gives the values that each claim is judged from: one, or one for each value of a column.
5. `estimates.Estimate.interval` gives the interval of such a value at an error; `statistics.intervals` computes it.
6. `judgement.judge_evidence` compares the interval with the margin, and corrects the error for the number of claims.

`sentences` writes an expression in words. `replicate_table` stores the values of step 4, so that steps 5 and 6 can be
repeated without a run. `requirements` and `power` estimate how many samples and training seeds a claim needs.
"""
