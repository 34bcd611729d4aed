UPDATE runs SET state = ?, start_date = ?, end_date = ?, note = ?, outcome = ? WHERE run = ?
