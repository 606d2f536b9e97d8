"""Huey on SQLite: a task a job, in as many threads as there may be jobs in flight.

``fsync=True`` makes every write durable (``synchronous=FULL``; strace counts four flushes a job).
The request id and the result go into Huey's own key-value store; a task looks there first, so that
it does not submit twice. Huey takes a task out of its table before it is run, and its documentation
knows no way to get back what a killed consumer had taken: ``--put-back`` does that by hand.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from huey import SqliteHuey

from bench.peers.work import Asked, Countdown, ThreadedCalls, asked, until_quiet
from bench.stopwatch import Stopwatch, hand_over


def _kept(huey: Any) -> int:
    return sum(str(key).startswith("result-") for key in huey.all_results())


def _enqueue(huey: Any, task: Any, wish: Asked) -> None:
    if wish.put_back:
        # So that what is still waiting is not there twice.
        huey.storage.flush_queue()
    elif wish.resume:
        return
    for seed in range(wish.jobs):
        if not wish.put_back or huey.get(f"result-{seed}", peek=True) is None:
            task(seed)


def run(wish: Asked) -> dict[str, float]:
    """Enqueue, then let the consumer work."""
    huey = SqliteHuey("bench", filename=str(wish.folder / "huey.db"), fsync=True, timeout=60)
    calls, countdown = ThreadedCalls(wish.origin), Countdown(wish.jobs)

    def job(seed: int) -> None:
        request_id = huey.get(f"request-{seed}", peek=True)
        if request_id is None:
            request_id = calls.submit(seed)
            huey.put(f"request-{seed}", request_id)
        calls.until_done(request_id)
        huey.put(f"result-{seed}", calls.result(request_id))

    def finished(_signal: str, _task: object) -> None:
        countdown.one_done()

    task = huey.task()(job)
    huey.signal("complete")(finished)
    _enqueue(huey, task, wish)
    consumer = huey.create_consumer(workers=wish.in_flight, initial_delay=0.01, periodic=False)
    watch = Stopwatch()
    consumer.start()
    if wish.resume:
        figures: dict[str, float] = {"kept": until_quiet(partial(_kept, huey), wish.jobs)}
    else:
        countdown.wait()
        figures = watch.figures(wish.jobs)
    consumer.stop(graceful=True)
    return figures


def main() -> None:
    """Measure once."""
    with asked(__doc__) as wish:
        hand_over(run(wish))


if __name__ == "__main__":
    main()
