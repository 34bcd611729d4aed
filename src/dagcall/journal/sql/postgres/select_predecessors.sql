WITH RECURSIVE mine AS (
    SELECT $1::BIGINT AS epoch
    UNION
    SELECT servers.epoch FROM servers JOIN mine ON servers.fenced_by = mine.epoch
)
SELECT epoch FROM mine
