"""Sampling speed against the PyPI package `pcfg`, and the time an exact floor takes, for the grammars of the gzip paper
and a supercritical one.

    python benchmarks/grammar.py              # about a minute; needs an index to install the peer from
    python benchmarks/grammar.py --no-peer

The peer pins old packages, so it gets a virtual environment of its own, thrown away at the end; without it (no network)
its column says why. Both sample the same grammar, conditioned on termination (the peer would recurse for ever without),
one after the other on one core. Kernels are compiled before the clock starts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from isoloss.grammar.families import grammar_spec
from isoloss.grammar.floor import estimate_floor
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import sample_documents
from isoloss.grammar.transform import condition_on_termination

SIZES = [(3, 20, 2, 2), (10, 150, 5, 3), (20, 300, 10, 5), (30, 400, 10, 8), (50, 500, 20, 15), (100, 2000, 100, 30)]
SUPERCRITICAL = (30, 200, 15, 20)  # every draw of it seen has a spectral radius above 1
CONTEXT = 256
TOKENS = 20_000_000
PEER_SECONDS = 2.0
ROUNDS = 3

PEER = f"""
import json, sys, time
from pcfg import PCFG
grammar = PCFG.fromstring(open(sys.argv[1]).read())
tokens, started = 0, time.perf_counter()
while time.perf_counter() - started < {PEER_SECONDS}:
    for sentence in grammar.generate(100):
        tokens += sentence.count(" ") + 2  # its separator included
print(json.dumps(tokens / (time.perf_counter() - started)))
"""


def grammar_of(size: tuple[int, int, int, int]) -> Grammar:
    names = ("nonterminals", "terminals", "max_rules", "max_rhs")
    return condition_on_termination(grammar_spec(dict(zip(names, size, strict=True)) | {"seed": 3}).build())


def ours(grammar: Grammar) -> float:
    """Return tokens a second, the best of a few rounds."""
    sample_documents(grammar, documents=1, document_tokens=CONTEXT, seed=0)
    best = 0.0
    for seed in range(ROUNDS):
        started = time.perf_counter()
        sample_documents(grammar, documents=TOKENS // CONTEXT, document_tokens=CONTEXT, seed=seed)
        best = max(best, TOKENS / (time.perf_counter() - started))
    return best


def notation(grammar: Grammar) -> str:
    """Write `grammar` as NLTK reads it: no exponents."""
    names = grammar.nonterminals
    lines = ["S -> " + " | ".join(f"{name} [{p:.15f}]" for name, p in zip(names, grammar.start, strict=True))]
    for lhs, weight, symbols in grammar.rules():
        right = " ".join(names[~s] if s < 0 else f"'{grammar.terminals[s - 1]}'" for s in symbols)
        lines.append(f"{names[lhs]} -> {right} [{weight:.15f}]")
    return "\n".join(lines)


def install_peer(folder: Path) -> Path:
    """Return the Python of a fresh environment with `pcfg`; raises CalledProcessError without an index."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pcfg"]
    subprocess.run(install, check=True, capture_output=True, timeout=180)
    return python


def peers(python: Path, grammar: Grammar, folder: Path) -> float:
    """Return the peer's tokens a second."""
    (folder / "grammar.txt").write_text(notation(grammar))
    command = [python, "-c", PEER, folder / "grammar.txt"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    return float(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peer", action="store_true")
    python, reason = None, "not asked for"
    estimate_floor(grammar_of(SIZES[0]), context=8, seed=0, max_tokens=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if not parser.parse_args().no_peer:
            try:
                python = install_peer(folder / "peer")
            except (subprocess.SubprocessError, OSError) as error:
                reason = f"cannot install pcfg: {error}"
        print(f"{'grammar':<22}{'ours, M tokens/s':>18}{'pcfg':>8}{'ratio':>8}{'floor, nats':>20}{'seconds':>9}")
        for size in [*SIZES, SUPERCRITICAL]:
            grammar = grammar_of(size)
            own, peer = ours(grammar), peers(python, grammar, folder) if python else None
            started = time.perf_counter()
            floor = estimate_floor(grammar, context=CONTEXT, seed=0)
            seconds = time.perf_counter() - started
            extra = f"{peer / 1e6:>8.2f}{own / peer:>8.0f}" if peer else f"{'–':>8}{'–':>8}"
            interval = f"{floor.value:.4f} ± {(floor.high - floor.low) / 2:.4f}"
            print(f"{size!s:<22}{own / 1e6:>18.1f}{extra}{interval:>20}{seconds:>9.2f}")
    if python is None:
        print(f"without the peer: {reason}")


if __name__ == "__main__":
    main()
