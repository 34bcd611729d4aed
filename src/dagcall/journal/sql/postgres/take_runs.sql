-- Unfinished runs whose owner cannot write any more.
WITH taken AS (
    UPDATE runs SET owner = $1
    WHERE state IN ('queued', 'running') AND owner <> $1
        AND owner NOT IN (SELECT epoch FROM servers WHERE fenced_by IS NULL)
    RETURNING 1
)
SELECT count(*) FROM taken
