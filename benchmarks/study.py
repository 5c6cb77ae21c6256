"""What a study costs in addition to forward and backward passes: start-up, data, updates, records, scheduling.

    python benchmarks/study.py                      # about a minute on two cores

Trains a small study, 3 sizes × 3 token counts on a generated corpus, and reads where the seconds went from its records.
Prints one JSON object. Passes over held-out text are passes too.
"""

import json
import os
import resource
import tempfile
import time
from pathlib import Path

STUDY = """
schema = 1
name = "overhead"
seed = 0
[[corpus]]
name = "grammar"
source = "pcfg"
tokens = 1_100_000
grammar = { family = "random", nonterminals = 50, terminals = 500, max_rules = 20, max_rhs = 15 }
[grid]
params = [5e4, 1e5, 2.5e5]
tokens = [1.25e5, 2.5e5, 1e6]
context = 256
[training]
batch_tokens = 1024
warmup_tokens = 16_384
peak_lr = { value = 5e-3, exponent = -0.5 }
[fit]
bootstrap = 0
"""


def cpu_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def main():
    from isoloss.study.lab import Lab
    from isoloss.study.spec import Study

    study = Study.parse(STUDY, place="benchmark")
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder))
        lab.run(study, until="complexity")
        own, workers, started = *map(cpu_seconds, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)), time.perf_counter()
        records = lab.train(study)
        wall = time.perf_counter() - started
        own = cpu_seconds(resource.RUSAGE_SELF) - own
        workers = cpu_seconds(resource.RUSAGE_CHILDREN) - workers
    spent = {
        part: sum(getattr(record.timing, f"{part}_seconds") for record in records)
        for part in ("pass", "heldout", "data", "update")
    }
    passes, in_runs = spent["pass"] + spent["heldout"], sum(record.wall_seconds for record in records)
    print(json.dumps({
        "runs": len(records), "cores": os.cpu_count(), "wall_seconds": round(wall, 2),
        "seconds": {part: round(seconds, 2) for part, seconds in spent.items()},
        "outside_passes_of_runs": round(1 - passes / in_runs, 3),
        "outside_passes_of_cpu_seconds": round(1 - passes / (own + workers), 3),
        "conductor_cpu_seconds": round(own, 2), "worker_cpu_seconds": round(workers, 2),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
