"""The stages, one module each, in the order of the data: fetch, shift, train, evaluate, score, aggregate, report.

A stage makes what recipes ask for; it may import everything below (`plan` for types and grids), and no other stage.
"""
