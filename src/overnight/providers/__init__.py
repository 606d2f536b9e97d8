"""Remote APIs: the only room that knows one.

:mod:`~overnight.providers.base` is the protocol and its outcomes, and all that the engine needs.
:mod:`~overnight.providers.runcomfy` speaks RunComfy's Model API;
:mod:`~overnight.providers.runcomfy_answers` reads what it says, without a network.
:mod:`~overnight.providers.transport` carries the bytes and knows whether they left.
"""
