-- People who log in, gateways that call, and the log of what they did.

CREATE TABLE principal (
    principal_id uuid PRIMARY KEY,
    login text NOT NULL UNIQUE CHECK (login = lower(login) AND login ~ '^\S{1,64}$'),
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    -- Argon2id; NULL until a first password is set.
    password_hash text,
    person_id uuid REFERENCES person,
    created_at timestamptz NOT NULL,
    disabled_at timestamptz
);

CREATE TABLE principal_role (
    grant_id uuid PRIMARY KEY,
    principal_id uuid NOT NULL REFERENCES principal,
    role text NOT NULL CHECK (role IN ('tenant', 'finance', 'operator', 'supervisor', 'admin')),
    -- NULL: every estate.
    estate_id text REFERENCES estate,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz CHECK (valid_to >= valid_from),
    created_at timestamptz NOT NULL
);
CREATE INDEX principal_role_principal_id_idx ON principal_role (principal_id);

CREATE TABLE login_session (
    token_sha256 bytea PRIMARY KEY CHECK (length(token_sha256) = 32),
    principal_id uuid NOT NULL REFERENCES principal,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX login_session_principal_id_idx ON login_session (principal_id);

CREATE TABLE gateway (
    gateway_id text PRIMARY KEY CHECK (gateway_id ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);

CREATE TABLE gateway_scope (
    gateway_id text NOT NULL REFERENCES gateway,
    estate_id text NOT NULL REFERENCES estate,
    PRIMARY KEY (gateway_id, estate_id)
);

CREATE TABLE gateway_credential (
    credential_id uuid PRIMARY KEY,
    gateway_id text NOT NULL REFERENCES gateway,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX gateway_credential_gateway_id_idx ON gateway_credential (gateway_id);

-- Counters shared by all web processes; the subject is hashed, so no login or address is kept.
CREATE TABLE rate_limit (
    bucket text NOT NULL,
    subject_sha256 bytea NOT NULL,
    window_started_at timestamptz NOT NULL,
    hits integer NOT NULL CHECK (hits >= 0),
    PRIMARY KEY (bucket, subject_sha256)
);
CREATE INDEX rate_limit_window_started_at_idx ON rate_limit (window_started_at);

-- Opaque ids only, so that erasing a person never has to touch it.
CREATE TABLE audit_record (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'refused')),
    object_kind text NOT NULL,
    object_id text NOT NULL,
    -- No foreign key: a refusal may name an estate that does not exist.
    estate_id text,
    reason text NOT NULL,
    request_id text
);
CREATE INDEX audit_record_object_idx ON audit_record (object_kind, object_id, at);
CREATE INDEX audit_record_at_idx ON audit_record (at);
