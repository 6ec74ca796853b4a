-- Webhooks that were taken. Times are Unix milliseconds, but for `keys.until`: Unix seconds.
-- States: 0 confirming, 1 delivering, 2 held, 3 delivered, 4 disagreed, 5 dead.
-- Works: 0 confirm, 1 post back, 2 deliver.

-- What there is of everything, in one row.
CREATE TABLE IF NOT EXISTS totals (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  bytes INTEGER NOT NULL,
  open INTEGER NOT NULL,
  keys INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO totals (one, bytes, open, keys) VALUES (1, 0, 0, 0);

-- `ended_at`: since when nothing is to be done for it any more.
CREATE TABLE IF NOT EXISTS deliveries (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE,
  source TEXT NOT NULL,
  destination TEXT NOT NULL,
  state INTEGER NOT NULL,
  unsigned INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  ended_at INTEGER,
  bytes INTEGER NOT NULL,
  order_key TEXT,
  confirmation TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_under_way
  ON deliveries (destination, order_key, sequence) WHERE state < 2 AND order_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_open
  ON deliveries (destination, received_at) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_end
  ON deliveries (state, ended_at) WHERE ended_at IS NOT NULL;

-- What never changes of a delivery: a change of its state must not write its body again.
CREATE TABLE IF NOT EXISTS contents (
  sequence INTEGER PRIMARY KEY,
  method TEXT NOT NULL,
  target TEXT NOT NULL,
  headers BLOB NOT NULL,
  verdict TEXT NOT NULL,
  facts TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

-- `behind`: 1 where an older delivery of the same destination and order key is under way. Kept
-- here, so that an ordered lane does not look at every delivery that waits for another.
CREATE TABLE IF NOT EXISTS tasks (
  sequence INTEGER NOT NULL,
  work INTEGER NOT NULL,
  lane TEXT NOT NULL,
  behind INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  first_tried_at INTEGER,
  PRIMARY KEY (sequence, work)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_by_due ON tasks (work, lane, behind, due_at, sequence);

CREATE TABLE IF NOT EXISTS attempts (
  sequence INTEGER NOT NULL,
  number INTEGER NOT NULL,
  work INTEGER NOT NULL,
  id TEXT NOT NULL,
  at INTEGER NOT NULL,
  took INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER,
  PRIMARY KEY (sequence, number)
) STRICT, WITHOUT ROWID;

-- Names of sources, short for the many keys.
CREATE TABLE IF NOT EXISTS sources (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE IF NOT EXISTS secrets (
  id INTEGER PRIMARY KEY,
  source INTEGER NOT NULL,
  digest BLOB NOT NULL,
  forgotten_at INTEGER,
  UNIQUE (source, digest)
) STRICT;

CREATE TABLE IF NOT EXISTS keys (
  source INTEGER NOT NULL,
  key BLOB NOT NULL,
  delivery BLOB NOT NULL,
  secret INTEGER,
  until INTEGER NOT NULL,
  PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_by_end ON keys (until);

CREATE TABLE IF NOT EXISTS refusals (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  head_bytes INTEGER NOT NULL,
  body_bytes INTEGER NOT NULL,
  address TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS refusals_of_source ON refusals (source, sequence);
CREATE INDEX IF NOT EXISTS refusals_by_time ON refusals (at);

CREATE TABLE IF NOT EXISTS refusal_counts (
  source TEXT NOT NULL PRIMARY KEY,
  refusals INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS stopped (
  destination TEXT NOT NULL PRIMARY KEY,
  why TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS counts (
  destination TEXT NOT NULL,
  state INTEGER NOT NULL,
  source TEXT NOT NULL,
  unsigned INTEGER NOT NULL,
  deliveries INTEGER NOT NULL,
  PRIMARY KEY (destination, state, source, unsigned)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS delivery_added AFTER INSERT ON deliveries BEGIN
  INSERT INTO counts (destination, state, source, unsigned, deliveries)
    VALUES (new.destination, new.state, new.source, new.unsigned, 1)
    ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
  UPDATE totals SET bytes = bytes + new.bytes, open = open + (new.ended_at IS NULL);
END;
CREATE TRIGGER IF NOT EXISTS delivery_removed AFTER DELETE ON deliveries BEGIN
  UPDATE counts SET deliveries = deliveries - 1
    WHERE destination = old.destination AND state = old.state
    AND source = old.source AND unsigned = old.unsigned;
  UPDATE totals SET bytes = bytes - old.bytes, open = open - (old.ended_at IS NULL);
END;
CREATE TRIGGER IF NOT EXISTS delivery_moved AFTER UPDATE OF state ON deliveries
WHEN old.state <> new.state BEGIN
  UPDATE counts SET deliveries = deliveries - 1
    WHERE destination = old.destination AND state = old.state
    AND source = old.source AND unsigned = old.unsigned;
  INSERT INTO counts (destination, state, source, unsigned, deliveries)
    VALUES (new.destination, new.state, new.source, new.unsigned, 1)
    ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
END;
CREATE TRIGGER IF NOT EXISTS delivery_ended AFTER UPDATE OF ended_at ON deliveries
WHEN (old.ended_at IS NULL) <> (new.ended_at IS NULL) BEGIN
  UPDATE totals SET open = open + (new.ended_at IS NULL) - (old.ended_at IS NULL);
END;
CREATE TRIGGER IF NOT EXISTS key_added AFTER INSERT ON keys BEGIN
  UPDATE totals SET keys = keys + 1;
END;
CREATE TRIGGER IF NOT EXISTS key_removed AFTER DELETE ON keys BEGIN
  UPDATE totals SET keys = keys - 1;
END;
CREATE TRIGGER IF NOT EXISTS refusal_added AFTER INSERT ON refusals BEGIN
  INSERT INTO refusal_counts (source, refusals) VALUES (new.source, 1)
    ON CONFLICT DO UPDATE SET refusals = refusals + 1;
END;
CREATE TRIGGER IF NOT EXISTS refusal_removed AFTER DELETE ON refusals BEGIN
  UPDATE refusal_counts SET refusals = refusals - 1 WHERE source = old.source;
END;
