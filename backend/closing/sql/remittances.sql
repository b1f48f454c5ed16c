-- 缴库清单: what went to the treasury, by 缴款书; a reversed one stands with its reversal.
SELECT entry.effective_on AS c1, coalesce(reversed.event_key, entry.event_key) AS c2, entry.entry_id AS c3,
       entry.summary_zh AS c4,
       CASE WHEN reversed.entry_id IS NULL THEN entry.total_fen ELSE -entry.total_fen END AS c5,
       entry.entry_id AS opens
FROM journal_entry AS entry
LEFT JOIN journal_entry AS reversed ON reversed.entry_id = entry.reverses_entry_id
WHERE entry.book_id = ANY(:books) AND entry.effective_on >= :from_on AND entry.effective_on < :to_on
  AND (entry.event_kind = 'remittance' OR reversed.event_kind = 'remittance')
