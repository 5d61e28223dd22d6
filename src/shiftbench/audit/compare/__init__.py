"""Comparison of two runs: which published numbers moved, within which tolerance, and why.

`runs` compares, `moved_rows` joins two metric tables, `table_inputs` gives the inputs of a row, `causes` follows
receipts upstream, `revision` fetches the evidence of another git revision, `published` compares with `published/`.
"""
