"""Measurements from files: exports, what LOOPer explored, and tables.

One file reads one format, as :mod:`tirastore.ingest.entry` describes it; :mod:`.load` writes what
they read into a store.
"""
