"""Tables of the local store, one entry of MIGRATIONS for each version.

Source: spec/conventions.md, "At rest". Everything in the file is encrypted by SQLCipher.
"""

from typing import Final

_VERSION_1: Final = """
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    usid BLOB NOT NULL,
    origin TEXT NOT NULL,
    relay_key BLOB NOT NULL,           -- pinned at sign-up
    device INTEGER NOT NULL,
    identity_private BLOB NOT NULL,
    signing_seed BLOB NOT NULL,
    login_seed BLOB NOT NULL,
    record BLOB NOT NULL,
    profile_key BLOB NOT NULL,
    is_access_published INTEGER NOT NULL,
    is_one_time_renewed INTEGER NOT NULL DEFAULT 0,  -- the relay still has to drop the old ones
    refilled INTEGER NOT NULL DEFAULT 0,
    requests_full_noted INTEGER NOT NULL DEFAULT 0,
    is_registered INTEGER NOT NULL,
    is_replaced INTEGER NOT NULL DEFAULT 0,  -- our relay did not know this device any more
    known INTEGER NOT NULL DEFAULT 0,        -- when it last showed that it does
    last_prekey INTEGER NOT NULL,      -- ids are never reused, whatever their use
    epoch BLOB NOT NULL,
    cursor INTEGER NOT NULL
) STRICT;

CREATE TABLE prekeys (
    id INTEGER PRIMARY KEY,
    use INTEGER NOT NULL,
    private BLOB NOT NULL,
    public BLOB NOT NULL,              -- the signed encoding
    made INTEGER NOT NULL,
    expiry INTEGER NOT NULL,
    state INTEGER NOT NULL             -- 0 new, 1 at the relay, 2 taken back from it
) STRICT;

CREATE TABLE replays (                 -- handshakes without one-time keys, so that none is accepted twice
    key BLOB PRIMARY KEY,
    seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    usid BLOB NOT NULL UNIQUE,
    address BLOB NOT NULL UNIQUE,
    origin TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'request', 'blocked', 'removed')),
    is_verified INTEGER NOT NULL DEFAULT 0,
    record BLOB,
    record_version INTEGER NOT NULL DEFAULT 0,
    record_checked INTEGER NOT NULL DEFAULT 0,
    named_version INTEGER NOT NULL,    -- highest version the card or the contact has named
    named_tries INTEGER NOT NULL DEFAULT 0,
    named_since INTEGER NOT NULL DEFAULT 0,
    frozen TEXT,
    evidence BLOB,                     -- the record that did not fit
    profile_key BLOB,                  -- theirs
    has_our_profile_key INTEGER NOT NULL DEFAULT 0,
    waits_for TEXT,                    -- code of why the last try to write to them failed
    unsupported_noted INTEGER NOT NULL DEFAULT 0,
    own_version_named INTEGER NOT NULL DEFAULT 0,  -- which record of ours they named that is not ours
    unblocked INTEGER NOT NULL DEFAULT 0,  -- what was written before is not shown
    added INTEGER NOT NULL
) STRICT;

CREATE TABLE devices (
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    device INTEGER NOT NULL,
    sessions BLOB NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,
    sent_counter INTEGER NOT NULL DEFAULT 0,
    next_counter INTEGER NOT NULL DEFAULT 1,
    envelope_prekey BLOB,
    envelope_fetched INTEGER NOT NULL DEFAULT 0,
    broken_session BLOB,               -- its messages could not be read: ask for a reset
    is_break_proven INTEGER NOT NULL DEFAULT 0,  -- we know the session that its message named
    reset_sent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (contact, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    is_outgoing INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    device INTEGER NOT NULL DEFAULT 0,
    counter INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL,
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'accepted', 'delivered', 'failed', 'received')),
    UNIQUE (contact, is_outgoing, message_id)
) STRICT;

CREATE VIRTUAL TABLE messages_text USING fts5 (
    text, content = 'messages', content_rowid = 'position', tokenize = 'trigram'
);
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO messages_text (rowid, text) VALUES (new.position, new.text);
END;
CREATE TRIGGER messages_removed AFTER DELETE ON messages BEGIN
    INSERT INTO messages_text (messages_text, rowid, text) VALUES ('delete', old.position, old.text);
END;

CREATE TABLE held (                    -- arrived before an earlier one of the same device
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    device INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    text TEXT NOT NULL,
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (contact, device, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    device INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    noticed INTEGER NOT NULL,
    is_shown INTEGER NOT NULL DEFAULT 0,
    asked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (contact, device, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    device INTEGER,                    -- NULL: every device of the record
    kind INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    body BLOB NOT NULL,
    sent INTEGER NOT NULL,
    is_expanded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_contact ON outbox (contact, position);
CREATE INDEX outbox_by_message ON outbox (message_id);

CREATE TABLE deliveries (              -- one outbox row for one device
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of sealing, and so of sending
    position INTEGER NOT NULL REFERENCES outbox ON DELETE CASCADE,
    device INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    envelope_id BLOB NOT NULL UNIQUE,
    envelope BLOB,                     -- sealed once; repeated byte for byte until accepted
    state TEXT NOT NULL CHECK (state IN ('sealed', 'accepted', 'delivered', 'resend')),
    resends INTEGER NOT NULL DEFAULT 0,
    has_profile_key INTEGER NOT NULL DEFAULT 0,  -- its receipt shows that they have our current one
    UNIQUE (position, device)
) STRICT;

CREATE TABLE receipts_due (
    id INTEGER PRIMARY KEY,
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    device INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    UNIQUE (contact, device, message_id)
) STRICT;

CREATE TABLE seen (                    -- hashes of envelopes: the same bytes are never taken in twice
    envelope BLOB PRIMARY KEY,
    time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    contact INTEGER REFERENCES contacts ON DELETE CASCADE,
    message INTEGER REFERENCES messages ON DELETE CASCADE,
    time INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;

CREATE TABLE resets (                  -- when we asked anyone to send again: ten an hour for each cause
    time INTEGER NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('proven', 'unproven', 'epoch'))
) STRICT;
"""

_VERSION_2: Final = """
ALTER TABLE contacts ADD COLUMN direct_allowed INTEGER NOT NULL DEFAULT 0;  -- they may see our IP address
ALTER TABLE held ADD COLUMN offer BLOB;  -- body of a FILE message; NULL of a text

CREATE TABLE transfers (               -- one offer's life on our side
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- names its folder, and is never reused
    contact INTEGER NOT NULL REFERENCES contacts ON DELETE CASCADE,
    is_outgoing INTEGER NOT NULL,
    message_id BLOB NOT NULL,
    name TEXT NOT NULL,
    offer BLOB,                        -- body of the FILE message; NULL while it is being prepared
    sources TEXT NOT NULL DEFAULT '[]',  -- what is offered, as paths in JSON
    thumbnail BLOB NOT NULL DEFAULT x'',
    wants_drop INTEGER NOT NULL DEFAULT 0,
    in_drop INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN (
        'preparing', 'offered', 'waiting', 'transferring', 'verifying', 'done', 'refused', 'cancelled', 'failed')),
    is_paused INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    folder TEXT,                       -- where to save
    saved TEXT,                        -- where it is saved, or about to be
    done INTEGER NOT NULL DEFAULT 0,   -- progress, as the process that runs it wrote it last
    down INTEGER NOT NULL DEFAULT 0,
    up INTEGER NOT NULL DEFAULT 0,
    peers INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    path TEXT CHECK (path IN ('direct', 'drop')),
    time INTEGER NOT NULL,
    UNIQUE (contact, is_outgoing, message_id)
) STRICT;
ALTER TABLE events ADD COLUMN transfer INTEGER REFERENCES transfers ON DELETE CASCADE;
"""

_VERSION_3: Final = """
ALTER TABLE transfers ADD COLUMN told INTEGER NOT NULL DEFAULT 0;  -- when they last heard that we accepted
"""

_VERSION_4: Final = """
ALTER TABLE account ADD COLUMN operator_key BLOB;  -- pinned at sign-up; NULL in an account of a version before
ALTER TABLE account ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;  -- time of the announcement shown last
ALTER TABLE account ADD COLUMN announcement_came INTEGER NOT NULL DEFAULT 0;
"""

_VERSION_5: Final = """
ALTER TABLE transfers ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;  -- when they last heard that it is still offered
"""

_VERSION_6: Final = """
CREATE TABLE mailbox (                 -- apart from the keys of the account, which would be written with each message
    one INTEGER PRIMARY KEY CHECK (one = 1),
    cursor INTEGER NOT NULL
) STRICT;
INSERT INTO mailbox SELECT 1, coalesce(max(cursor), 0) FROM account;
ALTER TABLE account DROP COLUMN cursor;
"""

MIGRATIONS: Final = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6)
