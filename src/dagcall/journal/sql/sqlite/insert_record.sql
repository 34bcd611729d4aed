INSERT INTO records (entry, time, kind, data, event, crc) VALUES (?, ?, ?, ?, ?, ?)
