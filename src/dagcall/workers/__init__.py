"""Worker processes: the wire they speak, one process seen from the coordinator, the elastic set of them."""
