"""Decides what happens when.

``worker`` starts, drains and stops a run; ``drive`` takes one job through its states; ``collect``
brings a finished job's files home; ``retry`` turns an outcome into a decision (pure); ``budget``
counts slots; ``gate`` says whether submitting is allowed at all; ``calendar`` holds what is a
matter of the clock.

When to poll next: ``asking`` waits for it; ``foresight`` puts together what was learnt, by
``durations`` (with ``effects`` of a ``workload``'s inputs) and ``sight`` (the provider's queue);
``pacing`` has the bounds, and ``curve`` the law; ``turns`` keeps all polls together below a rate.

The engine takes its clock, its random source, its provider and its store from outside, so that a
night can be run in seconds, from a seed.
"""
