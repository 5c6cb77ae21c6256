"""Building a corpus: from a study's table to a folder named by the corpus's fingerprint, once."""

from pathlib import Path

from isoloss.core.progress import QUIET, Progress
from isoloss.corpus.corpus import Corpus, Outline
from isoloss.corpus.mixture import mix, parts_of
from isoloss.corpus.sources import CorpusSource, MixtureSource, PcfgSource
from isoloss.corpus.text import build_text


def build(
    source: CorpusSource,
    *,
    root: Path,
    context: int,
    seed: int = 0,
    base: Path | None = None,
    progress: Progress = QUIET,
) -> Corpus:
    """Return the corpus that `source` describes, in `root`/<fingerprint>: opened where it stands, built where not.

    `context` is the number of tokens of a training window. `seed` is the study's: documents of a grammar are drawn
    from it; files do not depend on it. Relative paths are taken from `base`. Any number of processes may build into
    one root at once. Raises BadCorpus naming the file and the fix for a source that cannot become a corpus.
    """
    if isinstance(source, PcfgSource):
        from isoloss.corpus.generate import generate  # its kernels load only where a grammar is sampled

        return generate(source, root=root, context=context, seed=seed, base=base, progress=progress)
    if isinstance(source, MixtureSource):
        parts = [
            build(part, root=root, context=context, seed=seed, base=base, progress=progress)
            for part in parts_of(source)
        ]
        return mix(source, parts, root=root, context=context, progress=progress)
    return build_text(source, root=root, context=context, base=base, progress=progress)


def outlined(
    source: CorpusSource,
    *,
    root: Path,
    context: int,
    seed: int = 0,
    base: Path | None = None,
    progress: Progress = QUIET,
) -> Outline:
    """Return what runs can be planned by of the corpus that `build` would give.

    What a grammar would say is known without drawing it; text is read and split, into `root`. Raises as `build`.
    """
    if isinstance(source, PcfgSource):
        from isoloss.corpus.generate import outline

        return outline(source, context=context, seed=seed, base=base)
    return build(source, root=root, context=context, seed=seed, base=base, progress=progress)
