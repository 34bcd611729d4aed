"""What servers that share a journal do for each other's callers."""
