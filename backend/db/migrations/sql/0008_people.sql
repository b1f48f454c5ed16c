-- The audit log's chain, consent for each purpose apart, erasure orders and certificates, retention, evidence,
-- obligations.

-- Each audit row is linked to all before it when its transaction commits: whoever changes, removes or slips in
-- a row, also with the right to switch triggers off, breaks the chain. Deferred to the commit, because the
-- order of the chain is the order of this lock, and a lock taken last makes nobody deadlock.
CREATE TABLE audit_link (
    position bigint PRIMARY KEY CHECK (position >= 1),
    -- No foreign key: TRUNCATE is refused by the log's own guard, and the verifier sees a missing row.
    audit_id bigint NOT NULL UNIQUE,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32)
);

-- What is hashed of a row: a JSON array of texts, as `backend.identity.audit_chain` computes it again.
CREATE FUNCTION audit_text(one audit_record) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT json_build_array(
        one.audit_id::text, to_char(one.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), one.actor,
        one.action, one.outcome, one.object_kind, one.object_id, one.estate_id, one.reason, one.request_id
    )::text
$$;

CREATE FUNCTION audit_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    last record;
BEGIN
    PERFORM pg_advisory_xact_lock(7205222);
    SELECT position, sha256 INTO last FROM public.audit_link ORDER BY position DESC LIMIT 1;
    INSERT INTO public.audit_link VALUES (
        coalesce(last.position, 0) + 1,
        NEW.audit_id,
        sha256(coalesce(last.sha256, ''::bytea) || convert_to(public.audit_text(NEW), 'UTF8'))
    );
    RETURN NULL;
END $$;

-- Rows from before the chain are linked in their order.
DO $$
DECLARE
    one audit_record;
    place bigint := 0;
    before bytea := '';
BEGIN
    FOR one IN SELECT * FROM audit_record ORDER BY audit_id LOOP
        place := place + 1;
        before := sha256(before || convert_to(audit_text(one), 'UTF8'));
        INSERT INTO audit_link VALUES (place, one.audit_id, before);
    END LOOP;
END $$;

CREATE CONSTRAINT TRIGGER audit_record_chain AFTER INSERT ON audit_record
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_chain();
ALTER TABLE audit_record ENABLE ALWAYS TRIGGER audit_record_chain;

-- Blanks are no text: a notice says everything that the law wants said.
ALTER TABLE consent_notice ADD CONSTRAINT consent_notice_is_whole CHECK (
    btrim(handler) <> '' AND btrim(contact) <> '' AND btrim(purpose_text) <> '' AND btrim(method) <> ''
    AND btrim(retention) <> '' AND btrim(effect) <> '' AND btrim(rights) <> ''
);
ALTER TABLE consent ADD COLUMN relation text CHECK (btrim(relation) <> '');
ALTER TABLE consent ADD COLUMN evidence_id uuid;

-- Why a second purpose may read door data where nobody was asked: the rule and its paper.
CREATE TABLE purpose_basis (
    basis_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    purpose text NOT NULL CHECK (purpose ~ '^[a-z_]{1,40}$'),
    basis text NOT NULL CHECK (btrim(basis) <> ''),
    from_on date NOT NULL,
    to_on date CHECK (to_on >= from_on),
    recorded_by uuid NOT NULL,
    recorded_at timestamptz NOT NULL
);

-- What gateways have to erase; it stands in the roster until the certificate is here.
CREATE TABLE erasure_order (
    order_id uuid PRIMARY KEY,
    -- No foreign key: the order outlives what it is about.
    person_id uuid NOT NULL,
    estate_id text NOT NULL REFERENCES estate,
    scope text NOT NULL CHECK (scope IN ('all', 'photograph')),
    reason text NOT NULL CHECK (reason IN ('withdrawn', 'moved_out', 'expired', 'notice_changed')),
    ordered_at timestamptz NOT NULL,
    ordered_by text NOT NULL,
    certificate_id uuid,
    certified_at timestamptz,
    CONSTRAINT erasure_order_certified_whole CHECK ((certificate_id IS NULL) = (certified_at IS NULL))
);
CREATE UNIQUE INDEX erasure_order_one_open_idx ON erasure_order (person_id, estate_id, scope)
    WHERE certified_at IS NULL;
CREATE INDEX erasure_order_open_idx ON erasure_order (estate_id, ordered_at) WHERE certified_at IS NULL;

-- The key a gateway's vault signs with. The first one comes over the gateway's own connection; another one
-- counts only after an operator has registered it.
CREATE TABLE vault_key (
    gateway_id text NOT NULL REFERENCES gateway,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    vault_id text NOT NULL,
    registered_at timestamptz NOT NULL,
    registered_by text NOT NULL,
    PRIMARY KEY (gateway_id, public_key)
);

CREATE TABLE erasure_certificate (
    certificate_id uuid PRIMARY KEY,
    gateway_id text NOT NULL REFERENCES gateway,
    vault_id text NOT NULL,
    person_id uuid NOT NULL,
    templates integer NOT NULL CHECK (templates >= 0),
    photographs integer NOT NULL CHECK (photographs >= 0),
    reason text NOT NULL,
    erased_at timestamptz NOT NULL,
    signed bytea NOT NULL,
    signature bytea NOT NULL CHECK (length(signature) = 64),
    public_key bytea NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX erasure_certificate_person_id_idx ON erasure_certificate (person_id);

-- Moving out: rights end with the signed hand-over and with nothing else.
CREATE TABLE hand_over (
    hand_over_id uuid PRIMARY KEY,
    tenancy_id uuid NOT NULL UNIQUE REFERENCES tenancy,
    signed_at timestamptz NOT NULL,
    evidence_id uuid,
    recorded_by uuid NOT NULL,
    recorded_at timestamptz NOT NULL
);

CREATE TABLE impact_assessment (
    estate_id text NOT NULL REFERENCES estate,
    assessed_on date NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (estate_id, assessed_on)
);

-- A cursor below the floor has missed removals that are no longer told; it gets everything again.
ALTER TABLE roster_version ADD COLUMN floor bigint NOT NULL DEFAULT 0;
ALTER TABLE roster_item ADD COLUMN removed_at timestamptz;
CREATE INDEX roster_item_removed_at_idx ON roster_item (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX door_right_ends_at_idx ON door_right (ends_at) WHERE ends_at IS NOT NULL;

-- The only long-lived trace of passages: that somebody of the household was seen that day.
CREATE TABLE household_seen (
    unit_id uuid NOT NULL REFERENCES unit,
    seen_on date NOT NULL,
    PRIMARY KEY (unit_id, seen_on)
);

CREATE TABLE legal_hold (
    hold_id uuid PRIMARY KEY,
    person_id uuid NOT NULL,
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL,
    released_by text,
    released_at timestamptz,
    CONSTRAINT legal_hold_released_by_somebody CHECK ((released_at IS NULL) = (released_by IS NULL))
);
CREATE INDEX legal_hold_live_idx ON legal_hold (person_id) WHERE released_at IS NULL;

CREATE TABLE retention_run (
    run_id uuid NOT NULL,
    class text NOT NULL,
    ran_at timestamptz NOT NULL,
    cutoff timestamptz NOT NULL,
    purged bigint NOT NULL CHECK (purged >= 0),
    held bigint NOT NULL CHECK (held >= 0),
    PRIMARY KEY (run_id, class)
);

-- Signed consents, hand-overs, damage: the only files the city side keeps. Each is encrypted under a key of
-- its own; erasing it destroys both and leaves the row as a trace.
CREATE TABLE evidence (
    evidence_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    kind text NOT NULL CHECK (kind IN ('consent', 'hand_over', 'damage', 'assessment')),
    person_id uuid,
    media_type text NOT NULL CHECK (media_type IN ('application/pdf', 'image/jpeg', 'image/png')),
    size_bytes integer NOT NULL CHECK (size_bytes > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    wrapped_key bytea,
    sealed bytea,
    added_by uuid NOT NULL,
    added_at timestamptz NOT NULL,
    erased_at timestamptz,
    CONSTRAINT evidence_erased_whole CHECK (
        (erased_at IS NULL) = (sealed IS NOT NULL) AND (sealed IS NULL) = (wrapped_key IS NULL)
    )
);
CREATE INDEX evidence_person_id_idx ON evidence (person_id);

-- How many people use their faces, by day; the filing duty follows from it.
CREATE TABLE face_count (
    counted_on date PRIMARY KEY,
    persons integer NOT NULL CHECK (persons >= 0)
);

-- Payloads with something biometric in them: how many, and nothing of them.
CREATE TABLE refused_payload (
    refused_on date NOT NULL,
    endpoint text NOT NULL,
    kind text NOT NULL,
    times bigint NOT NULL CHECK (times >= 1),
    PRIMARY KEY (refused_on, endpoint, kind)
);

ALTER TABLE access_passage ADD COLUMN stored_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX access_passage_stored_at_idx ON access_passage (stored_at);

-- Lets go of passages from before the cut, except those of people under a legal hold. A month that is over
-- and holds none of theirs goes as a whole; `held` counts what stays.
CREATE FUNCTION purge_access_records(cutoff timestamptz, holding uuid[], OUT purged bigint, OUT held bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    part record;
    ends_at timestamptz;
    here bigint;
BEGIN
    purged := 0;
    SELECT count(*) INTO held FROM public.access_record
        WHERE stored_at < cutoff AND person_id = ANY (holding);
    FOR part IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.access_record'::regclass ORDER BY c.relname
    LOOP
        ends_at := (to_date(right(part.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC';
        CONTINUE WHEN ends_at - interval '1 month' >= cutoff;
        EXECUTE format(
            'DELETE FROM public.%I WHERE stored_at < $1 AND (person_id IS NULL OR person_id <> ALL ($2))',
            part.relname
        ) USING cutoff, holding;
        GET DIAGNOSTICS here = ROW_COUNT;
        purged := purged + here;
        EXECUTE format('SELECT count(*) FROM public.%I', part.relname) INTO here;
        IF ends_at <= cutoff AND here = 0 THEN
            EXECUTE format('DROP TABLE public.%I', part.relname);
        END IF;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION purge_access_records(timestamptz, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_access_records(timestamptz, uuid[]) TO estate_app;

-- Consents that ended before the cut, except those of people under a legal hold: until then they are proof.
CREATE FUNCTION purge_consents(cutoff timestamptz, holding uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    DELETE FROM public.consent
        WHERE least(withdrawn_at, ends_at) < cutoff AND person_id <> ALL (holding);
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END $$;
REVOKE ALL ON FUNCTION purge_consents(timestamptz, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_consents(timestamptz, uuid[]) TO estate_app;
