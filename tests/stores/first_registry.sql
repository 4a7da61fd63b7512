-- A database as the first registry made it, before there were migrations: its tables and two applies.
PRAGMA journal_mode=WAL;
BEGIN TRANSACTION;
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	revision BIGINT NOT NULL, 
	at_us BIGINT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	change VARCHAR(32) NOT NULL, 
	project VARCHAR(64) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	ref VARCHAR(160) NOT NULL, 
	meaning_hash VARCHAR(64) NOT NULL, 
	differences TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "audit" VALUES(1,1,1700000000000000,'ipv4:127.0.0.1:40000','first','add','flights','entity','origin','f3013f933b9fb80ab6d995e7ad9da36f683837ba1d81e950c943d40111eac2f0','');
INSERT INTO "audit" VALUES(2,1,1700000000000000,'ipv4:127.0.0.1:40000','first','add','flights','window_view','by_origin@1.0.0','2bfd14f43d17fc7cea24e0917a8879b4b2f880b8baeec1b9d90fbaad655e71bd','');
INSERT INTO "audit" VALUES(3,2,1700000100000000,'ipv4:127.0.0.1:40000','','describe','flights','window_view','by_origin@1.0.0','2bfd14f43d17fc7cea24e0917a8879b4b2f880b8baeec1b9d90fbaad655e71bd','description: "" -> "é"');
CREATE TABLE catalogue (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "catalogue" VALUES(1,1,2);
CREATE TABLE definitions (
	project VARCHAR(64) NOT NULL, 
	kind_rank INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	major INTEGER NOT NULL, 
	minor INTEGER NOT NULL, 
	patch INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	meaning_hash VARCHAR(64) NOT NULL, 
	description TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	PRIMARY KEY (project, kind_rank, name, major, minor, patch), 
	FOREIGN KEY(meaning_hash) REFERENCES meanings (hash)
);
INSERT INTO "definitions" VALUES('flights',0,'origin',0,0,0,'entity','f3013f933b9fb80ab6d995e7ad9da36f683837ba1d81e950c943d40111eac2f0','','','{}',1);
INSERT INTO "definitions" VALUES('flights',2,'by_origin',1,0,0,'window_view','2bfd14f43d17fc7cea24e0917a8879b4b2f880b8baeec1b9d90fbaad655e71bd','é','ops','{"team": "ops"}',2);
CREATE TABLE meanings (
	hash VARCHAR(64) NOT NULL, 
	json BLOB NOT NULL, 
	PRIMARY KEY (hash)
);
INSERT INTO "meanings" VALUES('f3013f933b9fb80ab6d995e7ad9da36f683837ba1d81e950c943d40111eac2f0',X'7B226E223A307D');
INSERT INTO "meanings" VALUES('2bfd14f43d17fc7cea24e0917a8879b4b2f880b8baeec1b9d90fbaad655e71bd',X'7B226E223A317D');
COMMIT;
