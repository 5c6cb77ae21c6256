"""The arena's results: every entry of ours on all tables, as docs/results/arena.json and the page made from it.

python benchmarks/arena.py            # run the entries, write both
python benchmarks/arena.py --page     # write the page again from the numbers that are there
"""

import argparse
import json
import time
from pathlib import Path

from isoloss.arena.arena import REPEATS, all_tasks, compete
from isoloss.arena.page import page
from isoloss.arena.referee import OURS, Limits, method_file
from isoloss.core.files import write_json, write_text

RESULTS = Path(__file__).parents[1] / "docs" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="from the numbers that are there")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seconds", type=float, default=Limits().seconds)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    numbers = options.out / "arena.json"
    if not options.page:
        started, entries = time.perf_counter(), []
        tasks = all_tasks(repeats=options.repeats, seed=0)
        for entry in compete([method_file(name) for name in OURS], tasks, limits=Limits(seconds=options.seconds)):
            entries.append(entry.to_json())
            print(f"{entry.method}: {time.perf_counter() - started:.0f} s", flush=True)
        settings = {"repeats": options.repeats, "seed": 0, "wall_seconds": time.perf_counter() - started}
        write_json(numbers, {"settings": settings, "entries": entries})
    write_text(options.out / "arena.md", page(json.loads(numbers.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
