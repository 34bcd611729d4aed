"""A regression model trained and cross-validated with numpy, and data to try it on.

`dataset` makes the data, `network` is the model, `validation` measures how well it predicts what it was not trained on.
Everything here is a pure function of its arguments.
"""

import os

# Set before numpy is imported, which is when its linear algebra (OpenBLAS, or MKL) reads it and starts its threads: one
# each, because many trainings run side by side, each in a process of its own, and keep the processors busy together.
os.environ.setdefault("OMP_NUM_THREADS", "1")
