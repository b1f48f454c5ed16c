-- What happened at the doors.
--
-- One passage, one record (promise D2) has to hold over all time, and a unique index of a partitioned
-- table must contain the partition key. So the keys live in a table of their own, and the wide rows in
-- monthly partitions. These are cut by the backend's own stored_at and not by the gateway's received_at:
-- a box with a wrong clock can neither miss its partition nor ask for one in another century.

CREATE TABLE access_passage (
    -- First in both keys: no gateway can take the name of a passage in an estate that is not its own.
    estate_id text NOT NULL,
    device_id text NOT NULL,
    passage text NOT NULL,
    record_id uuid NOT NULL,
    PRIMARY KEY (estate_id, device_id, passage),
    UNIQUE (estate_id, record_id)
);

CREATE TABLE access_record (
    record_id uuid NOT NULL,
    estate_id text NOT NULL,
    device_id text NOT NULL,
    passage text NOT NULL,
    event_ids text[] NOT NULL,
    credential text NOT NULL CHECK (credential IN ('face', 'card')),
    device_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('open', 'deny', 'ask', 'none')),
    cause text NOT NULL,
    person_id uuid,
    resent boolean NOT NULL,
    gateway_id text NOT NULL,
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (estate_id, record_id, stored_at)
) PARTITION BY RANGE (stored_at);
CREATE INDEX access_record_estate_id_received_at_idx ON access_record (estate_id, received_at DESC);
CREATE INDEX access_record_person_id_idx ON access_record (person_id, received_at DESC)
    WHERE person_id IS NOT NULL;

-- Makes the partition of a moment's month. The application may call it without owning anything.
CREATE FUNCTION ensure_access_partition(moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    starts_at timestamptz := date_trunc('month', moment, 'UTC');
    ends_at timestamptz := date_trunc('month', starts_at + interval '32 days', 'UTC');
    partition text := 'access_record_' || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_access_partition'));
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.access_record FOR VALUES FROM (%L) TO (%L)',
        partition, starts_at, ends_at
    );
END $$;
REVOKE ALL ON FUNCTION ensure_access_partition(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_access_partition(timestamptz) TO estate_app;

CREATE TABLE device_state (
    device_id text PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    state text NOT NULL CHECK (state IN ('online', 'offline')),
    since timestamptz NOT NULL,
    clock_offset_ms bigint,
    gateway_id text NOT NULL,
    reported_at timestamptz NOT NULL
);
