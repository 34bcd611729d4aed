SELECT epoch, host, pid FROM servers ORDER BY epoch DESC LIMIT 1
