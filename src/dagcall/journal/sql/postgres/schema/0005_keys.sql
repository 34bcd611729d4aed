-- One run for a caller's key, whichever servers its calls come to. Should an older version have let two through, then the
-- later ones lose their key.
UPDATE runs SET idempotency_key = NULL
FROM runs AS earlier
WHERE earlier.dag_id = runs.dag_id AND earlier.caller = runs.caller
    AND earlier.idempotency_key = runs.idempotency_key AND earlier.run < runs.run;
CREATE UNIQUE INDEX runs_by_key ON runs (dag_id, idempotency_key, caller) WHERE idempotency_key IS NOT NULL;
DROP INDEX runs_by_idempotency_key;
