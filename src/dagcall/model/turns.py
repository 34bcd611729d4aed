"""Nobody waits for ever where those with a higher priority keep coming.

Whoever hands out slots or workers does so by priority: what an answer waits for before what nobody waits for, then the
nearest deadline, then first come first served. One turn in `EVERY` is given to the one who has waited longest instead,
once that is `PATIENCE`. So the place of the n-th in line is at most its `EVERY` x n-th turn, and who has just come is
held up by one turn in eight at most. Weights that an author gave are never overruled: as in Airflow, of two tasks with
different weights the lighter one waits as long as there are heavier ones.
"""

EVERY = 8
"""Turns."""

PATIENCE = 5.0
"""Seconds."""
