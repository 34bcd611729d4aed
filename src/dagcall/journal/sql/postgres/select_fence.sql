SELECT other.epoch, other.host, other.pid
FROM servers JOIN servers AS other ON other.epoch = servers.fenced_by
WHERE servers.epoch = $1
