-- `chain` is the first run of a chain of `continue_as`; all but its newest one have `continued_as`. While a run is open,
-- `sla_at` is when `sla_notify` is to be told of it. `expires_at` is set with the end.
ALTER TABLE run ADD COLUMN chain BLOB;
ALTER TABLE run ADD COLUMN continued_as BLOB;
ALTER TABLE run ADD COLUMN sla_at INTEGER;
ALTER TABLE run ADD COLUMN sla_notify TEXT;
ALTER TABLE run ADD COLUMN expires_at INTEGER;
ALTER TABLE run_data ADD COLUMN mailbox TEXT;
CREATE INDEX run_newest ON run(chain) WHERE chain IS NOT NULL AND continued_as IS NULL;
CREATE INDEX run_sla ON run(sla_at, id) WHERE sla_at IS NOT NULL;
CREATE INDEX run_expires ON run(expires_at, id) WHERE expires_at IS NOT NULL;

-- Runs that have ended before there was `keep`: thirty days, as all have where nothing else is said.
UPDATE run SET expires_at = ended_at + 2592000000 WHERE ended_at IS NOT NULL;
