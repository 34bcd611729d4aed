"""`dagcall doctor DAGS_FOLDER`: what of a team's folder can be called, before any server is there.

Needs no server, journal or database, and leaves nothing behind. Every file is parsed as a server would parse it, in a
process of its own.
"""
