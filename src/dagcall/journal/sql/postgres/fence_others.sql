-- Waits for what they are committing; from then on nothing of theirs is written.
UPDATE servers SET fenced_by = $1 WHERE epoch <> $1 AND fenced_by IS NULL
