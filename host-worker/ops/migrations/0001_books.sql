-- The books of operators. Every row is made of lines of a log that come at least once, late, and out of order: of what is about one thing
-- the greater number counts.

-- A booking as it stood last. `line` counts what was said about it; `text` is what operators are shown.
CREATE TABLE bookings (
  checkout_id TEXT PRIMARY KEY,
  line INTEGER NOT NULL,
  status TEXT NOT NULL,
  user_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  notification TEXT,
  -- When it was last asked how it stands, as nothing had been heard of its end.
  asked_at INTEGER NOT NULL DEFAULT 0,
  text TEXT NOT NULL
) WITHOUT ROWID;

CREATE INDEX bookings_by_start ON bookings (started_at, checkout_id);
CREATE INDEX bookings_by_user ON bookings (user_id, started_at, checkout_id);
CREATE INDEX bookings_by_status ON bookings (status, started_at, checkout_id);
CREATE INDEX bookings_overdue ON bookings (asked_at) WHERE status = 'PENDING';
CREATE INDEX bookings_given_up ON bookings (checkout_id) WHERE notification = 'GIVEN_UP';

-- The seats of each booking.
CREATE TABLE tickets (
  ticket_id TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  checkout_id TEXT NOT NULL,
  PRIMARY KEY (ticket_id, started_at, checkout_id)
) WITHOUT ROWID;

CREATE INDEX tickets_by_booking ON tickets (checkout_id);

-- The maps of each booking.
CREATE TABLE maps (
  map TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  checkout_id TEXT NOT NULL,
  PRIMARY KEY (map, started_at, checkout_id)
) WITHOUT ROWID;

CREATE INDEX maps_by_booking ON maps (checkout_id);

-- What operators did, and what callers were refused. `known`: 0 nothing of its outcome, 1 that it was refused, 2 that it was done.
CREATE TABLE audit (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  known INTEGER NOT NULL,
  entry TEXT NOT NULL
);

CREATE INDEX audit_by_time ON audit (at);

-- Lines that could not be taken in.
CREATE TABLE dead (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  -- What the queue calls it.
  message TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  why TEXT NOT NULL,
  body TEXT NOT NULL
);

CREATE INDEX dead_by_time ON dead (at);

-- The last errors of the shop, as its tail tells them.
CREATE TABLE problems (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  script TEXT NOT NULL,
  text TEXT NOT NULL
);
