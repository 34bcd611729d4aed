"""What `explain_python` is made of."""
