-- Two people. One proposes, another approves, and what was approved is used once. PostgreSQL refuses the same
-- person, a person without the right on that day, an approval of anything but the last text, and a second use:
-- also to the owner and to SQL typed by hand. An act that needs two people is committed together with its row
-- in approval_use.

-- Who may do what; configuration (backend/approvals/rights.toml), written by the owner only.
CREATE TABLE approval_kind (
    kind text PRIMARY KEY CHECK (kind ~ '^[a-z_]{1,40}$'),
    name_zh text NOT NULL CHECK (name_zh <> ''),
    name_en text NOT NULL CHECK (name_en <> ''),
    propose_roles text[] NOT NULL CHECK (cardinality(propose_roles) > 0),
    approve_roles text[] NOT NULL CHECK (cardinality(approve_roles) > 0)
);

CREATE TABLE approval_proposal (
    proposal_id uuid PRIMARY KEY,
    kind text NOT NULL REFERENCES approval_kind,
    -- NULL: the city's.
    estate_id text REFERENCES estate,
    -- What it is about, for programs (`payment:…`), and in a sentence for whoever approves it.
    subject text NOT NULL CHECK (subject <> ''),
    summary_zh text NOT NULL CHECK (summary_zh <> ''),
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    proposed_by uuid NOT NULL REFERENCES principal,
    proposed_at timestamptz NOT NULL,
    -- Counts its texts: whoever approves names the one that was read.
    revision integer NOT NULL CHECK (revision >= 1),
    changed_at timestamptz NOT NULL CHECK (changed_at >= proposed_at),
    withdrawn_at timestamptz
);
CREATE INDEX approval_proposal_subject_idx ON approval_proposal (subject);

CREATE TABLE approval_decision (
    proposal_id uuid PRIMARY KEY REFERENCES approval_proposal,
    revision integer NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('approved', 'declined')),
    decided_by uuid NOT NULL REFERENCES principal,
    decided_at timestamptz NOT NULL,
    reason text NOT NULL,
    -- By the server's own clock, whatever decided_at says.
    recorded_at timestamptz NOT NULL,
    CONSTRAINT approval_declined_has_reason CHECK (verdict = 'approved' OR btrim(reason) <> '')
);

CREATE TABLE approval_use (
    proposal_id uuid PRIMARY KEY REFERENCES approval_decision,
    kind text NOT NULL,
    used_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL
);

-- Whether somebody holds one of the roles for the estate at that moment.
CREATE FUNCTION approval_has_right(who uuid, roles text[], estate text, moment timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM public.principal_role AS held JOIN public.principal USING (principal_id)
        WHERE held.principal_id = who AND held.role = ANY (roles)
          AND (held.estate_id IS NULL OR held.estate_id = estate)
          AND held.valid_from <= moment AND (held.valid_to IS NULL OR moment < held.valid_to)
          AND (principal.disabled_at IS NULL OR moment < principal.disabled_at)
    )
$$;

CREATE FUNCTION approval_proposal_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    roles text[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'proposal % stays on record', OLD.proposal_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'approval_stays_on_record',
                  TABLE = 'approval_proposal';
    END IF;
    SELECT propose_roles INTO roles FROM public.approval_kind WHERE kind = NEW.kind;
    IF TG_OP = 'INSERT' THEN
        IF NEW.revision <> 1 OR NEW.changed_at <> NEW.proposed_at OR NEW.withdrawn_at IS NOT NULL THEN
            RAISE EXCEPTION 'proposal % begins with its first text', NEW.proposal_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_begins_at_one',
                      TABLE = 'approval_proposal';
        ELSIF NOT public.approval_has_right(NEW.proposed_by, roles, NEW.estate_id, NEW.proposed_at) THEN
            RAISE EXCEPTION 'principal % has no right to propose % there on that day', NEW.proposed_by, NEW.kind
                USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'approval_proposer_has_right',
                      TABLE = 'approval_proposal';
        END IF;
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT FROM public.approval_decision WHERE proposal_id = OLD.proposal_id)
       OR OLD.withdrawn_at IS NOT NULL THEN
        RAISE EXCEPTION 'proposal % is decided or withdrawn, and stays as it is', OLD.proposal_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'approval_is_closed', TABLE = 'approval_proposal';
    ELSIF (NEW.proposal_id, NEW.kind, NEW.estate_id, NEW.subject, NEW.proposed_by, NEW.proposed_at)
          IS DISTINCT FROM
          (OLD.proposal_id, OLD.kind, OLD.estate_id, OLD.subject, OLD.proposed_by, OLD.proposed_at) THEN
        RAISE EXCEPTION 'proposal % keeps its kind, estate, subject and proposer', OLD.proposal_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'approval_keeps_its_subject',
                  TABLE = 'approval_proposal';
    ELSIF NEW.withdrawn_at IS NULL AND (NEW.revision <> OLD.revision + 1 OR NEW.changed_at < OLD.changed_at)
       OR NEW.withdrawn_at IS NOT NULL AND (
            NEW.withdrawn_at < OLD.changed_at
            OR (NEW.revision, NEW.changed_at, NEW.summary_zh, NEW.payload, NEW.reason)
               IS DISTINCT FROM (OLD.revision, OLD.changed_at, OLD.summary_zh, OLD.payload, OLD.reason)
       ) THEN
        RAISE EXCEPTION 'a change of proposal % is a further text, and later', OLD.proposal_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_counts_its_changes',
                  TABLE = 'approval_proposal';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_proposal_is_sound BEFORE INSERT OR UPDATE OR DELETE ON approval_proposal
    FOR EACH ROW EXECUTE FUNCTION approval_proposal_is_sound();
CREATE TRIGGER approval_proposal_refuse_truncate BEFORE TRUNCATE ON approval_proposal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE approval_proposal ENABLE ALWAYS TRIGGER approval_proposal_is_sound;
ALTER TABLE approval_proposal ENABLE ALWAYS TRIGGER approval_proposal_refuse_truncate;

CREATE FUNCTION approval_decision_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    asked record;
    roles text[];
BEGIN
    -- Locked: a change of the text that is on its way is seen, or waits and is refused.
    SELECT * INTO asked FROM public.approval_proposal WHERE proposal_id = NEW.proposal_id FOR UPDATE;
    IF asked.proposal_id IS NULL THEN
        RETURN NEW;  -- The foreign key says so.
    END IF;
    SELECT approve_roles INTO roles FROM public.approval_kind WHERE kind = asked.kind;
    IF asked.withdrawn_at IS NOT NULL THEN
        RAISE EXCEPTION 'proposal % is withdrawn', NEW.proposal_id
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'approval_is_closed', TABLE = 'approval_decision';
    ELSIF NEW.decided_at < asked.changed_at OR NEW.revision <> asked.revision THEN
        RAISE EXCEPTION 'proposal % was changed after what is decided here', NEW.proposal_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_of_the_last_text',
                  TABLE = 'approval_decision';
    ELSIF NEW.decided_by = asked.proposed_by OR EXISTS (
        SELECT FROM public.principal AS mine JOIN public.principal AS theirs USING (person_id)
        WHERE mine.principal_id = NEW.decided_by AND theirs.principal_id = asked.proposed_by
    ) THEN
        RAISE EXCEPTION 'proposal % needs a second person', NEW.proposal_id
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'approval_is_by_another_person',
                  TABLE = 'approval_decision';
    ELSIF NOT public.approval_has_right(NEW.decided_by, roles, asked.estate_id, NEW.decided_at) THEN
        RAISE EXCEPTION 'principal % has no right to decide on % there on that day', NEW.decided_by, asked.kind
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'approval_decider_has_right',
                  TABLE = 'approval_decision';
    END IF;
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approval_decision_is_sound BEFORE INSERT ON approval_decision
    FOR EACH ROW EXECUTE FUNCTION approval_decision_is_sound();
ALTER TABLE approval_decision ENABLE ALWAYS TRIGGER approval_decision_is_sound;

CREATE FUNCTION approval_use_is_sound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM public.approval_decision AS decision JOIN public.approval_proposal USING (proposal_id)
        WHERE proposal_id = NEW.proposal_id AND verdict = 'approved' AND kind = NEW.kind
          AND decision.decided_at <= NEW.used_at
    ) THEN
        RAISE EXCEPTION 'proposal % is not approved for %', NEW.proposal_id, NEW.kind
            USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'approval_is_given', TABLE = 'approval_use';
    END IF;
    NEW.recorded_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approval_use_is_sound BEFORE INSERT ON approval_use
    FOR EACH ROW EXECUTE FUNCTION approval_use_is_sound();
ALTER TABLE approval_use ENABLE ALWAYS TRIGGER approval_use_is_sound;
