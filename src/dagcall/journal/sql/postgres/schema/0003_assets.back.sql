DROP TABLE asset_consumption, asset_queue, asset_event_aliases, asset_events;
