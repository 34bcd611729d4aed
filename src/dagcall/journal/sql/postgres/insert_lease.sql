INSERT INTO leases (epoch, until) VALUES ($1, clock_timestamp() + make_interval(secs => $2))
