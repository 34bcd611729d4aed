INSERT INTO asset_event_aliases (alias, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
