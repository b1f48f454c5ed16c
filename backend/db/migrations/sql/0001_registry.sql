-- Estates, homes, doors, people and what they may open. Everything here is registered by staff or by
-- configuration; gateways receive it as roster items and hold a copy.

CREATE TABLE estate (
    estate_id text PRIMARY KEY CHECK (estate_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name_zh text NOT NULL,
    name_en text NOT NULL,
    district text NOT NULL,
    faces_enabled boolean NOT NULL,
    assessed_on date,
    liveness_waiver_until date,
    liveness_waiver_author text,
    liveness_waiver_reason text,
    fpir double precision NOT NULL CHECK (fpir > 0 AND fpir <= 0.1),
    -- The key for card references, encrypted under the installation's master key.
    hmac_key_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT estate_faces_need_assessment CHECK (NOT faces_enabled OR assessed_on IS NOT NULL),
    CONSTRAINT estate_waiver_is_whole CHECK (
        num_nulls(liveness_waiver_until, liveness_waiver_author, liveness_waiver_reason) IN (0, 3)
    )
);

CREATE TABLE building (
    estate_id text NOT NULL REFERENCES estate,
    building_id text NOT NULL,
    name_zh text NOT NULL,
    floors integer NOT NULL CHECK (floors BETWEEN 1 AND 200),
    units_per_floor integer NOT NULL CHECK (units_per_floor BETWEEN 1 AND 99),
    PRIMARY KEY (estate_id, building_id)
);

CREATE TABLE unit (
    unit_id uuid PRIMARY KEY,
    estate_id text NOT NULL,
    building_id text NOT NULL,
    floor integer NOT NULL,
    number text NOT NULL,
    FOREIGN KEY (estate_id, building_id) REFERENCES building,
    UNIQUE (estate_id, building_id, number)
);

CREATE TABLE door_group (
    estate_id text NOT NULL REFERENCES estate,
    group_id text NOT NULL,
    PRIMARY KEY (estate_id, group_id)
);

CREATE TABLE door (
    device_id text PRIMARY KEY CHECK (device_id ~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$'),
    estate_id text NOT NULL REFERENCES estate,
    building_id text,
    group_id text NOT NULL,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    credentials text[] NOT NULL,
    way text NOT NULL CHECK (way IN ('in', 'out')),
    protocol text NOT NULL,
    active boolean NOT NULL,
    FOREIGN KEY (estate_id, group_id) REFERENCES door_group,
    FOREIGN KEY (estate_id, building_id) REFERENCES building,
    CONSTRAINT door_takes_something CHECK (cardinality(credentials) >= 1),
    CONSTRAINT door_takes_known_credentials CHECK (credentials <@ ARRAY['face', 'card', 'pin', 'qr']),
    -- Whoever refuses the face gets in as well: a door with faces takes something else, too.
    CONSTRAINT door_is_not_face_only CHECK (NOT credentials <@ ARRAY['face'])
);

CREATE TABLE household (
    household_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    ref text NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (estate_id, ref)
);

CREATE TABLE person (
    person_id uuid PRIMARY KEY,
    -- The estate that registered this person; rights may reach other estates as well.
    estate_id text NOT NULL REFERENCES estate,
    ref text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
    born_on date NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (estate_id, ref)
);

CREATE TABLE household_member (
    household_id uuid NOT NULL REFERENCES household,
    person_id uuid NOT NULL REFERENCES person,
    kind text NOT NULL CHECK (kind IN ('tenant', 'co-resident', 'child', 'carer')),
    from_on date NOT NULL,
    to_on date CHECK (to_on >= from_on),
    PRIMARY KEY (household_id, person_id, from_on)
);
CREATE INDEX household_member_person_id_idx ON household_member (person_id);

CREATE TABLE tenancy (
    tenancy_id uuid PRIMARY KEY,
    household_id uuid NOT NULL REFERENCES household,
    unit_id uuid NOT NULL REFERENCES unit,
    monthly_rent_fen bigint NOT NULL CHECK (monthly_rent_fen >= 0),
    from_on date NOT NULL,
    to_on date CHECK (to_on >= from_on),
    created_at timestamptz NOT NULL
);
CREATE INDEX tenancy_household_id_idx ON tenancy (household_id);
CREATE INDEX tenancy_unit_id_idx ON tenancy (unit_id);

-- One household a unit at a time. An exclusion constraint would need the btree_gist extension, which a
-- PostgreSQL from a wheel does not carry; locking the unit's row makes the look-up safe between writers.
CREATE FUNCTION tenancy_no_overlap() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM public.unit WHERE unit_id = NEW.unit_id FOR UPDATE;
    IF EXISTS (
        SELECT 1 FROM public.tenancy AS other
        WHERE other.unit_id = NEW.unit_id AND other.tenancy_id <> NEW.tenancy_id
          AND daterange(other.from_on, other.to_on) && daterange(NEW.from_on, NEW.to_on)
    ) THEN
        RAISE EXCEPTION 'unit % is let already in that time', NEW.unit_id
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'tenancy_no_overlap', TABLE = 'tenancy';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tenancy_no_overlap BEFORE INSERT OR UPDATE ON tenancy
    FOR EACH ROW EXECUTE FUNCTION tenancy_no_overlap();

CREATE TABLE door_right (
    right_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES person,
    estate_id text NOT NULL,
    group_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz CHECK (ends_at >= starts_at),
    created_at timestamptz NOT NULL,
    FOREIGN KEY (estate_id, group_id) REFERENCES door_group
);
CREATE INDEX door_right_person_id_idx ON door_right (person_id);

CREATE TABLE card (
    card_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    person_id uuid NOT NULL REFERENCES person,
    -- HMAC of the number under the estate's key: the number itself is stored nowhere.
    hmac text NOT NULL CHECK (hmac ~ '^[0-9a-f]{64}$'),
    blocked boolean NOT NULL,
    issued_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE UNIQUE INDEX card_one_holder_idx ON card (estate_id, hmac) WHERE ended_at IS NULL;
CREATE INDEX card_person_id_idx ON card (person_id);

-- What people were told. A published notice never changes; a new version asks again.
CREATE TABLE consent_notice (
    purpose text NOT NULL CHECK (purpose ~ '^[a-z_]{1,40}$'),
    version integer NOT NULL CHECK (version >= 1),
    handler text NOT NULL CHECK (handler <> ''),
    contact text NOT NULL CHECK (contact <> ''),
    purpose_text text NOT NULL CHECK (purpose_text <> ''),
    method text NOT NULL CHECK (method <> ''),
    retention text NOT NULL CHECK (retention <> ''),
    effect text NOT NULL CHECK (effect <> ''),
    rights text NOT NULL CHECK (rights <> ''),
    published_at timestamptz NOT NULL,
    PRIMARY KEY (purpose, version)
);

CREATE TABLE consent (
    consent_id uuid PRIMARY KEY,
    person_id uuid NOT NULL REFERENCES person,
    purpose text NOT NULL,
    notice_version integer NOT NULL,
    channel text NOT NULL CHECK (channel <> ''),
    guardian_id uuid REFERENCES person CHECK (guardian_id <> person_id),
    recorded_by uuid NOT NULL,
    given_at timestamptz NOT NULL,
    -- A guardian's consent ends when the child turns 14 and is asked itself.
    ends_at timestamptz,
    withdrawn_at timestamptz,
    withdrawn_by uuid,
    FOREIGN KEY (purpose, notice_version) REFERENCES consent_notice,
    CONSTRAINT consent_withdrawn_by_somebody CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL))
);
CREATE UNIQUE INDEX consent_one_live_idx ON consent (person_id, purpose) WHERE withdrawn_at IS NULL;
CREATE INDEX consent_ends_at_idx ON consent (ends_at) WHERE ends_at IS NOT NULL;

-- The change feed. The row in roster_version is locked until commit, so versions become visible in order.
CREATE TABLE roster_version (
    estate_id text PRIMARY KEY REFERENCES estate,
    version bigint NOT NULL CHECK (version >= 0)
);

CREATE TABLE roster_item (
    estate_id text NOT NULL REFERENCES estate,
    kind text NOT NULL CHECK (kind IN ('estate', 'door', 'person')),
    item_id text NOT NULL,
    version bigint NOT NULL,
    doc jsonb,
    PRIMARY KEY (estate_id, kind, item_id),
    UNIQUE (estate_id, version)
);
