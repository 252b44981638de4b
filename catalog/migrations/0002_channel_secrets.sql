-- What a channel's keys are derived from; empty in a tombstone. `key_id` is public: every kid begins with it.
ALTER TABLE channels ADD COLUMN secret BLOB NOT NULL DEFAULT x'';
ALTER TABLE channels ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
UPDATE channels SET secret = randomblob(32), key_id = lower(hex(randomblob(8))) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX channels_key_id ON channels (key_id) WHERE key_id <> '';
