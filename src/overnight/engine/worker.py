"""One run: take the lease, take up what is in flight, claim, drive, end.

A run ends when its batches are settled, when the user asks it to stop, when the account is
refused (after what is in flight has been collected), or loudly when the database or the disk
fails. Whatever the end, the table is true, and the next run goes on from it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random

from overnight.engine.budget import Budget
from overnight.engine.calendar import Calendar, SchedulerCalendar
from overnight.engine.claim import Claimer
from overnight.engine.collect import Collector, StorageError
from overnight.engine.concurrency import Concurrency
from overnight.engine.drive import Driver
from overnight.engine.publish import Publisher, Publishing
from overnight.engine.rate import Rate, Rates
from overnight.engine.recover import Recoverer
from overnight.engine.report import Ending, Notice, Report, Snapshot
from overnight.engine.run import Limits, Run, ceilings
from overnight.engine.watch import CONTROL, Watch
from overnight.lifecycle import IN_BUDGET, IN_FLIGHT, State
from overnight.providers import base
from overnight.store import control, faults, leases, standing
from overnight.store.errors import StoreError
from overnight.store.faults import Place
from overnight.store.job import Job
from overnight.store.rows import Batch
from overnight.store.writer import Operation, Recorder

AT_A_TIME = 250
"""Jobs that begin in one turn of the event loop: some milliseconds."""


class Worker:
    """Works on ``scope`` until it is settled. ``run`` once; ``drain`` at any time.

    ``admit`` is asked in the transaction that makes it the database's worker. Whoever adds jobs
    from then on finds a worker, so what ``admit`` saw and raised nothing about is all that nobody
    else has looked at.
    """

    def __init__(
        self,
        *,
        recorder: Recorder,
        provider: base.Provider,
        collector: Callable[[Run], Collector],
        scope: Sequence[Batch],
        concurrency: int | None = None,
        notify: Callable[[Notice], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        rng: Random | None = None,
        calendar: Calendar | None = None,
        limits: Limits | None = None,
        wait_for_account: bool = False,
        identity: leases.Identity | None = None,
        admit: Operation[None] = lambda _: None,
        publisher: Publisher | None = None,
    ) -> None:
        own = ceilings(scope)
        limit = concurrency if concurrency is not None else max(own.values(), default=1)
        if concurrency is not None:
            own = dict.fromkeys(own, concurrency)
        self._run = Run(
            recorder=recorder,
            provider=provider,
            batches={batch.id: batch for batch in scope},
            budget=Budget(own),
            concurrency=Concurrency(limit),
            notify=notify,
            now=now,
            # Spreads waits; not for secrets.
            rng=rng or Random(),  # noqa: S311
            limits=limits or Limits(),
            tallies={batch.id: Counter(batch.states) for batch in scope},
            wait_for_account=wait_for_account,
        )
        if publisher is not None:
            self._run.publishing = Publishing(self._run, publisher, self._fail)
        self._driver = Driver(self._run, collector(self._run))
        self._claimer = Claimer(self._run, self._driver.submitting)
        self._recoverer = Recoverer(self._run, self._driver.submitting, self._look_after)
        self._calendar = calendar or SchedulerCalendar()
        self._identity = identity or leases.Identity.of_this_process()
        self._admit = admit
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._own: set[int] = set()
        """Jobs under way that belong to this run's batches; it ends when they have."""
        self._broken: dict[int, str] = {}
        self._fatal: BaseException | None = None
        self._started = 0.0

    # --- from outside -------------------------------------------------------------------------

    def drain(self) -> None:
        """Stop submitting, save what is known, leave what is remote where it is."""
        run = self._run
        run.draining = True
        for job_id, task in self._tasks.items():
            # A POST that is on its way is waited for: cut short, nobody could tell what became
            # of it.
            if job_id not in self._driver.submitting:
                task.cancel()
        run.wake.set()

    def snapshot(self) -> Snapshot:
        """The figures of the moment."""
        run = self._run
        return Snapshot(
            states=run.states,
            limit=run.concurrency.limit,
            ceiling=run.concurrency.ceiling,
            in_budget=run.budget.held,
            bytes=run.bytes,
            settled=run.settled,
            elapsed=asyncio.get_running_loop().time() - self._started,
            paused=run.gate.refusal or run.gate.outage,
        )

    # --- the run ------------------------------------------------------------------------------

    async def run(self) -> Report:
        """Work until there is an end; see the module.

        Raises :class:`~overnight.store.errors.AnotherWorker`, and what ``admit`` raises, before
        anything is done, and
        :class:`~overnight.store.errors.StoreError` (also ``LeaseLost``) or the collector's own
        storage error when nothing more can be saved.
        """
        run = self._run
        self._started = asyncio.get_running_loop().time()
        run.fence = await run.record(
            partial(leases.take, identity=self._identity, now=run.now(), admit=self._admit)
        )
        run.beaten = run.now()
        faults.reach(Place.LEASE_TAKEN)
        try:
            await self._driver.asking.remember()
            await self._look_after()
            await self._keep_rates()
            Watch(run, self._look_after, self._recoverer.ask, self._fail).schedule(self._calendar)
            self._calendar.start()
            return self._report(await self._work())
        finally:
            self._calendar.stop()
            await self._stop_tasks()
            # A database that failed can't be told; the lease runs out by itself then.
            with suppress(StoreError):
                await run.record(partial(leases.release, fence=run.fence, now=run.now()))

    async def _keep_rates(self) -> None:
        """The submit rates of the run's batches, with what earlier runs have used of them."""
        run = self._run
        rates = []
        for batch in run.batches.values():
            if text := batch.run.get("rate"):
                now = run.now()
                since = now - Rate.parse(text).seconds
                past = await run.record(partial(standing.submits_since, since=since, now=now))
                rates.append(Rate.parse(text, past))
        run.rates = Rates(rates)

    async def _look_after(self) -> None:
        """Take up what nobody holds, see what the user wants, and set the figures right."""
        run = self._run
        # It may resubmit unknown jobs with what is left of a limit.
        async with run.deciding:
            seen = await run.record(
                partial(
                    control.look,
                    fence=run.fence,
                    batch_ids=list(run.batches),
                    now=run.now(),
                    for_good=self._recoverer.for_good,
                )
            )
        for batch in seen.batches:
            run.batches[batch.id] = batch
            run.tallies[batch.id] = Counter(batch.states)
        # Only ever added to: a halt that is on its way to the table is not seen there yet.
        run.halted.update((batch.id, batch.halted) for batch in seen.batches if batch.halted)
        run.others.update((batch.id, batch) for batch in seen.others)
        run.due = 0.0
        self._tell(seen)
        for job_id in seen.to_cancel:
            if job_id not in run.to_cancel:
                run.to_cancel.add(job_id)
                run.rouse(job_id)
        self._driver.asking.take_up(seen.taken, seen.accepted)
        await self._go_on(seen.taken)
        run.wake.set()

    async def _go_on(self, taken: Sequence[Job]) -> None:
        """Start what was taken up. All of it has its slots before anything else can be claimed;
        then the jobs begin some at a time, so that thousands don't hold up everything else."""
        run = self._run
        if run.draining:
            return
        for job in taken:
            self._make_room(job)
        for number, job in enumerate(taken, 1):
            self._begin(job)
            if number % AT_A_TIME == 0:
                await asyncio.sleep(0)
                if run.draining or self._fatal is not None:
                    return

    def _tell(self, seen: control.Look) -> None:
        if seen.lost:
            text = _lost(seen.lost, recovers=self._run.recovers)
            self._run.notify(Notice(text, "warning"))
        for text in seen.told:
            self._run.notify(Notice(text))

    def _report(self, ending: Ending) -> Report:
        run = self._run
        states = run.states
        remote = sum(states[state] for state in IN_FLIGHT)
        reasons = {
            Ending.REFUSED: run.gate.refusal,
            Ending.HALTED: "; ".join(run.halted.values()),
        }
        return Report(
            ending,
            reasons.get(ending),
            left_remote=remote,
            broken=tuple(self._broken.values()),
            refused_by_store=run.gate.refused_by_store,
        )

    async def _work(self) -> Ending:
        run = self._run
        while True:
            run.wake.clear()
            if self._fatal is not None:
                raise self._fatal
            if not run.draining:
                for job in await self._claimer.claim():
                    self._start(job)
            ending = await self._ending()
            if ending is not None:
                return ending
            if not run.wake.is_set():
                await self._sleep()

    async def _sleep(self) -> None:
        """Until something happens, or a pending job comes due."""
        run = self._run
        loop = asyncio.get_running_loop()
        alarm = None
        now = run.now()
        until = max(run.due, run.gate.held_until, run.rates.next_place(now)) - now
        if 0 < until < CONTROL:
            alarm = loop.call_later(until, run.wake.set)
        try:
            await run.wake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()

    async def _ending(self) -> Ending | None:
        """Why the run is over, if it is."""
        run = self._run
        if run.draining:
            return None if self._tasks else Ending.INTERRUPTED
        if self._own:
            return None
        if run.gate.refusal is not None and not run.wait_for_account:
            return Ending.REFUSED
        if self._left() > 0:
            return None
        # The figures are counted along; before the run is called done, the table is asked.
        await self._look_after()
        await self._recoverer.take_stock()
        if self._own or self._left() > 0:
            return None
        return Ending.HALTED if run.halted else Ending.DONE

    def _left(self) -> int:
        """Jobs of this run's batches that there is still something to do for."""
        run = self._run
        left = self._recoverer.open - len(self._broken)
        for batch_id, tally in run.tallies.items():
            left += sum(tally[state] for state in IN_FLIGHT)
            if batch_id not in run.halted:
                left += tally[State.PENDING]
        return left

    # --- jobs under way -----------------------------------------------------------------------

    def _start(self, job: Job) -> None:
        self._make_room(job)
        self._begin(job)

    def _make_room(self, job: Job) -> None:
        """Fill the job's slot; a run doesn't end while a job of its own has yet to begin."""
        run = self._run
        if job.state in IN_BUDGET:
            run.budget.hold(job.id, job.batch_id)
        if job.batch_id in run.batches:
            self._own.add(job.id)

    def _begin(self, job: Job) -> None:
        task = asyncio.create_task(self._driver.drive(job), name=f"job {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(partial(self._ended, job))

    def _ended(self, job: Job, task: asyncio.Task[None]) -> None:
        run = self._run
        run.wake.set()
        # A job that went back to pending may have been claimed again before this is called: then
        # its slot and its place are the newer task's.
        if self._tasks.get(job.id) is task:
            del self._tasks[job.id]
            self._own.discard(job.id)
            run.budget.release(job.id)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, StoreError | StorageError):
            self._fail(error)
        else:
            # A bug of ours must not end everybody else's night; the job stays as the table has it.
            if job.batch_id in run.batches:
                self._broken[job.id] = f"{job.key}: {type(error).__name__}: {error}"
            run.notify(
                Notice(f"{job.key}: left as it is after a bug in overnight: {error!r}", "warning")
            )

    def _fail(self, error: BaseException) -> None:
        if self._fatal is None:
            self._fatal = error
        self._run.wake.set()

    async def _stop_tasks(self) -> None:
        # While only files can't be saved, what became of a submit still can: it is waited for.
        if isinstance(self._fatal, StorageError):
            self.drain()
        else:
            for task in self._tasks.values():
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._run.publishing is not None:
            await self._run.publishing.stop()


def _lost(n: int, *, recovers: bool) -> str:
    text = (
        "1 job was" if n == 1 else f"{n} jobs were"
    ) + " being submitted when the last run ended"
    if recovers:
        return f"{text}; the provider is asked whether it was taken."
    return (
        f"{text}, and nobody can tell whether the provider took it. What is unknown is never "
        "submitted again by itself."
    )
