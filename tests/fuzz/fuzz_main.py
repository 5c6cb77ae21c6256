"""`make fuzz`: hostile inputs for some minutes. Exit 1 where any misbehaves, with what it takes to see it again.

python tests/fuzz/fuzz_main.py --seconds 300 --seed 0
python tests/fuzz/fuzz_main.py --seed 0 --again tables:17     # one input again, with its traceback
"""

import argparse
from collections import Counter

import fuzz_answers
import fuzz_archives
import fuzz_grammars
import fuzz_laws
import fuzz_logs
import fuzz_studies
import fuzz_tables
import fuzz_texts
from fuzz_drive import Failure, Maker, run, try_one

MAKERS: dict[str, Maker] = {
    "studies": fuzz_studies.make, "tables": fuzz_tables.make, "grammars": fuzz_grammars.make, "laws": fuzz_laws.make,
    "archives": fuzz_archives.make, "texts": fuzz_texts.make, "logs": fuzz_logs.make, "answers": fuzz_answers.make,
}  # fmt: skip


def main() -> int:
    """Try inputs as asked on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, help="inputs, at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--room", choices=list(MAKERS), help="this kind of input alone")
    parser.add_argument("--again", metavar="ROOM:NUMBER")
    asked = parser.parse_args()
    if asked.again:
        room, _, number = asked.again.partition(":")
        failure = try_one(room, MAKERS[room], seed=asked.seed, number=int(number))
        print(f"{failure.arguments}\n{failure.reason}\n{failure.output}" if failure else "it behaves")
        return 1 if failure else 0
    makers = {asked.room: MAKERS[asked.room]} if asked.room else MAKERS
    tried, failures = run(
        makers, seed=asked.seed, seconds=asked.seconds, most=asked.most, first=asked.first, tell=_tell
    )
    kinds = Counter(failure.reason[:60] for failure in failures)
    print("\n".join(f"{count} × {kind}" for kind, count in kinds.most_common()))
    rooms = ", ".join(f"{count} {room}" for room, count in tried.items())
    print(f"{tried.total()} inputs ({rooms}), {len(failures)} misbehaved")
    return 1 if failures else 0


def _tell(failure: Failure) -> None:
    print(f"{failure.room}:{failure.number}: {failure.reason}\n    {failure.arguments!r:.300}")
    print(f"    {_where(failure.output)}", flush=True)


def _where(output: str) -> str:
    """Return where in the package an error arose."""
    lines = [line.strip() for line in output.splitlines() if "/isoloss/" in line and line.strip().startswith("File")]
    return lines[-1] if lines else ""


if __name__ == "__main__":
    raise SystemExit(main())
