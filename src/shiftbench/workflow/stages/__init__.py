"""The stages, one module each, in the order of the data: fetch, shift, train, evaluate, score, aggregate, report.

A stage makes what recipes ask for. It may import everything below, and of its neighbours only helpers; which verb runs
which stage is said in `verbs` alone.
"""
