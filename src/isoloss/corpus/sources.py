"""What a study's `[[corpus]]` table says: a corpus out of files, a data set, a grammar, or several of them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from isoloss.core.frozen import Frozen
from isoloss.corpus.interventions import Intervention
from isoloss.corpus.readers import TEXT_FIELD
from isoloss.grammar.families import AnyGrammar

# 512 windows of 128 tokens: the standard error of a held-out loss is then about 1 % on source code in bytes.
HELDOUT_TOKENS = 65_536


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class TextSource(Frozen):
    """What every corpus out of text may say.

    Each file is a document, each row where there are rows (`text_field` names the column); `separator` cuts files into
    documents at that text, `piece_bytes` at the first line end after so many bytes. `tokens` is how many training
    tokens are wanted: a sample of all the files, drawn from `seed`, or the first rows of a data set.

    A share of the documents is held out; of those, windows amounting to at most `heldout_tokens` are kept.

    `tokenizer` is one of isoloss.corpus.tokenizers; a file is taken from the study's folder. `compact` numbers the ids
    that occur from 0 and drops the others from the vocabulary. `near_duplicates` looks for documents that share
    `jaccard` of their runs of five words with another, and removes all but one of them or reports how many there are.
    `interventions` change the text or its tokens.
    """

    name: str = Field(min_length=1)
    tokenizer: str = "bytes"
    tokens: int | None = Field(default=None, gt=0)
    heldout_fraction: float = Field(default=0.05, gt=0, lt=1)
    heldout_tokens: int = Field(default=HELDOUT_TOKENS, gt=0)
    text_field: str = TEXT_FIELD
    separator: str | None = Field(default=None, min_length=1)
    piece_bytes: int | None = Field(default=None, gt=0)
    seed: int = Field(default=0, ge=0)
    compact: bool = False
    near_duplicates: Literal["remove", "report"] | None = None
    jaccard: float = Field(default=0.8, gt=0, lt=1)
    interventions: tuple[Intervention, ...] = ()


class FilesSource(TextSource):
    """A corpus out of text files.

    `paths` are files, folders and globs; `{package:NAME}` stands for the folder of an installed import package.
    `exclude` takes files away. `broken_rows` is what happens to a line of JSONL that is none.
    """

    source: Literal["files"] = "files"
    paths: Patterns = Field(min_length=1)
    exclude: Patterns = ()
    broken_rows: Literal["error", "skip"] = "error"


class DatasetSource(TextSource):
    """A corpus out of a data set of the library Hugging Face datasets, whose rows are documents.

    `dataset` is a name on the hub, or a folder (taken from the study's where it is relative) that holds files of data
    or what `save_to_disk` wrote. `config`, `split` and `revision` are the library's. Rows are streamed; where `tokens`
    limits them, they are shuffled through a buffer of 10,000.
    """

    source: Literal["datasets"]
    dataset: str = Field(min_length=1)
    config: str | None = None
    split: str = "train"
    revision: str | None = None


class SizedSource(Frozen):
    """A corpus that is made as large as it says: `tokens` training tokens, and `heldout_tokens` next to them."""

    name: str = Field(min_length=1)
    tokens: int = Field(gt=0)
    heldout_tokens: int = Field(default=HELDOUT_TOKENS, gt=0)


class PcfgSource(SizedSource):
    """A corpus out of a probabilistic context-free grammar: documents of exactly one training window.

    `tokens` training tokens (rounded up to whole documents) and `heldout_tokens` next to them, drawn from streams of
    their own. Rules and documents are drawn from `seed`, the study's where it is not given.
    """

    source: Literal["pcfg"] = "pcfg"
    grammar: AnyGrammar
    seed: int | None = Field(default=None, ge=0)


class MixturePart(Frozen):
    """A source and its weight among the tokens of a mixture."""

    weight: float = Field(gt=0)
    of: Annotated[FilesSource | DatasetSource, Field(discriminator="source")]


class MixtureSource(SizedSource):
    """A corpus out of others, in which each part has tokens in proportion to its weight, on both sides.

    Parts say nothing about `tokens` and `heldout_tokens` that counts: the mixture's own, times the weight, take their
    place. They share one tokenizer. Documents of all parts stand in one order drawn from `seed`.
    """

    source: Literal["mixture"]
    parts: tuple[MixturePart, ...] = Field(min_length=2)
    seed: int = Field(default=0, ge=0)


CorpusSource = Annotated[FilesSource | PcfgSource | DatasetSource | MixtureSource, Field(discriminator="source")]
