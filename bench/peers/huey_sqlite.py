"""Huey on SQLite: a task a job, in as many threads as there may be jobs in flight.

``fsync=True`` makes every write durable. The request id goes into Huey's own key-value store, the
result is what the task returns, which Huey keeps too.
"""

from __future__ import annotations

from typing import Any

from huey import SqliteHuey

from bench.peers.work import Asked, Countdown, ThreadedCalls, asked
from bench.stopwatch import Stopwatch, hand_over


def run(wish: Asked) -> dict[str, float]:
    """Enqueue, then let the consumer work."""
    huey = SqliteHuey("bench", filename=str(wish.folder / "huey.db"), fsync=True)
    calls, countdown = ThreadedCalls(wish.origin), Countdown(wish.jobs)

    def job(seed: int) -> Any:
        request_id = calls.submit(seed)
        huey.put(f"request-{seed}", request_id)
        calls.until_done(request_id)
        return calls.result(request_id)

    def finished(_signal: str, _task: object) -> None:
        countdown.one_done()

    task = huey.task()(job)
    huey.signal("complete")(finished)
    for seed in range(wish.jobs):
        task(seed)
    consumer = huey.create_consumer(workers=wish.in_flight, initial_delay=0.01, periodic=False)
    watch = Stopwatch()
    consumer.start()
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
