CREATE TABLE head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    audits INTEGER NOT NULL,
    audit_digest BLOB NOT NULL,
    tombstones INTEGER NOT NULL,
    tombstone_mac BLOB NOT NULL,
    keks BLOB NOT NULL,
    policies BLOB NOT NULL,
    epochs BLOB NOT NULL,
    tokens BLOB NOT NULL,
    merchants BLOB NOT NULL,
    wrapping INTEGER NOT NULL,
    proved INTEGER,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE kek (
    version INTEGER NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    current INTEGER NOT NULL,
    master TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    blob BLOB NOT NULL,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_current_kek ON kek (purpose) WHERE current = 1;

CREATE TABLE store_key (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    kek INTEGER NOT NULL REFERENCES kek (version),
    blob BLOB NOT NULL,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE policy (
    name TEXT NOT NULL PRIMARY KEY,
    max_age_secs INTEGER,
    max_messages INTEGER,
    rotate_at INTEGER,
    overlap_secs INTEGER NOT NULL,
    cutover TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    remind_days TEXT NOT NULL,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE merchant (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    rate TEXT NOT NULL,
    addresses TEXT NOT NULL,
    contacts TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    cover BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE data_key (
    merchant TEXT NOT NULL PRIMARY KEY REFERENCES merchant (id),
    kek INTEGER REFERENCES kek (version),
    blob BLOB,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX data_key_by_kek ON data_key (kek, merchant);

CREATE TABLE credential (
    merchant TEXT NOT NULL REFERENCES merchant (id),
    key_id TEXT NOT NULL UNIQUE,
    live INTEGER NOT NULL,
    name TEXT NOT NULL,
    scheme TEXT NOT NULL,
    envelope TEXT,
    rate TEXT,
    addresses TEXT NOT NULL,
    scopes TEXT NOT NULL,
    repeatable_reads INTEGER NOT NULL,
    expires_at INTEGER,
    suspended INTEGER NOT NULL,
    policy TEXT REFERENCES policy (name),
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (merchant, key_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX credential_by_policy ON credential (policy) WHERE policy IS NOT NULL;

CREATE TABLE version (
    merchant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    suspended_from TEXT,
    on_first_use INTEGER NOT NULL,
    check_value TEXT NOT NULL,
    origin TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    activate_at INTEGER,
    activated_at INTEGER,
    overlap_secs INTEGER NOT NULL,
    retire_at INTEGER,
    expires_at INTEGER,
    revoked_at INTEGER,
    compromised_since INTEGER,
    reason TEXT,
    destroyed_at INTEGER,
    shown INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    blob BLOB,
    equality BLOB,
    mac BLOB NOT NULL,
    PRIMARY KEY (merchant, key_id, kind, number),
    FOREIGN KEY (merchant, key_id) REFERENCES credential (merchant, key_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_active_version ON version (key_id, kind) WHERE state = 'active';
CREATE UNIQUE INDEX equal_secrets ON version (equality) WHERE equality IS NOT NULL;

CREATE TABLE epoch (
    number INTEGER NOT NULL PRIMARY KEY,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    destroy_at INTEGER NOT NULL,
    destroyed_at INTEGER,
    kek INTEGER REFERENCES kek (version),
    blob BLOB,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT;

CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    merchant TEXT,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revision INTEGER NOT NULL,
    mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE kill (
    key_id TEXT NOT NULL,
    chain BLOB NOT NULL,
    at INTEGER NOT NULL,
    until INTEGER NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (key_id, chain)
) STRICT, WITHOUT ROWID;
CREATE INDEX kill_by_end ON kill (until);

CREATE TABLE usage (
    key_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    hour INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    last_address TEXT NOT NULL,
    mac BLOB NOT NULL,
    PRIMARY KEY (key_id, kind, number, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    reason TEXT,
    digest BLOB NOT NULL,
    mac BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_object ON audit (object, sequence);

CREATE TABLE change (
    sequence INTEGER NOT NULL PRIMARY KEY,
    merchant TEXT,
    mac BLOB NOT NULL
) STRICT;
