BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE artifacts (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	url TEXT NOT NULL, 
	path TEXT, 
	bytes INTEGER, 
	sha256 VARCHAR(64), 
	content_type TEXT, 
	stored_at FLOAT, suspect TEXT, probe TEXT, 
	CONSTRAINT pk_artifacts PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT uq_artifacts_job_id_attempt_position UNIQUE (job_id, attempt, position)
);
INSERT INTO "artifacts" VALUES(1,7,1,0,'http://files.test/7.mp4',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "artifacts" VALUES(2,9,1,0,'http://files.test/9.mp4','/night/out/seed8.mp4',1,'0000000000000000000000000000000000000000000000000000000000000000',NULL,1205.0,'nothing moves in it','{"probed": true, "kind": "video", "frames": 81, "still": true}');
INSERT INTO "artifacts" VALUES(3,11,1,0,'http://files.test/11.mp4',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE assets (
	name VARCHAR(96) NOT NULL, 
	path TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	content_type VARCHAR(64) NOT NULL, 
	store_key TEXT, 
	uploaded_at FLOAT, 
	CONSTRAINT pk_assets PRIMARY KEY (name)
);
INSERT INTO "assets" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png','/night/refs/a.png',9,'image/png','s3://night/in/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png',1050.0);
INSERT INTO "assets" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.png','/night/refs/b.png',9,'image/png',NULL,NULL);
CREATE TABLE attempts (
	job_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	worker_id INTEGER NOT NULL, 
	submit_key VARCHAR(32) NOT NULL, 
	request_id TEXT, 
	intent_at FLOAT NOT NULL, 
	accepted_at FLOAT, 
	running_at FLOAT, 
	finished_at FLOAT, 
	ended_at FLOAT, 
	outcome VARCHAR(24), 
	error TEXT, 
	cost FLOAT, submit_status INTEGER, submit_seconds FLOAT, answered_at FLOAT, error_code TEXT, last_call VARCHAR(8), last_status INTEGER, calls INTEGER DEFAULT '0' NOT NULL, unanswered INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_attempts PRIMARY KEY (job_id, number), 
	CONSTRAINT fk_attempts_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_attempts_worker_id_workers FOREIGN KEY(worker_id) REFERENCES workers (id)
);
INSERT INTO "attempts" VALUES(2,1,1,'00000000000000020000000000000001',NULL,1001.0,NULL,NULL,NULL,1990.0,'throttled','busy',NULL,429,0.1,NULL,'busy',NULL,NULL,0,0);
INSERT INTO "attempts" VALUES(3,1,2,'00000000000000030000000000000001',NULL,1001.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "attempts" VALUES(4,1,2,'00000000000000040000000000000001','request-4-1',1001.0,1910.0,NULL,NULL,NULL,NULL,NULL,NULL,200,0.4,1910.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(5,1,2,'00000000000000050000000000000001','request-5-1',1001.0,1800.0,NULL,NULL,1850.0,'attempt_failed','x',NULL,200,0.4,1800.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(5,2,2,'00000000000000050000000000000002','request-5-2',1002.0,1910.0,1920.0,NULL,NULL,NULL,NULL,NULL,200,0.4,1910.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(6,1,2,'00000000000000060000000000000001','request-6-1',1001.0,1910.0,1920.0,1930.0,NULL,NULL,NULL,NULL,200,0.4,1910.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(7,1,2,'00000000000000070000000000000001','request-7-1',1001.0,1910.0,NULL,1930.0,NULL,NULL,NULL,0.25,200,0.4,1910.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(8,1,1,'00000000000000080000000000000001',NULL,1001.0,NULL,NULL,NULL,1500.0,'uncertain','The connection was lost.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "attempts" VALUES(9,1,1,'00000000000000090000000000000001','request-9-1',1001.0,1100.0,NULL,1200.0,1210.0,'collected',NULL,NULL,200,0.4,1100.0,NULL,'status',504,9,2);
INSERT INTO "attempts" VALUES(10,1,1,'000000000000000a0000000000000001',NULL,1001.0,NULL,NULL,NULL,1100.0,'rejected','No such input.',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0);
INSERT INTO "attempts" VALUES(11,1,1,'000000000000000b0000000000000001','request-11-1',1001.0,1100.0,NULL,NULL,1300.0,'uncollectable','No file.',NULL,200,0.4,1100.0,NULL,'status',504,9,2);
CREATE TABLE batches (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	manifest_path TEXT NOT NULL, 
	manifest_digest VARCHAR(64) NOT NULL, 
	run TEXT NOT NULL, 
	output_dir TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	loaded_at FLOAT NOT NULL, halted_at FLOAT, halt_reason TEXT, forgiven TEXT, canary_passed_at FLOAT, possible_duplicates INTEGER DEFAULT '0' NOT NULL, output TEXT DEFAULT '{}' NOT NULL, draws TEXT DEFAULT '{}' NOT NULL, schemas TEXT DEFAULT '{}' NOT NULL, assets TEXT DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_batches PRIMARY KEY (id), 
	CONSTRAINT uq_batches_name UNIQUE (name)
);
INSERT INTO "batches" VALUES(1,'night','/night/jobs.yaml','0000000000000000000000000000000000000000000000000000000000000000','{"attempts": 3, "concurrency": 4}','/night/out',1000.0,1000.0,NULL,NULL,NULL,1400.0,1,'{"dir": "/night/out", "download": 2}','{"seed": [7, 9]}','{"community/wan-2-1/fusionx/image-to-video": "1111111111111111111111111111111111111111111111111111111111111111"}','{"presign": 86400.0, "store": "s3://night/in"}');
CREATE TABLE events (
	id INTEGER NOT NULL, 
	at FLOAT NOT NULL, 
	worker_id INTEGER, 
	batch_id INTEGER, 
	job_id INTEGER, 
	kind VARCHAR(24) NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (id), 
	CONSTRAINT fk_events_worker_id_workers FOREIGN KEY(worker_id) REFERENCES workers (id), 
	CONSTRAINT fk_events_batch_id_batches FOREIGN KEY(batch_id) REFERENCES batches (id), 
	CONSTRAINT fk_events_job_id_jobs FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "events" VALUES(1,1400.0,1,NULL,NULL,'limit','At most 4 at once.');
INSERT INTO "events" VALUES(2,1450.0,NULL,1,2,'resolved','resubmit');
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	batch_id INTEGER NOT NULL, 
	block TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	provider VARCHAR NOT NULL, 
	model TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	variables TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	priority INTEGER DEFAULT '0' NOT NULL, 
	not_before FLOAT DEFAULT '0' NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	tries INTEGER DEFAULT '0' NOT NULL, 
	deferrals INTEGER DEFAULT '0' NOT NULL, 
	fence INTEGER DEFAULT '0' NOT NULL, 
	request_id TEXT, 
	delivered BOOLEAN DEFAULT '0' NOT NULL, 
	cancel_requested BOOLEAN DEFAULT '0' NOT NULL, 
	error TEXT, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, resubmits INTEGER DEFAULT '0' NOT NULL, canary BOOLEAN DEFAULT '0' NOT NULL, rank INTEGER DEFAULT '0' NOT NULL, tags TEXT, repeat INTEGER DEFAULT '1' NOT NULL, file_name TEXT, price FLOAT, 
	CONSTRAINT pk_jobs PRIMARY KEY (id), 
	CONSTRAINT fk_jobs_batch_id_batches FOREIGN KEY(batch_id) REFERENCES batches (id), 
	CONSTRAINT uq_jobs_batch_id_fingerprint UNIQUE (batch_id, fingerprint), 
	CONSTRAINT uq_jobs_batch_id_key UNIQUE (batch_id, "key")
);
INSERT INTO "jobs" VALUES(1,1,'','seed0','88d3ad5428e7c2ab74dd75e1f6fcde373acaee72ec75c7385c267edc271e966e','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 0}','{"seed": 0}','pending',0,0.0,0,0,0,0,NULL,0,0,NULL,1000.0,1950.0,0,0,12,'["draft"]',1,'rain/first',0.06);
INSERT INTO "jobs" VALUES(2,1,'','seed1','863b54def0e3ed17a643a9417aac876a3a5ff62333e88b46d929cebcd90daeb7','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 1}','{"seed": 1}','pending',0,2000.0,1,0,1,0,NULL,0,0,'busy',1000.0,1950.0,1,0,11,'["draft"]',1,NULL,0.06);
INSERT INTO "jobs" VALUES(3,1,'','seed2','96bb10e8581f4d72dcd39a110b1f912d4b76d288d61b139a570509912d1fd72b','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 2}','{"seed": 2}','submitting',0,0.0,1,0,0,2,NULL,0,0,NULL,1000.0,1950.0,0,0,10,'["draft"]',1,NULL,0.06);
INSERT INTO "jobs" VALUES(4,1,'','seed3','a81203de9e59f0b5eac489b6516c0d9aa6543e93c3f3c871ff330aa0d3926032','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 3}','{"seed": 3}','queued',0,0.0,1,1,0,2,'request-4-1',0,0,NULL,1000.0,1950.0,0,0,9,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(5,1,'','seed4','c54fbb8f2f532b677442cfb0adc691b852595eb96a0f9165747426422d197593','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 4}','{"seed": 4}','running',0,0.0,2,2,0,2,'request-5-2',0,0,NULL,1000.0,1950.0,0,0,8,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(6,1,'','seed5','f69fb2656178cb9e790b52e3b16fccac2d0c1e8fe3cd55d38b240bfab262d7ad','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 5}','{"seed": 5}','collecting',0,0.0,1,1,0,2,'request-6-1',0,0,NULL,1000.0,1950.0,0,0,7,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(7,1,'','seed6','b6a54aff8d9fcaee242e5b4ddca9f27500805bc9c2112e9f68ee6f53cdb04787','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 6}','{"seed": 6}','collecting',0,0.0,1,1,0,2,'request-7-1',1,0,NULL,1000.0,1950.0,0,0,6,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(8,1,'','seed7','e9fa5d951437875dd6f6db4a3114fb22ddd5fa6620f27188111fa95e1a386728','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 7}','{"seed": 7}','unknown',0,0.0,1,0,0,1,NULL,0,0,'The connection was lost.',1000.0,1950.0,0,0,5,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(9,1,'','seed8','fb7a4b723a39467dfed582811eb71f4ca6f17bc7856c1116b5e7c8ec481adc64','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 8}','{"seed": 8}','succeeded',0,0.0,1,1,0,1,'request-9-1',1,0,NULL,1000.0,1950.0,0,1,4,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(10,1,'','seed9','72f9ae5f8d4906863230189804fec2b56e3bf61a392719d0fe1a9f6619ff4ca7','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 9}','{"seed": 9}','failed',0,0.0,1,0,0,1,NULL,0,0,'No such input.',1000.0,1950.0,0,0,3,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(11,1,'','seed10','d9c001dbda97d98aecc08e6edf4e63b3e902875d9afcb6f52999aac5f5b9c4c1','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 10}','{"seed": 10}','failed',0,0.0,1,1,0,1,'request-11-1',1,0,'No file.',1000.0,1950.0,0,0,2,NULL,1,NULL,0.06);
INSERT INTO "jobs" VALUES(12,1,'','seed11','2e61ecb0d094b993723c146d371a02e2e32ddb60a4c225caeb1485ae1f22aa05','runcomfy','community/wan-2-1/fusionx/image-to-video','{"600_prompt": "Rain on a tin roof", "608_image": "RunComfy_examples_1235_1.png", "598_seed": 11}','{"seed": 11}','cancelled',0,0.0,0,0,0,0,NULL,0,0,NULL,1000.0,1950.0,0,0,1,NULL,2,NULL,0.06);
CREATE TABLE tallies (
	batch_id INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	jobs INTEGER NOT NULL, 
	CONSTRAINT pk_tallies PRIMARY KEY (batch_id, state), 
	CONSTRAINT fk_tallies_batch_id_batches FOREIGN KEY(batch_id) REFERENCES batches (id)
);
INSERT INTO "tallies" VALUES(1,'pending',2);
INSERT INTO "tallies" VALUES(1,'submitting',1);
INSERT INTO "tallies" VALUES(1,'queued',1);
INSERT INTO "tallies" VALUES(1,'running',1);
INSERT INTO "tallies" VALUES(1,'collecting',2);
INSERT INTO "tallies" VALUES(1,'unknown',1);
INSERT INTO "tallies" VALUES(1,'succeeded',1);
INSERT INTO "tallies" VALUES(1,'failed',2);
INSERT INTO "tallies" VALUES(1,'cancelled',1);
CREATE TABLE workers (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	process_started FLOAT NOT NULL, 
	version VARCHAR NOT NULL, 
	started_at FLOAT NOT NULL, 
	heartbeat_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	ended_by TEXT
);
INSERT INTO "workers" VALUES(1,'a-machine.test',1,1.0,'0.1',1000.0,1000.0,1600.0,'stopped');
INSERT INTO "workers" VALUES(2,'a-machine.test',2,1.0,'0.1',2000.0,2000.0,NULL,NULL);
CREATE INDEX ix_jobs_cancel_requested ON jobs (id) WHERE cancel_requested;
CREATE INDEX ix_jobs_in_flight ON jobs (fence, id) WHERE state IN ('submitting', 'queued', 'running', 'collecting');
CREATE INDEX ix_jobs_request_id ON jobs (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX ix_events_job_id ON events (job_id);
CREATE INDEX ix_events_kind ON events (kind, id);
CREATE INDEX ix_jobs_canary ON jobs (batch_id) WHERE canary;
CREATE INDEX ix_attempts_intent_at ON attempts (intent_at);
CREATE INDEX ix_jobs_claimable ON jobs (batch_id, priority DESC, rank, id) WHERE state = 'pending';
CREATE INDEX ix_jobs_batch_state ON jobs (batch_id, state, id, price);
CREATE INDEX ix_artifacts_suspect ON artifacts (job_id) WHERE suspect IS NOT NULL;
CREATE INDEX ix_artifacts_path ON artifacts (path) WHERE path IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('workers',2);
COMMIT;
