INSERT INTO servers (epoch, host, pid)
SELECT coalesce(max(epoch), 0) + 1, $1, $2 FROM servers
RETURNING epoch
