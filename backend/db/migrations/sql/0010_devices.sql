-- Panels that match by themselves, device life, and the alarms that gateways raise.

-- How far ahead a person's end on a panel may lie; none: the gateway decides, and panels only send.
ALTER TABLE estate ADD COLUMN panel_lease_days integer CHECK (panel_lease_days BETWEEN 1 AND 90);

-- Which kinds there are is said by what reads the records; a gateway that is ahead of it is refused there.
ALTER TABLE access_record DROP CONSTRAINT access_record_credential_check;
ALTER TABLE access_record ADD CONSTRAINT access_record_credential_check
    CHECK (credential ~ '^[a-z][a-z_]{0,31}$');

ALTER TABLE device_state ADD COLUMN contact text CHECK (contact IN ('closed', 'open', 'forced', 'held_open'));
ALTER TABLE device_state ADD COLUMN battery_percent integer CHECK (battery_percent BETWEEN 0 AND 100);

CREATE TABLE device_alarm (
    alarm_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    device_id text NOT NULL REFERENCES door,
    kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
    raised_at timestamptz NOT NULL,
    repeated_at timestamptz NOT NULL,
    times integer NOT NULL CHECK (times >= 1),
    -- Opaque, and no foreign key: an alarm may be about somebody who has been erased since.
    person_id uuid,
    cleared_at timestamptz,
    gateway_id text NOT NULL,
    reported_at timestamptz NOT NULL,
    seen_at timestamptz,
    seen_by uuid,
    CONSTRAINT device_alarm_seen_by_somebody CHECK ((seen_at IS NULL) = (seen_by IS NULL))
);
CREATE INDEX device_alarm_open_idx ON device_alarm (estate_id, raised_at DESC) WHERE cleared_at IS NULL;

CREATE TABLE panel_state (
    device_id text PRIMARY KEY REFERENCES door,
    estate_id text NOT NULL REFERENCES estate,
    people integer NOT NULL,
    refused integer NOT NULL,
    missing integer NOT NULL,
    extra integer NOT NULL,
    nameless integer NOT NULL,
    strangers integer NOT NULL,
    reconciled_at timestamptz,
    gateway_id text NOT NULL,
    reported_at timestamptz NOT NULL
);

-- Who may not enter any more and may still be let in by a panel, until its lease ends or it confirms.
CREATE TABLE panel_leaving (
    device_id text NOT NULL REFERENCES door,
    person_id uuid NOT NULL,
    estate_id text NOT NULL REFERENCES estate,
    since timestamptz NOT NULL,
    until_at timestamptz,
    PRIMARY KEY (device_id, person_id)
);
CREATE INDEX panel_leaving_person_id_idx ON panel_leaving (person_id);

-- A panel has confirmed that a person is gone from it: the panels' part of an erasure's certificate.
CREATE TABLE panel_erasure (
    device_id text NOT NULL REFERENCES door,
    person_id uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    estate_id text NOT NULL REFERENCES estate,
    since timestamptz NOT NULL,
    gateway_id text NOT NULL,
    PRIMARY KEY (device_id, person_id, erased_at)
);
CREATE INDEX panel_erasure_person_id_idx ON panel_erasure (person_id);
