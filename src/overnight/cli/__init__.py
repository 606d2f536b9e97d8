"""The command line: one file a family of verbs, each thin, and loaded only when it is called.

:mod:`~overnight.cli.main` is the entry point and the only module that is imported at every start;
:mod:`~overnight.cli.output` is how anything reaches a person or a program;
:mod:`~overnight.cli.failures` turns every error into a sentence and an exit code.
"""
