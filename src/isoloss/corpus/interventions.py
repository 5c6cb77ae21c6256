"""Interventions: what changes a corpus's complexity while its source stays the same, as a study declares it.

Whatever their order in the study file, those on text come first, in that order; then the choice of documents; then
those on token ids, in that order. Documents are distinguished, and the held-out ones chosen, by their text before any
intervention: corpora of one source under different interventions hold out the same documents.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from isoloss.core.frozen import Frozen
from isoloss.core.rng import stream
from isoloss.corpus.source_code import Language, without_comments, without_identifiers


class ShuffleLines(Frozen):
    """The lines of each document in an order drawn from `seed` and the document: local order stays, the rest goes."""

    kind: Literal["shuffle_lines"]
    seed: int = Field(default=0, ge=0)


class RemoveComments(Frozen):
    """Source code without comments; in Python without docstrings too. A document that is no such code is left out."""

    kind: Literal["remove_comments"]
    language: Language


class RemoveIdentifiers(Frozen):
    """Source code whose names all become `_`; keywords stay. A document that is no such code is left out."""

    kind: Literal["remove_identifiers"]
    language: Language


class GzipTercile(Frozen):
    """The documents of one third of the text: 1 the most compressible, 3 the least.

    Documents are ranked by the mean size of their pieces of 1,024 bytes, each through gzip by itself, so that long
    documents are not taken for simple ones.
    """

    kind: Literal["gzip_tercile"]
    tercile: Literal[1, 2, 3]


class Noise(Frozen):
    """Each token replaced, with probability `rate`, by one drawn evenly from the vocabulary: iid, on both sides."""

    kind: Literal["noise"]
    rate: float = Field(gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class Relabel(Frozen):
    """Token ids permuted throughout: the placebo, for it changes nothing that a model could learn or not learn."""

    kind: Literal["relabel"]
    seed: int = Field(default=0, ge=0)


Intervention = Annotated[
    ShuffleLines | RemoveComments | RemoveIdentifiers | GzipTercile | Noise | Relabel, Field(discriminator="kind")
]


def on_text(content: bytes, interventions: Sequence[Intervention], *, digest: bytes) -> bytes | None:
    """Return a document after the interventions on text; None where it is not the code that they need.

    `digest` is that of the document as it was: what is drawn depends on it, not on the interventions before.
    """
    changed: bytes | None = content
    for intervention in interventions:
        if changed is None:
            return None
        match intervention:
            case ShuffleLines(seed=seed):
                changed = _shuffled(changed, seed, digest)
            case RemoveComments(language=language):
                changed = without_comments(changed, language)
            case RemoveIdentifiers(language=language):
                changed = without_identifiers(changed, language)
    return changed


def tercile(interventions: Sequence[Intervention]) -> int | None:
    """Return the tercile that the interventions choose, or None."""
    chosen = [step.tercile for step in interventions if isinstance(step, GzipTercile)]
    return chosen[0] if chosen else None


def _shuffled(content: bytes, seed: int, digest: bytes) -> bytes:
    """Return the lines in another order; the last ends as the document did."""
    body = content.removesuffix(b"\n")
    lines = body.split(b"\n")
    order = stream(seed, "shuffled lines", digest.hex()).permutation(len(lines))
    return b"\n".join(lines[i] for i in order) + content[len(body) :]
