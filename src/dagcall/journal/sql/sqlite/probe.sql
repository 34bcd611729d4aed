UPDATE meta SET pid = pid
