-- Once this has returned, nothing that an earlier connection of the server sent can be committed any more: its
-- statements wait for this row, or this one waits for them.
UPDATE servers SET connection = connection + 1
WHERE epoch = $1
RETURNING connection, fenced_by, last_group, last_begun
