"""What a DAG promises to its callers, made from its plan: schemas, examples that fit them, hints to its author. Pure."""
