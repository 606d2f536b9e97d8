"""A state machine over the real store: two workers, a user and a clock that jumps, in any order.

Every rule is something that a worker, a user's command or the machine's clock can do. Workers keep
every job object that they ever held and write with any of them, so most writes are stale. After
every step the whole table is held against what is promised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overnight.lifecycle import IN_FLIGHT, TABLE, TERMINAL, Event, State, moves
from overnight.store import control, decisions, leases, loading, queue
from overnight.store.decisions import Resolution
from overnight.store.errors import AnotherWorker, LeaseLost, NotFound
from overnight.store.job import Job
from overnight.store.queue import Facts, Overtaken
from overnight.store.rows import Kind
from tests.state_machine.ledger import Update, Witness
from tests.unit.test_store_queue import Spec

ARROWS = {(state, target) for state, _, target in moves() if state is not target}
PICK = st.integers(0, 255)
"""Chooses among what there is. Small, because hypothesis draws small ranges evenly."""
JUMPS = [-86_400.0, -61.0, -1.0, 0.25, 5.0, 31.0, 61.0, 3_600.0, 90_000.0]
_CHOICES = [
    *["claim"] * 3,
    *["right"] * 4,
    *["move"] * 3,
    *["look", "jump", "retry", "doubt"] * 2,
    *["resolve"] * 3,
    *["deliver", "take", "beat", "release", "edit", "cancel", "halt"],
]
_RIGHT = {
    State.SUBMITTING: Event.ACCEPTED,
    State.QUEUED: Event.SEEN_RUNNING,
    State.RUNNING: Event.FINISHED,
    State.COLLECTING: Event.COLLECTED,
}


@dataclass
class Actor:
    """A worker as it sees itself: its fence, and every job object it was ever given."""

    identity: leases.Identity
    fence: int = 0
    held: list[Job] = field(default_factory=list)

    def pick(self, number: int, states: frozenset[State]) -> Job | None:
        """One of the job objects that believe to be in one of ``states``: mostly the newest of
        its job, and now and then something old."""
        fitting = [job for job in self.held if job.state in states]
        if number % 4:
            newest = {job.id: job for job in self.held}
            fitting = [job for job in newest.values() if job.state in states] or fitting
        return fitting[number % len(fitting)] if fitting else None


class QueueMachine(RuleBasedStateMachine):
    """See the module. ``live`` is the fence of the one worker whose writes may succeed."""

    seen: ClassVar[set[tuple[State, State]]] = set()
    """Every arrow of the table that was gone along, in all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.witness = Witness()
        self.now = 1_000_000.0
        self.actors = [Actor(leases.Identity(f"host-{n}.test", n, 0.0)) for n in (0, 1)]
        self.live = 0
        self.beaten = 0.0
        self.requests = 0
        self.duplicates = 0
        self.by_user: frozenset[str] = frozenset()
        """What the user's word allows in this step: ``retry``, ``resolve``."""
        self.ended: dict[tuple[int, int], tuple[Any, ...]] = {}
        self.reopened: set[int] = set()

    def teardown(self) -> None:
        self.witness.close()

    # --- how a step is played -----------------------------------------------------------------

    def play(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """One operation in a transaction of its own."""
        with self.witness.step() as connection:
            return operation(connection, *args, **kwargs)

    def as_worker(self, actor: Actor, operation: Callable[..., Any], **kwargs: Any) -> Any:
        """An operation that needs the lease; a worker without it must be refused, unchanged."""
        if actor.fence == self.live and actor.fence:
            return self.play(operation, fence=actor.fence, now=self.now, **kwargs)
        before = self.witness.changes
        try:
            self.play(operation, fence=actor.fence, now=self.now, **kwargs)
        except LeaseLost:
            assert self.witness.changes == before
            return None
        raise AssertionError(f"{operation.__name__} let a worker in that has lost its lease")

    def guarded(self, actor: Actor, job: Job, write: Callable[[], Any]) -> Any:
        """A guarded write: it succeeds exactly when the table has the job as the worker does."""
        [row] = self.witness.rows(f"SELECT state, attempt, fence FROM jobs WHERE id = {job.id}")
        true = row == (job.state.value, job.attempt, job.fence)
        before = None if true else self.witness.changes
        result = write()
        if true:
            assert job.fence == self.live, "a worker wrote that has lost its lease"
            assert isinstance(result, Job)
            actor.held.append(result)
        else:
            assert result == Overtaken(job.id)
            assert self.witness.changes == before
        return result

    def actor(self, who: int) -> Actor:
        """The live worker three times in four, else the one that is told by ``who``."""
        living = [actor for actor in self.actors if actor.fence == self.live and self.live]
        return living[0] if living and who % 8 < 6 else self.actors[who % 2]

    def some(self, number: int, *states: State) -> list[int]:
        """One job's id, told by ``number`` and mostly in one of ``states``; all now and then."""
        ids = [row[0] for row in self.witness.rows("SELECT id FROM jobs ORDER BY id")]
        if number % 29 == 1:
            return ids
        query = f"SELECT id FROM jobs WHERE state IN ({_list(states)}) ORDER BY id"
        fitting = [row[0] for row in self.witness.rows(query)]
        chosen = fitting if fitting and number % 5 else ids
        return [chosen[number % len(chosen)]]

    # --- the clock and the manifest -----------------------------------------------------------

    @initialize(number=PICK)
    def begin(self, number: int) -> None:
        self._edit(number)
        self.take(self.actors[0])

    @rule(kind=st.sampled_from(_CHOICES), who=PICK, number=PICK)
    def step(self, kind: str, who: int, number: int) -> None:
        """Anything at all. One rule and not many: hypothesis switches some rules off for a whole
        example, and a night without claims, or without answers, shows little."""
        KINDS[kind](self, self.actor(who), number)

    def _jump(self, number: int) -> None:
        self.now += JUMPS[number % len(JUMPS)]

    def _edit(self, number: int) -> None:
        """The manifest is edited and loaded again: other jobs, other rules."""
        run: dict[str, Any] = {"attempts": 3}
        if number % 3 == 1:
            run["canary"] = 1
        if number % 5 == 1:
            run["on_unknown"] = "resubmit"
        numbers = {0, 1, 2, *(n for n in range(8) if number >> n & 1)}
        self.load(numbers, run, prune=number % 7 == 1)

    def load(self, numbers: set[int], run: dict[str, Any], *, prune: bool = False) -> None:
        header = loading.Header("night", "/x/jobs.yaml", "0" * 64, run, "/x/out")
        specs = [Spec(n) for n in sorted(numbers)]
        before = {row[0] for row in self.witness.rows("SELECT fingerprint FROM jobs")}
        loaded = self.play(loading.load, header, specs, now=self.now, prune=prune)
        wanted = {spec.fingerprint for spec in specs}
        assert (loaded.new, loaded.existing) == (len(wanted - before), len(wanted & before))
        assert loaded.gone == len(before - wanted)
        assert loaded.pruned == (loaded.gone_pending if prune else 0)

    # --- workers ------------------------------------------------------------------------------

    def take(self, actor: Actor) -> None:
        must_wait = self.live != 0 and self.now - self.beaten < leases.LEASE
        others = [other.fence for other in self.actors]
        try:
            actor.fence = self.play(leases.take, actor.identity, self.now)
        except AnotherWorker:
            assert must_wait
            return
        assert not must_wait
        assert actor.fence > max(others)
        self.live, self.beaten = actor.fence, self.now

    def _beat(self, actor: Actor) -> None:
        self.as_worker(actor, leases.beat)
        if actor.fence == self.live:
            self.beaten = self.now

    def _release(self, actor: Actor) -> None:
        self.play(leases.release, actor.fence, self.now)
        if actor.fence == self.live:
            self.live = 0

    def _look(self, actor: Actor) -> None:
        self.by_user = frozenset({"resolve"}) if self._resubmits_by_itself() else frozenset()
        unknown = self._resubmittable()
        seen = self.as_worker(actor, control.look, batch_ids=[1])
        if seen is None:
            return
        actor.held += seen.taken
        assert all(job.fence == actor.fence for job in seen.taken)
        held = {
            row[0] for row in self.witness.rows(f"SELECT id FROM jobs WHERE fence = {actor.fence}")
        }
        assert held.issuperset([*seen.to_cancel, *(job.id for job in seen.taken)])
        if self._resubmits_by_itself():
            # What was found in the middle of a submit may be resubmitted at once as well.
            resubmitted = self._count("possible_duplicates", "batches") - self.duplicates
            assert unknown <= resubmitted <= unknown + seen.lost
            self.duplicates += resubmitted

    def _resubmits_by_itself(self) -> bool:
        return bool(self.witness.rows("SELECT 1 FROM batches WHERE run LIKE '%resubmit%'"))

    def _resubmittable(self) -> int:
        return self._count(
            "COUNT(*)", "jobs WHERE state = 'unknown' AND resubmits = 0 AND NOT cancel_requested"
        )

    def _count(self, what: str, where: str) -> int:
        return int(self.witness.rows(f"SELECT {what} FROM {where}")[0][0])

    def _claim(self, actor: Actor, number: int) -> None:
        limit = 1 + number % 4
        claimed = self.as_worker(
            actor, queue.claim, batch_id=1, limit=limit, canaries_only=number % 8 == 7
        )
        if claimed is not None:
            assert len(claimed) <= limit
            actor.held += claimed

    def _go_right(self, actor: Actor, number: int) -> None:
        """What a night consists of; without it few jobs would get far."""
        for _ in range(1 + number % 3):
            if job := actor.pick(number, IN_FLIGHT):
                self._move(actor, job, _RIGHT[job.state], number)

    def _any_move(self, actor: Actor, number: int) -> None:
        job = actor.pick(number, IN_FLIGHT)
        if job is None:
            return
        allowed = [e for e in TABLE[job.state] if not (job.delivered and e is Event.CANCELLED)]
        self._move(actor, job, allowed[number % len(allowed)], number)

    def _doubt(self, actor: Actor, number: int) -> None:
        """Submits that nobody can tell about: rare in a night, and what this is all about."""
        for job in [job for job in actor.held if job.state is State.SUBMITTING][-1 - number % 4 :]:
            self._move(actor, job, Event.UNCERTAIN, number)

    def _move(self, actor: Actor, job: Job, event: Event, number: int) -> None:
        facts = Facts(self.now, error="said so", not_before=self.now + number % 3 * 10)
        if event is Event.ACCEPTED:
            self.requests += 1
            facts = Facts(self.now, request_id=f"r-{self.requests}")
        wish = self.witness.rows(f"SELECT cancel_requested FROM jobs WHERE id = {job.id}")[0][0]
        moved = self.guarded(actor, job, lambda: self.play(queue.move, job, event, facts))
        if isinstance(moved, Job) and TABLE[job.state][event] is State.PENDING:
            assert moved.state is (State.CANCELLED if wish else State.PENDING)

    def _deliver(self, actor: Actor, number: int) -> None:
        job = actor.pick(number, frozenset({State.COLLECTING}))
        if job is None:
            return
        names = [f"https://x.test/{job.id}/{n}?{self.now}" for n in range(number % 3)]
        file = queue.Stored(0, f"/x/{job.key}", 1, "00" * 32, None)
        self.guarded(
            actor,
            job,
            lambda: (
                self.play(queue.stored, job, file, self.now)
                if number % 5 == 4
                else self.play(queue.delivered, job, names, None, self.now)
            ),
        )

    # --- the user -----------------------------------------------------------------------------

    def _cancel(self, number: int) -> None:
        chosen = self.some(number)
        outcome = self.play(queue.cancel, chosen, now=self.now)
        assert outcome.total() == len(chosen)
        again = self.play(queue.cancel, chosen, now=self.now)
        assert again["cancelled"] == 0

    def _retry(self, number: int) -> None:
        self.by_user = frozenset({"retry"})
        chosen = self.some(number, State.FAILED)
        given_up = self._count(
            "COUNT(*)",
            "jobs JOIN attempts ON job_id = jobs.id AND number = attempt "
            f"WHERE state = 'failed' AND outcome = 'uncertain' AND jobs.id IN ({_list(chosen)})",
        )
        outcome = self.play(queue.retry, chosen, now=self.now)
        assert outcome.total() == len(chosen)
        self.duplicates += given_up
        self.reopened.update(chosen)
        assert set(self.play(queue.retry, chosen, now=self.now)) <= {"left"}

    def _resolve(self, number: int) -> None:
        how = [*Resolution][number % len(Resolution)]
        taken = number % 3 == 1
        self.by_user = frozenset({"resolve"})
        chosen = self.some(number, State.UNKNOWN)[: 1 if how is Resolution.ADOPT else None]
        request_id = self._request(taken) if how is Resolution.ADOPT else None
        try:
            outcome = self.play(decisions.resolve, chosen, how, now=self.now, request_id=request_id)
        except NotFound:
            assert taken
            return
        if how is Resolution.RESUBMIT:
            self.duplicates += outcome["resolved"]
        if how is Resolution.ADOPT and outcome["resolved"]:
            self.reopened.update(chosen)
        # Whatever it did, saying it again does nothing more.
        again = self.play(decisions.resolve, chosen, how, now=self.now, request_id=request_id)
        assert again["resolved"] == 0

    def _request(self, taken: bool) -> str:
        known = self.witness.rows("SELECT request_id FROM attempts WHERE request_id IS NOT NULL")
        if taken and known:
            return str(known[0][0])
        self.requests += 1
        return f"r-{self.requests}"

    def _halt(self, *, going_on: bool) -> None:
        if going_on:
            self.play(decisions.go_on, 1, now=self.now)
            assert not self.play(decisions.go_on, 1, now=self.now)
        else:
            self.play(decisions.halt, 1, "too many", Kind.HALT, now=self.now)
            assert not self.play(decisions.halt, 1, "again", Kind.HALT, now=self.now)

    # --- what must hold after every step ------------------------------------------------------

    @invariant()
    def only_moves_of_the_table_by_whoever_may(self) -> None:
        for update in self.witness.updates():
            self._check(update)
        self.by_user = frozenset()

    def _check(self, update: Update) -> None:
        assert update.new_attempt - update.old_attempt in (0, 1)
        assert (update.new_attempt > update.old_attempt) == (
            (update.old, update.new) == (State.PENDING, State.SUBMITTING)
        )
        if update.old is update.new:
            return
        assert (update.old, update.new) in ARROWS
        self.seen.add((update.old, update.new))
        if update.old in TERMINAL:
            assert "retry" in self.by_user
            assert not (update.was_delivered and update.new is State.PENDING)
        if update.old is State.UNKNOWN:
            assert "resolve" in self.by_user

    @invariant()
    def the_figures_are_the_rows(self) -> None:
        if not self.witness.rows("SELECT 1 FROM batches"):
            return
        kept = dict(self.witness.rows("SELECT state, jobs FROM tallies WHERE jobs != 0"))
        assert kept == dict(self.witness.rows("SELECT state, COUNT(*) FROM jobs GROUP BY state"))
        assert self._count("possible_duplicates", "batches") == self.duplicates
        assert self._count("COALESCE(SUM(resubmits), 0)", "jobs") == self.duplicates

    @invariant()
    def a_job_fits_its_state(self) -> None:
        for state, fence, request_id, attempt, wish in self.witness.rows(
            "SELECT state, fence, request_id, attempt, cancel_requested FROM jobs"
        ):
            if state in IN_FLIGHT:
                assert fence in (0, self.live), "held by a worker that is gone"
                assert (request_id is None) == (state == State.SUBMITTING)
                assert attempt > 0
            if state in TERMINAL or state == State.PENDING:
                assert not wish

    @invariant()
    def history_only_grows(self) -> None:
        rows = self.witness.rows("SELECT *, outcome FROM attempts ORDER BY job_id, number")
        outcomes = {(row[0], row[1]): row for row in rows if row[-1] is not None}
        for key, row in self.ended.items():
            assert outcomes.get(key) == row or key[0] in self.reopened, (row, outcomes.get(key))
        self.ended |= outcomes
        numbers = Counter(row[0] for row in rows)
        for job_id, attempt in self.witness.rows("SELECT id, attempt FROM jobs"):
            assert numbers[job_id] == attempt
            # Only the newest one can be reopened.
            assert all((job_id, n) in outcomes for n in range(1, attempt))
        requests = [row[4] for row in rows if row[4] is not None]
        assert len(set(requests)) == len(requests)


def _list(values: Iterable[object]) -> str:
    """As SQL has it between brackets."""
    return ", ".join(f"'{value}'" for value in values)


KINDS: dict[str, Callable[[QueueMachine, Actor, int], None]] = {
    "jump": lambda m, _, n: m._jump(n),
    "edit": lambda m, _, n: m._edit(n),
    "take": lambda m, _, n: m.take(m.actors[n % 2]),
    "release": lambda m, _, n: m._release(m.actors[n % 2]),
    "beat": lambda m, actor, _: m._beat(actor),
    "look": lambda m, actor, _: m._look(actor),
    "claim": QueueMachine._claim,
    "right": QueueMachine._go_right,
    "move": QueueMachine._any_move,
    "deliver": QueueMachine._deliver,
    "cancel": lambda m, _, n: m._cancel(n),
    "retry": lambda m, _, n: m._retry(n),
    "doubt": lambda m, actor, n: m._doubt(actor, n),
    "resolve": lambda m, _, n: m._resolve(n),
    "halt": lambda m, _, n: m._halt(going_on=n % 2 == 1),
}
