-- PINs, QR seeds and visitors' passes, and what guards have ordered of doors. No code is kept as it is.

ALTER TABLE roster_item DROP CONSTRAINT roster_item_kind_check;
ALTER TABLE roster_item ADD CONSTRAINT roster_item_kind_check
    CHECK (kind IN ('estate', 'door', 'person', 'pass', 'order'));

ALTER TABLE estate ADD COLUMN passback text NOT NULL DEFAULT 'soft'
    CHECK (passback IN ('off', 'soft', 'hard'));
-- When residents may use a door: [{"days": [1..7], "from": "HH:MM", "to": "HH:MM"}]; null: always.
ALTER TABLE door ADD COLUMN hours jsonb;

ALTER TABLE access_record DROP CONSTRAINT access_record_credential_check;
ALTER TABLE access_record ADD CONSTRAINT access_record_credential_check
    CHECK (credential IN ('face', 'card', 'pin', 'qr', 'visitor', 'panel', 'remote'));
ALTER TABLE access_record ADD COLUMN pass_id uuid;
ALTER TABLE access_record ADD COLUMN face_confirmed boolean;

CREATE TABLE pin (
    pin_id uuid PRIMARY KEY,
    estate_id text NOT NULL,
    group_id text NOT NULL,
    person_id uuid NOT NULL REFERENCES person,
    -- Of group and PIN under the estate's key, so that a PIN means something at its own doors only.
    hmac text NOT NULL CHECK (hmac ~ '^[0-9a-f]{64}$'),
    duress boolean NOT NULL,
    issued_at timestamptz NOT NULL,
    ended_at timestamptz,
    FOREIGN KEY (estate_id, group_id) REFERENCES door_group
);
CREATE UNIQUE INDEX pin_one_holder_idx ON pin (estate_id, hmac) WHERE ended_at IS NULL;
CREATE INDEX pin_person_id_idx ON pin (person_id) WHERE ended_at IS NULL;

CREATE TABLE qr_seed (
    qr_id text PRIMARY KEY CHECK (qr_id ~ '^[a-z0-9]{8,24}$'),
    estate_id text NOT NULL REFERENCES estate,
    person_id uuid NOT NULL REFERENCES person,
    -- Encrypted under a key that is derived from the estate's own.
    sealed text NOT NULL,
    created_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX qr_seed_one_live_idx ON qr_seed (estate_id, person_id) WHERE ended_at IS NULL;

CREATE TABLE visitor_pass (
    pass_id uuid PRIMARY KEY,
    estate_id text NOT NULL,
    group_id text NOT NULL,
    hmac text NOT NULL CHECK (hmac ~ '^[0-9a-f]{64}$'),
    -- Who is visited; null where a guard lets somebody in on the estate's behalf.
    host_id uuid REFERENCES person,
    made_by text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    uses_max integer NOT NULL CHECK (uses_max BETWEEN 1 AND 20),
    made_at timestamptz NOT NULL,
    ended_at timestamptz,
    FOREIGN KEY (estate_id, group_id) REFERENCES door_group,
    CONSTRAINT visitor_pass_lasts_a_day CHECK (
        ends_at > starts_at AND ends_at <= starts_at + interval '24 hours'
    )
);
CREATE UNIQUE INDEX visitor_pass_one_code_idx ON visitor_pass (estate_id, hmac) WHERE ended_at IS NULL;
CREATE INDEX visitor_pass_host_idx ON visitor_pass (host_id, made_at DESC);

CREATE TABLE door_order (
    order_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    device_id text REFERENCES door,
    action text NOT NULL CHECK (action IN ('open', 'lockdown', 'release', 'all_clear')),
    author text NOT NULL,
    author_name text NOT NULL,
    reason text NOT NULL CHECK (length(reason) BETWEEN 2 AND 200),
    given_at timestamptz NOT NULL,
    until_at timestamptz CHECK (until_at > given_at),
    ended_at timestamptz,
    ended_by text,
    CONSTRAINT door_order_opening_is_one_door_and_short CHECK (
        action <> 'open' OR (device_id IS NOT NULL AND until_at <= given_at + interval '30 seconds')
    ),
    CONSTRAINT door_order_ended_by_somebody CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX door_order_estate_idx ON door_order (estate_id, given_at DESC);
CREATE UNIQUE INDEX door_order_one_live_idx ON door_order (estate_id, action, coalesce(device_id, '*'))
    WHERE ended_at IS NULL AND action IN ('lockdown', 'release');
