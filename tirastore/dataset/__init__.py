"""Data sets for cost models: labelled, filtered, and split by program.

:mod:`.export` writes them; the other modules each decide one thing about a row.
"""
