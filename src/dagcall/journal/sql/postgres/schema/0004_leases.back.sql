DROP INDEX servers_unfenced;
DROP TABLE leases;
