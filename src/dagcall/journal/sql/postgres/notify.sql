SELECT pg_notify(channel, text) FROM unnest($1::TEXT[], $2::TEXT[]) AS said (channel, text)
