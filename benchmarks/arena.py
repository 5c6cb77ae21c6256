"""The arena's results: every entry of ours on all tables, as docs/results/arena.json and the page made from it.

python benchmarks/arena.py            # run the entries, write both
python benchmarks/arena.py --page     # write the page again from the numbers that are there

Packages of others are scored, too, where they are installed: benchmarks/peers/requirements.txt. So are published runs,
where `--data` is a folder with theirs: porian2024, gzip2024, chinchilla2022 or datablations2023.
"""

import argparse
import json
import resource
import time
from importlib.util import find_spec
from pathlib import Path

from isoloss.arena.arena import REPEATS, all_tasks, compete
from isoloss.arena.page import page
from isoloss.arena.referee import OURS, Limits, method_file
from isoloss.core.files import write_json, write_text
from isoloss.published.studies import runs_in

RESULTS = Path(__file__).parents[1] / "docs" / "results"
PEERS = {"chinchilla": Path(__file__).parent / "peers" / "pypi_chinchilla.py"}  # by the module that must be there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="from the numbers that are there")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--seconds", type=float, default=Limits().seconds)
    parser.add_argument("--data", type=Path, help="folder with a folder of each published study, as porian2024")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    numbers = options.out / "arena.json"
    if not options.page:
        started, entries = time.perf_counter(), []
        published = runs_in(options.data) if options.data else ()
        tasks = all_tasks(repeats=options.repeats, seed=0, published=published)
        installed = {name: path for name, path in PEERS.items() if find_spec(name)}
        missing = sorted(set(PEERS) - set(installed))
        for name in missing:
            print(f"{name} is not installed, so it is not scored: benchmarks/peers/requirements.txt", flush=True)
        sources = [*map(method_file, OURS), *installed.values()]
        for entry in compete(sources, tasks, limits=Limits(seconds=options.seconds)):
            entries.append(entry.to_json())
            print(f"{entry.method}: {time.perf_counter() - started:.0f} s", flush=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        settings = {
            "repeats": options.repeats, "seed": 0, "wall_seconds": time.perf_counter() - started,
            "processor_seconds": used.ru_utime + used.ru_stime, "not_installed": missing,
        }  # fmt: skip
        write_json(numbers, {"settings": settings, "entries": entries})
    write_text(options.out / "arena.md", page(json.loads(numbers.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
