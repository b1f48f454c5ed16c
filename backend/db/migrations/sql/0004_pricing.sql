-- What charges are priced by. Versions are added and, at most, given an end; figures never change, so that
-- what a month cost can be computed again at any time.

ALTER TABLE rent_term
    ADD COLUMN plan_id text,
    ADD COLUMN tier_id text,
    ADD COLUMN ended_by uuid,
    DROP CONSTRAINT rent_term_is_amount_or_share,
    DROP CONSTRAINT rent_term_check;
ALTER TABLE rent_term
    ADD CONSTRAINT rent_term_is_priced_one_way
        CHECK (num_nonnulls(monthly_fen, share_permille, plan_id, tier_id) = 1),
    ADD CONSTRAINT rent_term_plan_is_by_area CHECK (plan_id IS NULL OR kind IN ('rent', 'property_fee')),
    ADD CONSTRAINT rent_term_tier_is_relief CHECK (tier_id IS NULL OR kind = 'relief'),
    -- One that ends on its first day never was: a subsidy that ended retroactively.
    ADD CONSTRAINT rent_term_days CHECK (to_on >= from_on);

CREATE TABLE tariff (
    plan_id text NOT NULL CHECK (plan_id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    kind text NOT NULL CHECK (kind IN ('rent', 'property_fee', 'water', 'electricity', 'gas')),
    from_on date NOT NULL,
    to_on date CHECK (to_on > from_on),
    -- Hundredths of a fen for a square metre a month, a ton, a kilowatt hour, a cubic metre.
    price_centifen bigint NOT NULL CHECK (price_centifen >= 0),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    -- Where the figure comes from.
    source_zh text NOT NULL CHECK (source_zh <> ''),
    principal_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (plan_id, kind, from_on)
);

CREATE TABLE relief_tier (
    tier_id text NOT NULL CHECK (tier_id ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    from_on date NOT NULL,
    to_on date CHECK (to_on > from_on),
    monthly_fen bigint CHECK (monthly_fen >= 0),
    share_permille integer CHECK (share_permille BETWEEN 1 AND 1000),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    source_zh text NOT NULL CHECK (source_zh <> ''),
    principal_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tier_id, from_on),
    CONSTRAINT relief_tier_is_amount_or_share CHECK (num_nonnulls(monthly_fen, share_permille) = 1)
);

-- One version a day. Locking the plan's name makes the look-up safe between writers.
CREATE FUNCTION tariff_no_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('tariff ' || NEW.plan_id || ' ' || NEW.kind, 0));
    IF EXISTS (
        SELECT FROM public.tariff AS other
        WHERE other.plan_id = NEW.plan_id AND other.kind = NEW.kind AND other.from_on <> NEW.from_on
          AND daterange(other.from_on, other.to_on) && daterange(NEW.from_on, NEW.to_on)
    ) THEN
        RAISE EXCEPTION 'plan % has another % tariff in that time', NEW.plan_id, NEW.kind
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'tariff_no_overlap', TABLE = 'tariff';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER tariff_no_overlap BEFORE INSERT OR UPDATE ON tariff
    FOR EACH ROW EXECUTE FUNCTION tariff_no_overlap();

CREATE FUNCTION relief_tier_no_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('relief_tier ' || NEW.tier_id, 0));
    IF EXISTS (
        SELECT FROM public.relief_tier AS other
        WHERE other.tier_id = NEW.tier_id AND other.from_on <> NEW.from_on
          AND daterange(other.from_on, other.to_on) && daterange(NEW.from_on, NEW.to_on)
    ) THEN
        RAISE EXCEPTION 'tier % has another version in that time', NEW.tier_id
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'relief_tier_no_overlap',
                  TABLE = 'relief_tier';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER relief_tier_no_overlap BEFORE INSERT OR UPDATE ON relief_tier
    FOR EACH ROW EXECUTE FUNCTION relief_tier_no_overlap();

-- What a unit measures from a day on; of one day, what was entered last counts.
CREATE TABLE unit_area (
    unit_id uuid NOT NULL REFERENCES unit,
    from_on date NOT NULL,
    entry_no smallint NOT NULL CHECK (entry_no >= 1),
    area_hundredths integer NOT NULL CHECK (area_hundredths BETWEEN 1 AND 10000000),
    principal_id uuid,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (unit_id, from_on, entry_no)
);

CREATE TABLE meter (
    meter_id uuid PRIMARY KEY,
    unit_id uuid NOT NULL REFERENCES unit,
    kind text NOT NULL CHECK (kind IN ('water', 'electricity', 'gas')),
    plan_id text NOT NULL,
    serial text NOT NULL CHECK (length(serial) BETWEEN 1 AND 40),
    -- The figure at which it begins again at zero.
    rollover_hundredths bigint NOT NULL CHECK (rollover_hundredths BETWEEN 100 AND 100000000000),
    removed_on date,
    created_at timestamptz NOT NULL,
    UNIQUE (kind, serial)
);
CREATE INDEX meter_unit_id_idx ON meter (unit_id);

-- The first reading is that of the installation; of one day, what was entered last counts.
CREATE TABLE meter_reading (
    meter_id uuid NOT NULL REFERENCES meter,
    read_on date NOT NULL,
    entry_no smallint NOT NULL CHECK (entry_no >= 1),
    value_hundredths bigint NOT NULL CHECK (value_hundredths >= 0),
    rolled_over boolean NOT NULL,
    principal_id uuid,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (meter_id, read_on, entry_no)
);
