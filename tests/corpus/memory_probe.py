"""Build or sample a corpus, or measure a file, and print by how many MB memory grew. Run by test_corpus_memory.py."""

import resource
import sys
from pathlib import Path

from isoloss.complexity import paths
from isoloss.complexity.measure import measure_corpus
from isoloss.corpus.build import build
from isoloss.corpus.sources import FilesSource, PcfgSource


def peak_mb() -> float:
    """Return the most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def built(path: Path, root: Path, piece_bytes: int | None) -> int:
    """Build and measure a corpus from a file; return its tokens."""
    source = FilesSource(name="text", paths=(str(path),), tokenizer="bytes", piece_bytes=piece_bytes)
    corpus = build(source, root=root, context=256)
    measure_corpus(corpus, "gzip")
    return corpus.n_tokens


def measured(path: Path) -> int:
    """Measure a file, of whose documents a sixteenth of what is usual may be held; return its bytes."""
    paths.HELD_BYTES = 1 << 22
    (found,) = paths.measure_paths([path], tokenizer="bytes")
    assert found.bytes is not None
    return found.bytes


def sampled(tokens: int, root: Path) -> int:
    """Draw a corpus from a grammar; return its tokens."""
    grammar = {"family": "random", "nonterminals": 10, "terminals": 150, "max_rules": 5, "max_rhs": 3, "seed": 1}
    source = PcfgSource.model_validate({"name": "g", "tokens": tokens, "heldout_tokens": 25_600, "grammar": grammar})
    return build(source, root=root, context=256).n_tokens


# A little first: libraries are loaded, kernels compiled, blocks of the usual size allocated.
match sys.argv[1:]:
    case ["sample", root, tokens]:
        sampled(5_000_000, Path(root))
        before = peak_mb()
        read = sampled(int(tokens), Path(root))
    case [work, root, path, piece_bytes]:
        small = Path(path).with_name("small.txt")
        built(small, Path(root), 2000)
        measured(small)
        before = peak_mb()
        read = built(Path(path), Path(root), int(piece_bytes) or None) if work == "build" else measured(Path(path))
print(peak_mb() - before, read)
