-- Reminders of arrears. A case lasts from the first reminder until nothing is overdue any more; what was
-- done on each rung, and what was owed on that day, is kept. No table of doors is read or written here.

CREATE TABLE dunning_case (
    case_id uuid PRIMARY KEY,
    estate_id text NOT NULL REFERENCES estate,
    household_id uuid NOT NULL REFERENCES household,
    -- The due day of the oldest month that was owed when it was opened.
    since_on date NOT NULL,
    opened_on date NOT NULL,
    closed_on date CHECK (closed_on >= opened_on)
);
CREATE UNIQUE INDEX dunning_case_one_open_idx ON dunning_case (household_id) WHERE closed_on IS NULL;

CREATE TABLE dunning_step (
    case_id uuid NOT NULL REFERENCES dunning_case,
    rung text NOT NULL,
    name_zh text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('reminder', 'demand', 'visit', 'review')),
    taken_on date NOT NULL,
    deadline_on date CHECK (deadline_on > taken_on),
    owed_fen bigint NOT NULL CHECK (owed_fen > 0),
    in_a_row smallint NOT NULL,
    cumulative smallint NOT NULL,
    -- The months and amounts that were owed, as a demand names them.
    months jsonb NOT NULL,
    PRIMARY KEY (case_id, rung),
    CONSTRAINT dunning_step_demand_has_deadline CHECK ((kind = 'demand') = (deadline_on IS NOT NULL))
);

-- A written demand, and its deadline, come before a visit and before anybody considers ending a lease.
CREATE FUNCTION dunning_step_after_demand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('visit', 'review') AND NOT EXISTS (
        SELECT FROM public.dunning_step AS demand
        WHERE demand.case_id = NEW.case_id AND demand.kind = 'demand' AND demand.deadline_on < NEW.taken_on
    ) THEN
        RAISE EXCEPTION 'a written demand whose deadline is past has to come first'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'dunning_step_after_demand',
                  TABLE = 'dunning_step';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dunning_step_after_demand BEFORE INSERT ON dunning_step
    FOR EACH ROW EXECUTE FUNCTION dunning_step_after_demand();
ALTER TABLE dunning_step ENABLE ALWAYS TRIGGER dunning_step_after_demand;

-- The day's round, and how far it has come.
CREATE TABLE dunning_round (
    day date PRIMARY KEY,
    after_household_id uuid,
    finished_at timestamptz
);
