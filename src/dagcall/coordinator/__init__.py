"""The coordinator: owns runs, turns events into commands and commands into I/O. Runs no user code."""
