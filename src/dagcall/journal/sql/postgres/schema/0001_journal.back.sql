DROP TABLE records, runs, plans, servers;
