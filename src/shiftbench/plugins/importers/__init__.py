"""Importers: read a file of released results.

An importer is a function under `@declare.importer` that maps the bytes of a file to its lines (`releases.Line`): the
number of each line, and its cells as they were printed, by column. Its parameters with a default are its options. What
a cell means is said by the release's card, `released/NAME.yaml`. A file that does not fit raises ValueError or
DataError.
"""
