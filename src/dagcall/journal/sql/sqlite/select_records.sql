SELECT records.entry, time, kind, data, event, records.crc
FROM runs JOIN records ON records.entry > (run << 32) + ? AND records.entry < (run + 1) << 32
WHERE dag_id = ? AND run_id = ?
ORDER BY records.entry
