"""Searches a grid of hyperparameters: one call of the DAG for each set, many at a time."""

import itertools
import sys
import time

import dagcall

GRID = {
    "learning_rate": [0.01, 0.03, 0.1, 0.3],
    "hidden_units": [8, 32, 64],
    "l2": [0.0, 0.003, 0.01],
}

sets = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
answers, failures = [], []
begun = time.perf_counter()
with dagcall.Client() as client:
    for params, answer in client.map("grid_search", sets, return_errors=True):
        if isinstance(answer, dagcall.RunFailed):
            failures.append(f"{params}: {answer}")  # the search goes on without this set
        elif isinstance(answer, dagcall.DagcallError):
            sys.exit(f"The search cannot go on: {answer}")
        else:
            answers.append(answer)
        if sys.stderr.isatty():
            print(f"{len(answers)} of {len(sets)}", end="\r", file=sys.stderr, flush=True)
seconds = time.perf_counter() - begun

ranking = sorted((answer for answer in answers if answer["loss"] is not None), key=lambda answer: answer["loss"])
print("loss  +-    " + "  ".join(GRID))
for answer in ranking[:5]:
    values = "  ".join(f"{answer['params'][name]:>{len(name)}}" for name in GRID)
    print(f"{answer['loss']:.2f}  {answer['loss_std']:.2f}  {values}")
print(
    f"{len(sets)} sets in {seconds:.1f} s, {len(sets) / seconds:.0f} a second; {len(answers) - len(ranking)} diverged"
)
if failures:
    sys.exit("\n".join(["These failed:", *failures]))
