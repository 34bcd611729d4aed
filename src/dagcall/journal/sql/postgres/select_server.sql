SELECT epoch, host, pid FROM servers WHERE epoch <> $1 ORDER BY epoch DESC LIMIT 1
