-- One store of evidence: what money decisions rest on goes where signed papers are, sealed like them.
ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check;
ALTER TABLE evidence ADD CONSTRAINT evidence_kind_check
    CHECK (kind IN ('consent', 'hand_over', 'damage', 'dispute', 'assessment'));
CREATE INDEX evidence_added_at_idx ON evidence (added_at);
