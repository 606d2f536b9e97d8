"""Filling free slots with pending jobs, batch by batch, as far as everybody allows it.

The budget, the limit that was found out, the gate, the submit rate, halts, canaries and
:data:`SUBMITS_AT_ONCE` each have a say; the smallest wins.
"""

from __future__ import annotations

from functools import partial

from overnight.engine.run import Run
from overnight.lifecycle import State
from overnight.store import faults, queue, standing
from overnight.store.faults import Place
from overnight.store.job import Job

SUBMITS_AT_ONCE = 100
"""Paid calls under way at the same time, whatever the budget has room for. A limit that doubles
frees thousands of slots in one moment; were all of them filled at once, an outage in that moment
would leave as many jobs that nobody can tell were paid for, each call would need a connection of
its own, and nothing else would get its turn until all of them were on their way."""


class Claimer:
    """Takes jobs for one run. ``submitting`` is the driver's set of jobs on their way."""

    def __init__(self, run: Run, submitting: set[int]) -> None:
        self._run = run
        self._submitting = submitting

    async def claim(self) -> list[Job]:
        """What may be started now; the intent to submit each is durable.

        Raises :class:`~overnight.store.errors.LeaseLost`.
        """
        run = self._run
        if run.due > run.now():
            return []
        await run.ensure_lease()
        claimed: list[Job] = []
        came_short = True
        for batch_id in run.batches:
            if run.tallies[batch_id][State.PENDING] <= 0:
                # The next look at the table notices when that changes.
                continue
            async with run.booking:
                room = self._room(batch_id, len(claimed))
                found = await self._claim_of(batch_id, room) if room else []
            if room == 0:
                came_short = came_short and batch_id in run.halted
                continue
            came_short = came_short and len(found) < room
            claimed += found
        if came_short:
            await self._look_ahead()
        return claimed

    async def _claim_of(self, batch_id: int, room: int) -> list[Job]:
        run = self._run
        admission = None if run.publishing is None else run.publishing.admission(batch_id)
        found = await run.record(
            partial(
                queue.claim,
                fence=run.fence,
                batch_id=batch_id,
                limit=room,
                now=run.now(),
                canaries_only=run.batches[batch_id].waits_for_canaries,
                admits=admission,
            )
        )
        if run.publishing is not None:
            run.publishing.begin(admission)
        if found:
            faults.reach(Place.CLAIMED)
        tally = run.tallies[batch_id]
        tally[State.PENDING] -= len(found)
        tally[State.SUBMITTING] += len(found)
        for job in found:
            run.budget.hold(job.id, job.batch_id)
            # On its way from here on, so that a drain lets it say what became of it.
            self._submitting.add(job.id)
        return found

    def _room(self, batch_id: int, claimed: int) -> int:
        run, now = self._run, self._run.now()
        # A drain empties slots of jobs that the provider still has.
        if run.draining or batch_id in run.halted:
            return 0
        room = run.budget.free(batch_id, run.concurrency.limit)
        room = min(room, SUBMITS_AT_ONCE - len(self._submitting))
        allowed = run.gate.allowance(now, len(self._submitting))
        if allowed is not None:
            room = min(room, allowed)
        if (places := run.rates.room(now)) is not None:
            # Claimed ones that have not reserved their place yet count as well.
            room = min(room, places - len(self._submitting))
        return max(0, room)

    async def _look_ahead(self) -> None:
        """Remember when the next pending job comes due: the table isn't asked until then."""
        run = self._run
        due = await run.record(partial(standing.next_due, batch_ids=list(run.batches)))
        run.due = float("inf") if due is None else due
