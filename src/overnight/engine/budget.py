"""The concurrency budget: how many jobs the provider may have at once.

A slot is filled from the moment a job is claimed until the provider is done with it. After a
restart, what the provider still has fills slots first, also above the limit: forgetting it is how
others ended up with more open than they were allowed.
"""

from __future__ import annotations

from collections import Counter


class Budget:
    """Slots, in all and for each batch. ``ceilings`` are jobs at once, by batch id."""

    def __init__(self, ceilings: dict[int, int]) -> None:
        self._ceilings = ceilings
        self._held: dict[int, int] = {}
        self._by_batch: Counter[int] = Counter()

    @property
    def held(self) -> int:
        """Slots that are filled now."""
        return len(self._held)

    def free(self, batch_id: int, limit: int) -> int:
        """Slots that a batch may fill now, with ``limit`` in all; never below 0."""
        own = self._ceilings[batch_id] - self._by_batch[batch_id]
        return max(0, min(limit - self.held, own))

    def hold(self, job_id: int, batch_id: int) -> None:
        """Fill a slot for a job; once, however often it is said."""
        if job_id not in self._held:
            self._held[job_id] = batch_id
            self._by_batch[batch_id] += 1

    def release(self, job_id: int) -> None:
        """Empty the job's slot, if it has one."""
        batch_id = self._held.pop(job_id, None)
        if batch_id is not None:
            self._by_batch[batch_id] -= 1
