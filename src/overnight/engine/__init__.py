"""Decides what happens when.

``worker`` starts, drains and stops a run; ``drive`` takes one job through its states; ``collect``
brings a finished job's files home; ``retry`` turns an outcome into a decision (pure); ``budget``
counts slots; ``gate`` says whether submitting is allowed at all; ``pacing`` says when to poll next;
``calendar`` holds what is a matter of the clock.

The engine takes its clock, its random source, its provider and its store from outside, so that a
night can be run in seconds, from a seed.
"""
