"""Durable queues that people would use instead, each doing the same work, one module each.

    python -m bench.peers.MODULE ORIGIN JOBS IN_FLIGHT

Each is written as its own documentation says, and made as durable as it can be: the request id is
on disk before the first poll, the result before the job counts as done. Jobs are enqueued before
the clock starts. They run in the environment that ``make bench-peers`` makes, so nothing of
overnight's is imported here.
"""
