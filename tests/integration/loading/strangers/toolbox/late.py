SUFFIX = "."
