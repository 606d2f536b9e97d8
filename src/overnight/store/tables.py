"""The schema, as SQLAlchemy tables. Alembic (``alembic/versions``) is what creates them.

Times are seconds since 1970 in UTC, as floats. JSON is text, written canonically by us, because
inputs must come back exactly as they will be sent. ``jobs`` holds what the queue needs to decide;
``attempts`` holds what happened and is never overwritten by a later try.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

IS_PENDING = text("state = 'pending'")
IS_IN_FLIGHT = text("state IN ('submitting', 'queued', 'running', 'collecting')")
IS_TO_CANCEL = text("cancel_requested")
IS_CANARY = text("canary")
IS_SUSPECT = text("suspect IS NOT NULL")
IS_HOME = text("path IS NOT NULL")
"""Conditions of partial indexes. A query uses such an index only when it says the very same, so
queries take them from here. They are given to SQLite alone: SQLAlchemy imports the whole dialect of
every database that is named in a table, and each start would pay for one that nobody uses."""

batches = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("manifest_path", Text, nullable=False),
    Column("manifest_digest", String(64), nullable=False),
    # The manifest's `run` block, as JSON: {"concurrency": 4, "attempts": 3}.
    Column("run", Text, nullable=False),
    Column("output_dir", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("loaded_at", Float, nullable=False),
    # When and why submitting stopped by a rule of the manifest (halt, canary).
    Column("halted_at", Float),
    Column("halt_reason", Text),
    # Failures that the user went on in spite of, as JSON: {"settled": 40, "failed": 12}.
    Column("forgiven", Text),
    # When every canary had succeeded, or the user went on without.
    Column("canary_passed_at", Float),
    # Submits of unknown jobs that were repeated: each may have been charged twice.
    Column("possible_duplicates", Integer, nullable=False, server_default="0"),
    # The manifest's `output` block, as JSON: {"name": "{{ key }}", "download": 4}.
    Column("output", Text, nullable=False, server_default="{}"),
    # Random values that a load has drawn, by axis, as JSON: a later load must repeat them.
    Column("draws", Text, nullable=False, server_default="{}"),
    # The schema that each model's inputs were checked against, as JSON: {model: SHA-256}.
    Column("schemas", Text, nullable=False, server_default="{}"),
    # How local files get to the provider, as JSON: {"store": "s3://…", "presign": 86400}.
    Column("assets", Text, nullable=False, server_default="{}"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch_id", ForeignKey("batches.id"), nullable=False),
    Column("block", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("provider", String, nullable=False),
    Column("model", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("variables", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    # Never submitted before this moment (backoff).
    Column("not_before", Float, nullable=False, server_default="0"),
    # The number of the newest attempt; 0 before the first. Part of every guard.
    Column("attempt", Integer, nullable=False, server_default="0"),
    # Attempts that count against `run.attempts`: accepted ones.
    Column("tries", Integer, nullable=False, server_default="0"),
    # Uncounted ends in a row (throttled, not sent, ...): what the backoff grows with.
    Column("deferrals", Integer, nullable=False, server_default="0"),
    # The id of the worker that holds the job; 0 when nobody does. Part of every guard.
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("request_id", Text),
    # The provider has delivered for this job: it is never bought again.
    Column("delivered", Boolean, nullable=False, server_default="0"),
    Column("cancel_requested", Boolean, nullable=False, server_default="0"),
    Column("error", Text),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    # How often it was submitted again although it may have been accepted before.
    Column("resubmits", Integer, nullable=False, server_default="0"),
    # One of those that must succeed before the rest of the batch goes.
    Column("canary", Boolean, nullable=False, server_default="0"),
    # The place within a priority, ascending: the manifest's `order`.
    Column("rank", Integer, nullable=False, server_default="0"),
    # The manifest's labels, as a JSON list; NULL for none.
    Column("tags", Text),
    # Which of several jobs with equal inputs it is, from 1.
    Column("repeat", Integer, nullable=False, server_default="1"),
    # What its files are called: a path below the output folder without a suffix; NULL is the key.
    Column("file_name", Text),
    # What it is expected to cost, in US dollars; NULL when nobody can tell.
    Column("price", Float),
    UniqueConstraint("batch_id", "fingerprint"),
    UniqueConstraint("batch_id", "key"),
    # `state` and `id` behind `batch_id`: a page of one batch's failed jobs is one range. `price` is
    # not to search by: what pending jobs will cost is read off this index alone.
    Index("ix_jobs_batch_state", "batch_id", "state", "id", "price"),
    Index(
        "ix_jobs_claimable",
        "batch_id",
        text("priority DESC"),
        "rank",
        "id",
        sqlite_where=IS_PENDING,
    ),
    Index("ix_jobs_in_flight", "fence", "id", sqlite_where=IS_IN_FLIGHT),
    Index("ix_jobs_cancel_requested", "id", sqlite_where=IS_TO_CANCEL),
    Index("ix_jobs_canary", "batch_id", sqlite_where=IS_CANARY),
    Index("ix_jobs_request_id", "request_id", sqlite_where=text("request_id IS NOT NULL")),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("worker_id", ForeignKey("workers.id"), nullable=False),
    # What a provider that can recover a lost submit is asked by.
    Column("submit_key", String(32), nullable=False),
    Column("request_id", Text),
    Column("intent_at", Float, nullable=False),
    Column("accepted_at", Float),
    Column("running_at", Float),
    Column("finished_at", Float),
    Column("ended_at", Float),
    # The event that ended it (lifecycle.Event); NULL while it is under way.
    Column("outcome", String(24)),
    Column("error", Text),
    # US dollars, where the provider tells.
    Column("cost", Float),
    # The paid POST: the HTTP status that came back, how many seconds it took until its answer was
    # whole or would not come, and when that was. No status: no answer. No seconds: nobody saw it.
    Column("submit_status", Integer),
    Column("submit_seconds", Float),
    Column("answered_at", Float),
    # The provider's own word for what went wrong.
    Column("error_code", Text),
    # The call behind the newest transition (submit, status, result, cancel) and its HTTP status.
    Column("last_call", String(8)),
    Column("last_status", Integer),
    # Free calls that were made, and those of them that told nothing of the job. Written with the
    # transitions, so a crash may lose those since the last one.
    Column("calls", Integer, nullable=False, server_default="0"),
    Column("unanswered", Integer, nullable=False, server_default="0"),
    Index("ix_attempts_intent_at", "intent_at"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    # Where the file stands in the result's output, from 0.
    Column("position", Integer, nullable=False),
    Column("url", Text, nullable=False),
    # Absolute, once the file is home whole; NULL until then.
    Column("path", Text),
    Column("bytes", Integer),
    Column("sha256", String(64)),
    Column("content_type", Text),
    Column("stored_at", Float),
    # Why the file can't be what was asked for; NULL when nothing is wrong with it.
    Column("suspect", Text),
    # What its content is, as JSON (artifacts.outcomes.Opinion); NULL when nobody looked.
    Column("probe", Text),
    UniqueConstraint("job_id", "attempt", "position"),
    Index("ix_artifacts_suspect", "job_id", sqlite_where=IS_SUSPECT),
    Index("ix_artifacts_path", "path", sqlite_where=IS_HOME),
)

assets = Table(
    "assets",
    metadata,
    # Local files that jobs send, by content: what stands behind `asset:` in a job's inputs.
    Column("name", String(96), primary_key=True),
    # Absolute: where it was when a manifest was loaded last.
    Column("path", Text, nullable=False),
    # Of the file itself, before any scaling.
    Column("bytes", Integer, nullable=False),
    Column("content_type", String(64), nullable=False),
    # Where it was last seen in an object store, and when; NULL before that.
    Column("store_key", Text),
    Column("uploaded_at", Float),
)

workers = Table(
    "workers",
    metadata,
    # The id is the fence number: it only ever grows.
    Column("id", Integer, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    # When the operating system says the process began: tells a reused pid apart.
    Column("process_started", Float, nullable=False),
    Column("version", String, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
    # Set when it stopped by itself, or when another worker took over.
    Column("ended_at", Float),
    Column("ended_by", Text),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    # What was decided and why: changes of the limit, halts, canaries, pauses, resolved unknowns.
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("worker_id", ForeignKey("workers.id")),
    Column("batch_id", ForeignKey("batches.id")),
    Column("job_id", ForeignKey("jobs.id")),
    Column("kind", String(24), nullable=False),
    Column("text", Text, nullable=False),
    Index("ix_events_job_id", "job_id"),
    Index("ix_events_kind", "kind", "id"),
)

tallies = Table(
    "tallies",
    metadata,
    # How many jobs of a batch are in a state: kept by every transition, in its transaction,
    # because counting a million rows takes longer than a person waits.
    Column("batch_id", ForeignKey("batches.id"), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("jobs", Integer, nullable=False),
)
