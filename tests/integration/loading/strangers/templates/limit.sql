limit {{ params.limit }}
