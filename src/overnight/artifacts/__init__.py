"""Files: what a result's URLs become on disk.

:mod:`~overnight.artifacts.naming` says what a file is called, :mod:`~overnight.artifacts.download`
brings it home, :mod:`~overnight.artifacts.part` is the file while it is on its way.
"""
