"""Build a corpus, or measure a file, and print by how many MB memory grew. Run by test_corpus_memory.py."""

import resource
import sys
from pathlib import Path

from isoloss.complexity.measure import measure_corpus
from isoloss.complexity.paths import measure_paths
from isoloss.corpus.build import build
from isoloss.corpus.sources import FilesSource


def peak_mb() -> float:
    """Return the most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


path, root, tokenizer, piece_bytes, work = sys.argv[1:]
beside = str(Path(path).with_name("small.txt"))
small = FilesSource(name="small", paths=(beside,), tokenizer=tokenizer, piece_bytes=2000)
large = FilesSource(name="large", paths=(path,), tokenizer=tokenizer, piece_bytes=int(piece_bytes) or None)
measure_corpus(build(small, root=Path(root), context=256), "gzip")  # libraries loaded, kernels compiled
measure_paths([beside], tokenizer=tokenizer)
before = peak_mb()
if work == "build":
    corpus = build(large, root=Path(root), context=256)
    measure_corpus(corpus, "gzip")
    tokens = corpus.n_tokens
else:
    (measured,) = measure_paths([path], tokenizer=tokenizer)
    tokens = measured.tokens
print(peak_mb() - before, tokens)
