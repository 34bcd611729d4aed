UPDATE runs SET owner = $1 WHERE state IN ('queued', 'running') AND owner <> $1
