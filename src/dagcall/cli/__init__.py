"""The command line: thin, over the client, and over the server where one is asked for. Needs httpx only; rich, when
it is installed, draws the live progress."""
