"""What must hold at every moment of every night, held against the provider's own ledger.

The judge hears of every change of a row (whoever wrote it), of every paid call as it leaves, and of
everything that the provider accepted. It keeps its own small picture of each job from that, and
never asks the engine anything.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from overnight.engine.rate import Rate
from overnight.lifecycle import HELD, IN_BUDGET, IN_FLIGHT, TABLE, Event, State
from overnight.providers import base
from tests.simulation.picture import REFUSALS, SURELY_NOT, Badge, Picture, Post
from tests.simulation.plan import Terms
from tests.simulation.remote import Accepted, Remote
from tests.simulation.table import ArtifactRow, AttemptRow, Change, JobRow, WorkerRow

SHORTEST = 0.4
"""Seconds between two free calls about a job, on the average. The pace of our nights is longer."""

USER = None
"""Who wrote, when it was no worker."""

_LEGAL = {(source, target) for source, row in TABLE.items() for target in row.values()}
_OF_THE_USER = {
    (source, target)
    for source, row in TABLE.items()
    for event, target in row.items()
    if source in HELD or (source, event) == (State.PENDING, Event.CANCELLED)
}
_FIXED = frozenset({"job_id", "number", "worker_id", "submit_key", "intent_at"})
_ONCE = frozenset({"request_id", "accepted_at", "running_at", "finished_at"})
_ENDING = frozenset({"ended_at", "outcome", "error"})


class Judge:
    """``now`` in seconds; ``violations`` fills when something does not hold."""

    def __init__(
        self,
        batches: Sequence[Terms],
        remote: Remote,
        now: Callable[[], float],
    ) -> None:
        self.violations: list[str] = []
        self._remote = remote
        self._now = now
        self.holder: Badge | None = None
        """Whose lease it is."""
        self._entitled = False
        self._in_budget: Counter[int] = Counter()
        self._keys: set[str] = set()
        self._asked: dict[tuple[int, str], tuple[float, int]] = {}
        """By process and request: when it was asked about first, and how often since."""
        self.rebought = 0
        self.uncertain = 0
        self.jobs: dict[int, Picture] = {}
        self._batches = dict(enumerate(batches, 1))
        self._times: dict[int, deque[float]] = {batch_id: deque() for batch_id in self._batches}
        """When a batch's newest paid calls left."""
        self._released: set[int] = set()
        """Batches whose canaries the user did not want to wait for."""
        self.duplicates: Counter[int] = Counter()
        """Jobs bought again that had been paid for, and nobody could tell; by batch."""
        for batch_id, terms in self._batches.items():
            for n in range(terms.jobs):
                self.jobs[len(self.jobs) + 1] = Picture(
                    batch_id, terms.run["attempts"], canary=n < terms.canaries
                )

    def hold(self, holds: bool, job_id: int, otherwise: str) -> None:
        """``otherwise`` is what is wrong when it doesn't."""
        if not holds:
            self.violations.append(f"job{job_id}: {otherwise}")

    # --- paid calls -------------------------------------------------------------------------------

    def posted(self, badge: Badge, job_id: int, key: str) -> int:
        """A paid call leaves a process; returns the attempt that it is."""
        job = self.jobs[job_id]
        hold = self.hold
        hold(badge is self.holder, job_id, "submitted by a worker that lost its lease")
        hold(job.state is State.SUBMITTING, job_id, f"submitted while the table says {job.state}")
        hold(job.fence == badge.fence, job_id, "submitted by a worker that does not hold it")
        hold(not badge.account_refused, job_id, "submitted after the account was refused")
        hold(job.attempt not in job.posts, job_id, "one attempt was submitted twice")
        hold(key not in self._keys, job_id, "two attempts share one key")
        self._keys.add(key)
        if job.posts and not job.free_to_buy:
            last = max(job.posts)
            before = job.posts[last]
            # Adopted: somebody found out what became of it.
            sure = not before.in_doubt or last in job.recorded
            hold(sure, job_id, "submitted after a submit without a certain answer")
            paid = before.request
            hold(paid is None or paid.told_failed, job_id, "submitted again while paid for")
        job.free_to_buy = False
        self._keep_rate(job.batch_id, job_id)
        job.posts[job.attempt] = Post(badge)
        return job.attempt

    def _keep_rate(self, batch_id: int, job_id: int) -> None:
        """The submit rate is kept in every stretch of time, also across restarts."""
        if (text := self._batches[batch_id].run.get("rate")) is None:
            return
        rate, times = Rate.parse(text), self._times[batch_id]
        times.append(self._now())
        while times[0] <= self._now() - rate.seconds + 1e-6:
            times.popleft()
        self.hold(len(times) <= rate.count, job_id, f"{len(times)} submits at a rate of {text}")

    def taken(self, request: Accepted) -> None:
        """The provider accepted a paid call."""
        job = self.jobs[request.job_id]
        post = job.posts[request.attempt]
        post.request = request
        self.rebought += job.bought > 0
        paid = [n for n, post in job.posts.items() if n != request.attempt and post.request]
        if paid and self._in_doubt(job, max(paid)):
            self.duplicates[job.batch_id] += 1
        # A call of a dead process may arrive when its job is to be submitted again already.
        job.bought += request.attempt == job.attempt > job.let_go
        self.hold(
            job.bought <= job.attempts_allowed,
            request.job_id,
            f"bought {job.bought} times with {job.attempts_allowed} attempts",
        )
        self._check_open(request, post.badge)

    def _in_doubt(self, job: Picture, number: int) -> bool:
        """The provider took that attempt, and we never learnt its id."""
        request = job.posts[number].request
        return request is not None and number not in job.recorded

    def _check_open(self, request: Accepted, badge: Badge) -> None:
        """What the provider has open for us, without what nobody could know of."""
        known: Counter[int] = Counter()
        for other in self._remote.open:
            job = self.jobs[other.job_id]
            if other.attempt == job.attempt and job.state in IN_FLIGHT and not job.recalled:
                known[job.batch_id] += 1
        over = known.total() > badge.limit
        self.hold(not over, request.job_id, f"{known.total()} open with a budget of {badge.limit}")

    def answered(self, badge: Badge, job_id: int, outcome: base.SubmitOutcome) -> None:
        """A process hears of its paid call."""
        post = next(p for p in reversed(self.jobs[job_id].posts.values()) if p.badge is badge)
        post.answer = outcome
        if isinstance(outcome, base.Refused):
            badge.account_refused = True

    def asked(self, badge: Badge, request: Accepted) -> None:
        """A process asks for free how a request is: patiently, whatever goes wrong."""
        now = self._now()
        first, n = self._asked.get((badge.number, request.id), (now, 0))
        self._asked[badge.number, request.id] = first, n + 1
        patient = n < 20 + (now - first) / SHORTEST
        self.hold(patient, request.job_id, f"asked about {n} times in {now - first:.0f} s")

    def told(
        self, badge: Badge, request: Accepted, outcome: base.StatusOutcome | base.ResultOutcome
    ) -> None:
        """A process hears how a request is."""
        refused = isinstance(outcome, base.Refused)
        badge.refusals[request.id] = badge.refusals.get(request.id, 0) + 1 if refused else 0
        badge.turned_away |= badge.refusals[request.id] >= REFUSALS
        job = self.jobs[request.job_id]
        if isinstance(outcome, base.Finished) and request.attempt == job.attempt:
            job.done_for = badge

    def cancelling(self, badge: Badge, request: Accepted) -> None:
        """A process asks the provider to cancel: the user wished it, or it took too long."""
        job = self.jobs[request.job_id]
        overdue = self._now() - job.updated_at > badge.patience
        self.hold(
            job.wish or overdue or badge is not self.holder,
            request.job_id,
            "cancelled, and nobody wished it",
        )

    # --- changes of the table ---------------------------------------------------------------------

    def committed(self, author: Badge | None, changes: Sequence[Change]) -> None:
        """One transaction is durable."""
        # Taking and giving back the lease move jobs as well, in the same transaction.
        self._entitled = author is self.holder or any(
            before is None and isinstance(after, WorkerRow) for before, after in changes
        )
        for before, after in changes:
            match before, after:
                case _, None:
                    self.violations.append(f"a row was deleted: {before}")
                case _, WorkerRow():
                    self._lease(author, before, after)
                case JobRow(), JobRow():
                    self._job(author, before, after)
                case _, AttemptRow():
                    self._attempt(before if isinstance(before, AttemptRow) else None, after)
                case _, ArtifactRow():
                    self._artifact(before, after)
                case _:
                    self.violations.append(f"a job appeared: {after}")

    def _lease(self, author: Badge | None, before: object, after: WorkerRow) -> None:
        if before is None:
            assert author is not None, "only a worker takes a lease"
            author.fence = after.id
            self.holder = author
        elif self.holder is not None and self.holder.fence == after.id and after.ended_at:
            self.holder = None

    def _job(self, author: Badge | None, before: JobRow, after: JobRow) -> None:
        job = self.jobs[after.id]
        old, new = State(before.state), State(after.state)
        if author is not USER:
            self.hold(self._entitled, after.id, "written by a worker that lost its lease")
        legal = old is new or (old, new) in (_OF_THE_USER if author is USER else _LEGAL)
        self.hold(legal, after.id, f"went from {old} to {new}")
        self.hold(
            after.attempt == before.attempt + (old is State.PENDING and new is State.SUBMITTING),
            after.id,
            f"went from attempt {before.attempt} to {after.attempt}",
        )
        job.state, job.attempt, job.fence = new, after.attempt, after.fence
        job.updated_at = after.updated_at
        self._count(job, old, new)
        if old is not new:
            if author is USER or (old is State.UNKNOWN and self._may_resubmit(job)):
                self._decided(job, old, new)
            else:
                self._moved(author, after, old, new)
        self._wished(author, job, before, after)

    def _count(self, job: Picture, old: State, new: State) -> None:
        if not job.recalled:
            self._in_budget[job.batch_id] += (new in IN_BUDGET) - (old in IN_BUDGET)
        elif new not in IN_BUDGET:
            job.recalled = False

    def _may_resubmit(self, job: Picture) -> bool:
        """Whether the manifest says that an unknown job is submitted again, once."""
        says = self._batches[job.batch_id].run.get("on_unknown") == "resubmit"
        return says and not job.settled

    def go_on(self, batch_id: int) -> None:
        """The user said that a halted batch goes on."""
        self._released.add(batch_id)

    def _decided(self, job: Picture, old: State, new: State) -> None:
        """Moved on the user's word, now or in the manifest."""
        job.moved_by_user = self._now()
        job.settled |= old is State.UNKNOWN
        if new is State.PENDING:
            # A doubtful call counts against nothing; a retry starts afresh.
            doubtful = job.request is not None and self._in_doubt(job, job.attempt)
            job.bought = job.bought - doubtful if old is State.UNKNOWN else 0
            job.free_to_buy = True
            job.let_go = job.attempt
            job.asked_again += 1
        elif old in (State.FAILED, State.UNKNOWN):
            job.reopened = True
            if new is State.QUEUED:
                self._in_budget[job.batch_id] -= 1
                job.recalled = True

    def _moved(self, author: Badge | None, row: JobRow, old: State, new: State) -> None:
        """A worker's move, held against the truth."""
        job, job_id = self.jobs[row.id], row.id
        assert author is not None, "the user's moves are looked at elsewhere"
        self.hold(old not in HELD, job_id, f"a worker moved it out of {old}")
        match new:
            case State.SUBMITTING:
                self._claimed(author, row)
            case State.PENDING:
                self._went_back(row, old)
            case State.QUEUED | State.RUNNING | State.COLLECTING:
                request = job.request
                known = request is not None and request.id == row.request_id
                self.hold(known, job_id, f"{new} with {row.request_id}, which is not its request")
            case State.SUCCEEDED:
                self._came_home(row)
            case State.CANCELLED:
                request = job.request
                there = request is not None and request.state == "cancelled"
                wished = old is State.PENDING and job.wish
                self.hold(there or wished, job_id, "cancelled, and the provider still has it")
            case State.UNKNOWN:
                self.uncertain += 1
                post = job.posts.get(row.attempt)
                certain = post is not None and post.badge is author and not post.in_doubt
                self.hold(not certain, job_id, "unknown after a certain answer")

    def _claimed(self, badge: Badge, row: JobRow) -> None:
        job = self.jobs[row.id]
        job.reopened, job.done_for = False, None
        there = self._in_budget - self._done(badge)
        held, own = there.total(), there[job.batch_id]
        self.hold(held <= badge.limit, row.id, f"claimed: {held} with a budget of {badge.limit}")
        ceiling = badge.ceilings.get(job.batch_id, 0)
        self.hold(own <= ceiling, row.id, f"claimed: {own} of a batch that may have {ceiling}")
        self.hold(not row.delivered, row.id, "claimed although it was delivered")
        self.hold(not row.cancel_requested, row.id, "claimed although the user cancelled it")
        self.hold(row.not_before <= self._now(), row.id, "claimed before its time")
        if not job.canary and job.batch_id not in self._released:
            canaries = (j for j in self.jobs.values() if j.batch_id == job.batch_id and j.canary)
            fine = all(other.state is State.SUCCEEDED for other in canaries)
            self.hold(fine, row.id, "claimed before every canary had succeeded")
            if fine:
                self._released.add(job.batch_id)

    def _done(self, badge: Badge) -> Counter[int]:
        """Jobs by batch that the table has with the provider still, and of which this worker has
        heard that it is done with them: they fill no slot. Nobody else can know that."""
        with_it = (State.QUEUED, State.RUNNING)
        return Counter(
            job.batch_id
            for job in self.jobs.values()
            if job.done_for is badge and job.state in with_it and not job.recalled
        )

    def _went_back(self, row: JobRow, old: State) -> None:
        """To ``pending``: only what was surely not accepted, or surely failed."""
        job = self.jobs[row.id]
        post = job.posts.get(row.attempt)
        if old is State.SUBMITTING:
            sure = post is None or (post.request is None and isinstance(post.answer, SURELY_NOT))
            self.hold(sure, row.id, "back to pending, and it may have been accepted")
        else:
            failed = post is not None and post.request is not None and post.request.told_failed
            self.hold(failed, row.id, "back to pending, and the provider never said that it failed")

    def _came_home(self, row: JobRow) -> None:
        job = self.jobs[row.id]
        request, files = job.request, job.files.get(row.attempt, {})
        promised = request.files if request is not None else None
        whole = bool(promised) and sorted(files) == list(range(promised or 0))
        self.hold(whole, row.id, f"succeeded with {len(files)} of {promised} files")

    def _wished(self, author: Badge | None, job: Picture, before: JobRow, after: JobRow) -> None:
        """A wish to cancel goes only when it came true, came too late, or can't come true; or
        when the user asks for the opposite, which is that the job is bought again."""
        job.wish = bool(after.cancel_requested)
        if before.cancel_requested and not after.cancel_requested:
            request = job.request
            too_late = request is not None and request.state != "queued"
            ended = job.state not in (State.PENDING, State.SUBMITTING, State.QUEUED, State.RUNNING)
            taken_back = author is USER and job.state is State.PENDING
            fine = ended or too_late or taken_back
            self.hold(fine, after.id, "the user's wish to cancel was forgotten")

    def _attempt(self, before: AttemptRow | None, after: AttemptRow) -> None:
        job = self.jobs[after.job_id]
        if before is None:
            self.hold(after.outcome is None, after.job_id, "an attempt began with its end")
            return
        ended = before.ended_at is not None and not job.reopened
        for name, old, new in zip(AttemptRow._fields, before, after, strict=True):
            if old == new:
                continue
            which = f"{name} of attempt {after.number}"
            self.hold(name not in _FIXED, after.job_id, f"{which} was rewritten")
            self.hold(name not in _ONCE or old is None, after.job_id, f"{which} was overwritten")
            self.hold(name not in _ENDING or not ended, after.job_id, f"{which} was overwritten")
        if after.request_id is not None:
            job.recorded[after.number] = after.request_id
        if after.outcome is not None:
            job.outcomes[after.number] = after.outcome
            self._ended(job, after)

    def _ended(self, job: Picture, row: AttemptRow) -> None:
        """An attempt's end, held against what the provider said."""
        post = job.posts.get(row.number)
        request = post.request if post else None
        match row.outcome:
            case Event.GONE:
                told = request is not None and request.gone_answers >= 3
                self.hold(told, row.job_id, "gone, and the provider did not insist")
            case Event.ATTEMPT_FAILED:
                told = request is not None and request.told_failed
                self.hold(told, row.job_id, "failed, and the provider never said so")
            case Event.REJECTED:
                told = post is not None and isinstance(post.answer, base.Rejected)
                self.hold(told, row.job_id, "rejected, and the provider never said so")
            case Event.ATTEMPTS_EXHAUSTED:
                failed = request is not None and request.told_failed
                told = failed or (post is not None and isinstance(post.answer, base.Unavailable))
                self.hold(told, row.job_id, "given up on, and the provider never said no")

    def _artifact(self, before: object, after: ArtifactRow) -> None:
        self.hold(self._entitled, after.job_id, "a file of a worker that lost its lease")
        if isinstance(before, ArtifactRow) and before.path is not None:
            kept = after.path is not None
            self.hold(kept, after.job_id, f"file {after.position} was lost")
        if after.path is not None:
            self.jobs[after.job_id].files.setdefault(after.attempt, {})[after.position] = after.path

    # --- at the end -------------------------------------------------------------------------------

    def settled(self, batch_ids: Iterable[int], since: float) -> None:
        """A run said that these batches are done. What the user moved ``since`` is not its."""
        scope = set(batch_ids)
        for job_id, job in self.jobs.items():
            if job.batch_id in scope and job.moved_by_user < since:
                self.hold(job.state in HELD, job_id, f"left {job.state} by a run that was done")
