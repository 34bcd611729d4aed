INSERT OR IGNORE INTO asset_event_aliases (alias, event_id) VALUES (?, ?)
