"""How long the best sizes of a table take, with intervals and the weights of the laws.

    python benchmarks/optima.py

The bundled runs of the earlier study at one budget: ten corpora of about thirty runs; then five of them, and twice the
draws. Prints core-seconds. No peer gives best sizes with intervals.
"""

import time

from isoloss.optima.best_size import best_sizes
from isoloss.planning.shipped import shipped_runs

FLOPS = 1.6e11


def main() -> None:
    """Print a line for each number of corpora and draws."""
    table = shipped_runs()
    best_sizes(table, budgets=[FLOPS], draws=2)  # compiles
    for corpora, draws in ((10, 200), (5, 200), (10, 400)):
        own = table.where(corpus=table.corpora[:corpora])
        began = time.process_time()
        best_sizes(own, budgets=[FLOPS], draws=draws)
        print(f"{corpora} corpora, {len(own)} runs, {draws} draws: {time.process_time() - began:.1f} core-seconds")


if __name__ == "__main__":
    main()
