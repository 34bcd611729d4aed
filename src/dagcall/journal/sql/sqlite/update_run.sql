UPDATE runs SET state = ?, start_date = ?, end_date = ?, note = ?, outcome = ?, crc = ? WHERE run = ?
