"""Two runs compared: which published numbers moved, within which tolerance, and because of what.

`runs` compares, `moved_rows` joins two metric tables, `table_inputs` tells what enters a row, `causes` follows receipts
upstream, `revision` brings the evidence of another git revision.
"""
