"""The statements of :mod:`overnight.store.statements`, as SQLite is given them. Printed from there
and not to be edited; CONTRIBUTING.md says how.
"""

from __future__ import annotations

TEXTS = {
    "batches": """
SELECT batches.id, batches.name, batches.manifest_path, batches.run, batches.output_dir,
batches.created_at, batches.halted_at, batches.halt_reason, batches.forgiven,
batches.canary_passed_at, batches.possible_duplicates, batches.output, batches.assets FROM batches
ORDER BY batches.id
""",
    "batch_ids": """
SELECT batches.id FROM batches
""",
    "tallies": """
SELECT tallies.batch_id, tallies.state, tallies.jobs FROM tallies
""",
    "suspects_by_batch": """
SELECT jobs.batch_id + 0 AS anon_1, count(DISTINCT jobs.id) AS count_1 FROM jobs, artifacts WHERE
suspect IS NOT NULL AND artifacts.job_id = jobs.id AND artifacts.attempt = jobs.attempt AND
jobs.state = 'succeeded' GROUP BY jobs.batch_id + 0
""",
    "ids_all": """
SELECT jobs.id FROM jobs WHERE jobs.id > :after ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "ids_in_state": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id = :batch AND jobs.state = :state AND jobs.id > :after
ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "ids_suspect": """
SELECT jobs.id FROM jobs WHERE jobs.id IN (SELECT artifacts.job_id FROM artifacts WHERE suspect IS
NOT NULL) AND (EXISTS (SELECT * FROM artifacts WHERE suspect IS NOT NULL AND artifacts.job_id =
jobs.id AND artifacts.attempt = jobs.attempt AND jobs.state = 'succeeded')) AND jobs.batch_id + 0 IN
(SELECT listed.value FROM json_each(:batches) AS listed) AND jobs.id > :after ORDER BY jobs.id LIMIT
:most OFFSET 0
""",
    "ids_all_tagged": """
SELECT jobs.id FROM jobs WHERE (EXISTS (SELECT held.value FROM json_each(jobs.tags) AS held WHERE
held.value IN (SELECT listed.value FROM json_each(:tags) AS listed))) AND jobs.id > :after ORDER BY
jobs.id LIMIT :most OFFSET 0
""",
    "ids_in_state_tagged": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id = :batch AND jobs.state = :state AND (EXISTS (SELECT
held.value FROM json_each(jobs.tags) AS held WHERE held.value IN (SELECT listed.value FROM
json_each(:tags) AS listed))) AND jobs.id > :after ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "ids_suspect_tagged": """
SELECT jobs.id FROM jobs WHERE jobs.id IN (SELECT artifacts.job_id FROM artifacts WHERE suspect IS
NOT NULL) AND (EXISTS (SELECT * FROM artifacts WHERE suspect IS NOT NULL AND artifacts.job_id =
jobs.id AND artifacts.attempt = jobs.attempt AND jobs.state = 'succeeded')) AND jobs.batch_id + 0 IN
(SELECT listed.value FROM json_each(:batches) AS listed) AND (EXISTS (SELECT held.value FROM
json_each(jobs.tags) AS held WHERE held.value IN (SELECT listed.value FROM json_each(:tags) AS
listed))) AND jobs.id > :after ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "count_all": """
SELECT count(*) AS count_1 FROM jobs
""",
    "count_in_state": """
SELECT count(*) AS count_1 FROM jobs WHERE jobs.batch_id = :batch AND jobs.state = :state
""",
    "count_suspect": """
SELECT count(*) AS count_1 FROM jobs WHERE jobs.id IN (SELECT artifacts.job_id FROM artifacts WHERE
suspect IS NOT NULL) AND (EXISTS (SELECT * FROM artifacts WHERE suspect IS NOT NULL AND
artifacts.job_id = jobs.id AND artifacts.attempt = jobs.attempt AND jobs.state = 'succeeded')) AND
jobs.batch_id + 0 IN (SELECT listed.value FROM json_each(:batches) AS listed)
""",
    "count_all_tagged": """
SELECT count(*) AS count_1 FROM jobs WHERE EXISTS (SELECT held.value FROM json_each(jobs.tags) AS
held WHERE held.value IN (SELECT listed.value FROM json_each(:tags) AS listed))
""",
    "count_in_state_tagged": """
SELECT count(*) AS count_1 FROM jobs WHERE jobs.batch_id = :batch AND jobs.state = :state AND
(EXISTS (SELECT held.value FROM json_each(jobs.tags) AS held WHERE held.value IN (SELECT
listed.value FROM json_each(:tags) AS listed)))
""",
    "count_suspect_tagged": """
SELECT count(*) AS count_1 FROM jobs WHERE jobs.id IN (SELECT artifacts.job_id FROM artifacts WHERE
suspect IS NOT NULL) AND (EXISTS (SELECT * FROM artifacts WHERE suspect IS NOT NULL AND
artifacts.job_id = jobs.id AND artifacts.attempt = jobs.attempt AND jobs.state = 'succeeded')) AND
jobs.batch_id + 0 IN (SELECT listed.value FROM json_each(:batches) AS listed) AND (EXISTS (SELECT
held.value FROM json_each(jobs.tags) AS held WHERE held.value IN (SELECT listed.value FROM
json_each(:tags) AS listed)))
""",
    "jobs": """
SELECT jobs.id, batches.name, jobs."key", jobs.fingerprint, jobs.state, jobs.attempt,
jobs.request_id, jobs.model, jobs.inputs, jobs.variables, jobs.error, jobs.cancel_requested,
jobs.created_at, jobs.updated_at, jobs.tags, jobs.repeat, jobs.price FROM jobs JOIN batches ON
batches.id = jobs.batch_id WHERE jobs.id IN (SELECT listed.value FROM json_each(:ids) AS listed)
ORDER BY jobs.id
""",
    "jobs_after": """
SELECT jobs.id, batches.name, jobs."key", jobs.fingerprint, jobs.state, jobs.attempt,
jobs.request_id, jobs.model, jobs.inputs, jobs.variables, jobs.error, jobs.cancel_requested,
jobs.created_at, jobs.updated_at, jobs.tags, jobs.repeat, jobs.price FROM jobs JOIN batches ON
batches.id = jobs.batch_id WHERE jobs.id > :after ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "files_of": """
SELECT artifacts.job_id, artifacts.attempt, artifacts.url, artifacts.path, artifacts.suspect FROM
artifacts WHERE artifacts.job_id IN (SELECT listed.value FROM json_each(:ids) AS listed) ORDER BY
artifacts.job_id, artifacts.attempt, artifacts.position
""",
    "paid_tries": """
SELECT attempts.job_id, count(*) AS count_1 FROM attempts WHERE attempts.job_id IN (SELECT
listed.value FROM json_each(:ids) AS listed) AND (attempts.outcome IS NULL OR (attempts.outcome NOT
IN ('not_sent', 'refused', 'throttled', 'unavailable'))) GROUP BY attempts.job_id
""",
    "found_by_id": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id IN (SELECT listed.value FROM json_each(:batches) AS
listed) AND jobs.id = :job LIMIT 2 OFFSET 0
""",
    "found_by_key": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id IN (SELECT listed.value FROM json_each(:batches) AS
listed) AND jobs."key" = :reference LIMIT 2 OFFSET 0
""",
    "found_by_request": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id + 0 IN (SELECT listed.value FROM json_each(:batches) AS
listed) AND jobs.request_id = :reference LIMIT 2 OFFSET 0
""",
    "found_by_fingerprint": """
SELECT jobs.id FROM jobs WHERE jobs.batch_id IN (SELECT listed.value FROM json_each(:batches) AS
listed) AND jobs.fingerprint >= :reference AND jobs.fingerprint < :behind LIMIT 2 OFFSET 0
""",
    "failed": """
SELECT jobs.id, jobs."key", jobs.request_id, jobs.error FROM jobs WHERE jobs.batch_id = :batch AND
jobs.state = 'failed' ORDER BY jobs.id LIMIT :most OFFSET 0
""",
    "urls_of_failed": """
SELECT artifacts.job_id, artifacts.url FROM jobs JOIN artifacts ON jobs.id = artifacts.job_id WHERE
jobs.batch_id = :batch AND jobs.state = 'failed' AND jobs.id <= :last AND instr(jobs.error, '://') >
0 AND artifacts.attempt = jobs.attempt ORDER BY jobs.id, artifacts.position
""",
    "attempts": """
SELECT attempts.number, attempts.request_id, attempts.intent_at, attempts.accepted_at,
attempts.running_at, attempts.finished_at, attempts.ended_at, attempts.outcome, attempts.error,
attempts.cost, attempts.submit_status, attempts.submit_seconds, attempts.answered_at,
attempts.error_code, attempts.last_call, attempts.last_status, attempts.calls, attempts.unanswered
FROM attempts WHERE attempts.job_id = :job ORDER BY attempts.number
""",
    "artifacts": """
SELECT artifacts.attempt, artifacts.position, artifacts.url, artifacts.path, artifacts.bytes,
artifacts.sha256, artifacts.content_type, artifacts.suspect, artifacts.probe FROM artifacts WHERE
artifacts.job_id = :job ORDER BY artifacts.attempt, artifacts.position
""",
    "events": """
SELECT events.at, events.kind, events.text, events.batch_id, events.job_id FROM events WHERE
events.job_id = :job ORDER BY events.id
""",
    "assets": """
SELECT assets.name, assets.path, assets.bytes, assets.content_type, assets.store_key,
assets.uploaded_at FROM assets WHERE assets.name IN (SELECT listed.value FROM json_each(:names) AS
listed)
""",
    "workers": """
SELECT workers.id, workers.host, workers.pid, workers.process_started, workers.heartbeat_at FROM
workers WHERE workers.ended_at IS NULL
""",
    "newest_events": """
SELECT events.id, events.worker_id, events.at, events.kind, events.text, events.batch_id,
events.job_id FROM events WHERE events.kind = :kind ORDER BY events.id DESC LIMIT :most OFFSET 0
""",
}
