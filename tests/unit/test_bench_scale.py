"""What a night takes follows from what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import scale

MEASURED = scale.Measured(
    polls=4.0,
    cpu_ms=3.0,
    memory_mb=50.0,
    memory_kb=20.0,
    jobs_per_second=500.0,
    waiting_bytes=500.0,
    done_bytes=1000.0,
    rows=3.0,
    written_bytes=6000.0,
    wire_bytes=1200.0,
    loads_per_second=10_000.0,
    status_seconds=0.2,
)


def keep(folder: Path, name: str, figures: dict[str, Any]) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"figures": figures}))


def test_what_a_job_costs_is_read_from_the_kept_figures(tmp_path: Path) -> None:
    high = {"peak MB": 450.0, "polls/job": 4.0, "CPU ms/job": 3.0}
    keep(
        tmp_path,
        "flight",
        {
            "20,000 in flight": high,
            "5,000 in flight": {**high, "peak MB": 150.0},
            "900 in flight at the emulator": {},
        },
    )
    keep(tmp_path, "throughput", {"overnight, 500 in flight": {"jobs/s": 500}})
    done = {"database": 1000, "rows": 3, "written": 6000, "sent": 800, "received": 400}
    keep(
        tmp_path, "footprint", {"loaded": {"database": 500, "rows": 1}, "done, 500 in flight": done}
    )
    keep(tmp_path, "load", {"load": {"jobs/s": 10_000}})
    keep(tmp_path, "reading", {"status": {"seconds": 0.2}})
    assert scale.measured(tmp_path) == MEASURED


def test_one_width_alone_does_not_say_what_a_job_takes(tmp_path: Path) -> None:
    keep(tmp_path, "flight", {"5,000 in flight": {"peak MB": 100.0}})
    with pytest.raises(scale.NotMeasured):
        scale.measured(tmp_path)


def test_a_night_is_the_sum_of_its_jobs() -> None:
    found = scale.night(100_000, MEASURED)
    assert found["in flight, to be done in the night"] == "625"
    assert found["polls"] == "400,000"
    assert found["polls a second"] == "13.9"
    assert found["rows"] == "300,000"
    assert found["database, when all are done"] == "100 MB"
    assert found["written to the disk"] == "600 MB"
    # Two calls a job, and each of its polls, at 400 bytes.
    assert found["network, calls"] == "240 MB"
    assert found["memory"] == "62.5 MB"
    # 300 s of 28,800.
    assert found["processor, share of one core"] == "0.01"
    assert found["load"] == "10 s"
    assert found["the provider's bill"] == "$6,000"


def test_a_batch_that_one_core_cannot_do_in_a_night_takes_more_of_them() -> None:
    # Ten million times 3 ms are 1.04 nights.
    name = "the machine's, for the nights that one core takes"
    assert scale.night(100_000, MEASURED)[name] == "$0.4"
    assert scale.night(10_000_000, MEASURED)[name] == "$0.8"


def test_a_small_night_has_one_job_in_flight_at_least() -> None:
    assert scale.in_flight(1) == 1.0


def test_each_limit_says_how_many_jobs_it_allows() -> None:
    found = scale.ends(MEASURED)
    assert found["transitions through the one writer"] == ("500 jobs a second", "14,400,000")
    assert found["one core, polls included"] == ("1,333 polls a second", "9,600,000")
    assert found["polls, by overnight's own ceiling"] == ("500 a second", "3,600,000")
    assert found["1 GB of memory"] == ("47,500 in flight", "7,600,000")


@pytest.mark.parametrize(
    ("size", "shown"), [(900.0, "0.9 kB"), (2.5e6, "2.5 MB"), (3e9, "3 GB"), (3e13, "30 TB")]
)
def test_amounts_are_for_people(size: float, shown: str) -> None:
    assert scale.amount(size) == shown


def test_the_tables_have_a_column_for_each_night_and_a_row_for_each_limit() -> None:
    assert scale.nights(MEASURED).splitlines()[0] == (
        "| a night of | 1,000 jobs | 100,000 jobs | 10,000,000 jobs |"
    )
    assert len(scale.limits(MEASURED).splitlines()) == 2 + len(scale.ends(MEASURED))
