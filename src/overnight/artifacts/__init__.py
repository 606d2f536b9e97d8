"""Files: what a result's URLs become on disk, and whether that is what was asked for.

:mod:`~overnight.artifacts.download` brings a file home: :mod:`~overnight.artifacts.errand` asks for
it, again and again where need be, and :mod:`~overnight.artifacts.part` is the file on its way.
:mod:`~overnight.artifacts.naming` says what it is called, :mod:`~overnight.artifacts.probe` looks
into it, :mod:`~overnight.artifacts.sidecar` writes beside it where it is from.
"""
