"""Data sets: a batch leaves in a form that other people's loaders read, one file a format.

Read :mod:`overnight.export.run` first. It knows no SQL (the store reads the jobs) and no network.
"""
