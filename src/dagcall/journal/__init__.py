"""The durable record of runs: one protocol (`base`), its engines, one encoding, one conformance suite."""
