"""Celery with broker and results in SQLite (SQLAlchemy transport), acknowledged late.

A worker with the threads pool, as wide as the jobs in flight. The request id is a state of its own
in the result backend, where a task looks first, and so is the result. Both databases are in WAL
mode, which Celery does not choose by itself and which is faster; ``synchronous=FULL`` is SQLite's
default. This transport never hands out again what a killed worker had taken: ``--put-back`` does
that by hand.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from celery import Celery
from celery.worker import state
from kombu.transport.sqlalchemy import Transport

from bench.peers.work import PATIENCE, Asked, Countdown, ThreadedCalls, asked, until_quiet
from bench.stopwatch import Stopwatch, hand_over

SUBMITTED = "SUBMITTED"
KEPT = "SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"


def application(wish: Asked) -> Any:
    """The app, its broker and its results in the wish's folder."""
    for name in ("broker.db", "results.db"):
        with closing(sqlite3.connect(wish.folder / name)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    # As an option it would be handed on to SQLAlchemy, which knows no such word.
    Transport.polling_interval = 0.02
    app = Celery(
        "bench",
        broker=f"sqla+sqlite:///{wish.folder / 'broker.db'}",
        backend=f"db+sqlite:///{wish.folder / 'results.db'}",
    )
    patient = {"connect_args": {"timeout": 60}}
    app.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        broker_transport_options=patient,
        database_engine_options=patient,
    )
    return app


def _kept(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "results.db", timeout=60)) as connection:
        [(count,)] = connection.execute(KEPT).fetchall()
    return int(count)


def _enqueue(app: Any, task: Any, wish: Asked) -> None:
    if wish.put_back:
        # So that what is still waiting is not there twice.
        app.control.purge()
    elif wish.resume:
        return
    for seed in range(wish.jobs):
        task_id = f"job-{seed}"
        if not wish.put_back or app.AsyncResult(task_id).state != "SUCCESS":
            task.apply_async((seed,), task_id=task_id)


def _working(app: Any, in_flight: int) -> threading.Thread:
    """A worker of this process. It wants the main thread for nothing but signals."""
    worker = app.Worker(
        pool="threads",
        concurrency=in_flight,
        loglevel="ERROR",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    thread = threading.Thread(target=worker.start, daemon=True)
    thread.start()
    return thread


def run(wish: Asked) -> dict[str, float]:
    """Enqueue, then let a worker in this process work."""
    app = application(wish)
    calls, countdown = ThreadedCalls(wish.origin), Countdown(wish.jobs)

    def job(self: Any, seed: int) -> Any:
        known = self.backend.get_task_meta(self.request.id)
        if known["status"] == SUBMITTED:
            request_id = known["result"]["request_id"]
        else:
            request_id = calls.submit(seed)
            self.update_state(state=SUBMITTED, meta={"request_id": request_id})
        calls.until_done(request_id)
        return calls.result(request_id)

    def finished(*_: object, **__: object) -> None:
        countdown.one_done()

    task = app.task(bind=True, name="job", on_success=finished)(job)
    _enqueue(app, task, wish)
    watch = Stopwatch()
    working = _working(app, wish.in_flight)
    if wish.resume:
        figures: dict[str, float] = {"kept": until_quiet(partial(_kept, wish.folder), wish.jobs)}
    else:
        countdown.wait()
        figures = watch.figures(wish.jobs)
    # What a signal would set; the worker's thread sees it and ends, tasks acknowledged.
    state.should_stop = True
    working.join(PATIENCE)
    return figures


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish:
        hand_over(run(wish))


if __name__ == "__main__":
    main()
