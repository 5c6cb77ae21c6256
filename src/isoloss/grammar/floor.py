"""The floor: the loss of the best possible next-token predictor, which knows the grammar, exact to round-off.

The probability of a token given those before it in its document is a ratio of prefix probabilities (Jelinek & Lafferty
1991), computed left to right by Earley's algorithm with forward and inner probabilities (Stolcke 1995). What makes it
fast here, and exact to round-off:

- A document is *sentence → start separator* derived again and again: the ends of sentences need no code of their own.
- An item's forward probability is its inner one times how often its nonterminal was expected to begin at its origin. So
  only inner probabilities are kept, and predictions stay one vector a column: rules are looked up by their first symbol
  when a token or a finished nonterminal meets them, never enumerated.
- Dotted rules of one nonterminal with the same symbols left to read are one state.
- The document is known, so an item that cannot be followed by its next token is not kept.
- Left recursion and chains of unit rules are summed beforehand, by Stolcke's matrices R_L and R_U.
- Inner probabilities are divided by the probability of each token as it is read: nothing underflows. Items that came to
  less than 1e-20 of the probability of what was read are dropped.

Grammars need not terminate: a prefix has a probability wherever every derivation goes on to emit tokens.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import ceil
from statistics import NormalDist

import numpy as np

from isoloss.core.errors import BadCorpus, BadGrammar
from isoloss.core.estimate import LEVEL, Estimate
from isoloss.core.rng import derive_seed
from isoloss.grammar._floor_kernels import COUNTERS, NONE, Automaton, Chart, score_documents
from isoloss.grammar.automaton import compile_automaton
from isoloss.grammar.branching import Floats
from isoloss.grammar.pcfg import Grammar
from isoloss.grammar.sampler import Documents, Tables, token_dtype

BLOCK_DOCUMENTS = 256
FIRST_ITEMS = 2**13  # chart items a document may make at first; a document that needs more gets four times as many
# An item is dropped when its probability given the tokens so far falls below this. In the most ambiguous grammars seen
# (thousands of items a column) what is dropped at a token sums to less than 1e-16 of its probability, below round-off;
# kept, nine items in ten would be such, and an inner probability, relative to its ever less likely nonterminal, could
# overflow.
NEGLIGIBLE = 1e-20
# A half-width this small will do for any value: seeds of small trained models differ by more.
FINE_NATS = 1e-3
MAX_TOKENS = 20_000_000  # where sampling stops at the latest: 2 to 6 s on one core for the published grammars
# The count of documents still needed is itself an estimate; a tenth more saves most second thoughts.
HEADROOM = 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor(Estimate):
    """An estimate of the floor in nats per token, and whether sampling reached the tolerance or stopped at its cap."""

    documents: int
    within_tolerance: bool

    def to_json(self) -> dict[str, float | None]:
        """Return the estimate, how many documents it took, and whether it is as narrow as was asked."""
        # Not super(): a dataclass with slots is another class than the one super() would look for.
        return {**Estimate.to_json(self), "documents": self.documents, "within_tolerance": self.within_tolerance}


def document_floor(grammar: Grammar, documents: Documents, *, workers: int = 1) -> Floats:
    """Return −ln p(token | tokens before it in its document), in nats, shape (documents, tokens), first token included.

    Documents start at a sentence start and may be cut anywhere. Raises BadGrammar where the grammar may emit no next
    token, BadCorpus where a document is none of the grammar's.
    """
    for extreme in (documents.min(), documents.max()) if documents.size else ():
        if not 0 <= extreme < grammar.vocabulary_size:
            raise BadCorpus(f"token {extreme} is outside the grammar's {grammar.vocabulary_size} tokens")
    automaton = compile_automaton(grammar)
    # A copy: the kernel would be compiled anew for arrays of another type, or that are read-only as memory maps are.
    writable = np.array(documents, dtype=token_dtype(grammar.vocabulary_size), order="C")
    blocks = np.split(writable, range(BLOCK_DOCUMENTS, len(documents), BLOCK_DOCUMENTS))
    with ThreadPoolExecutor(workers) as pool:
        losses = np.concatenate(list(pool.map(lambda block: _score(automaton, block), blocks)))
    if (impossible := np.argwhere(np.isinf(losses))).size:
        document, position = impossible[0].tolist()
        raise BadCorpus(
            f"token {documents[document, position]} at position {position} of document {document} is impossible",
            fix="score documents sampled from this grammar, with the same conditioning",
        )
    return losses


def scored_means(losses: Floats) -> Floats:
    """Return each document's mean loss over the positions a run is scored on: all but the first. Shape (documents,)."""
    return np.asarray(losses[:, 1:].mean(axis=1))


def mean_over_documents(means: Floats) -> Estimate:
    """Return the mean over documents, which are independent draws, with its normal interval; of one without."""
    if len(means) == 1:
        return Estimate(value=float(means[0]))
    return Estimate.from_stderr(float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(means))))


def estimate_floor(
    grammar: Grammar,
    *,
    context: int,
    seed: int,
    tolerance: float = 0.005,
    max_tokens: int = MAX_TOKENS,
    workers: int = 1,
) -> Floor:
    """Return the expected loss of the best predictor on documents of `context` tokens, positions 2 to `context`.

    Documents are sampled, and each scored exactly, until the half-width of the 95 % interval is at most `tolerance` of
    the value, or `max_tokens` tokens are used: `within_tolerance` says which. The same for any number of workers.
    """
    if context < 2:
        raise BadGrammar(f"a context of {context} tokens leaves no position to score", fix="ask for at least two")
    automaton, tables = compile_automaton(grammar), Tables.of(grammar)
    documents_seed = derive_seed(seed, "grammar floor")

    def block_means(number: int) -> Floats:
        return scored_means(_score(automaton, tables.block(documents_seed, number, (BLOCK_DOCUMENTS, context))))

    means = np.empty(0)
    cap = max(1, max_tokens // (BLOCK_DOCUMENTS * context))
    wanted = 1
    with ThreadPoolExecutor(workers) as pool:
        while len(means) < wanted * BLOCK_DOCUMENTS:
            done = len(means) // BLOCK_DOCUMENTS
            means = np.concatenate([means, *pool.map(block_means, range(done, wanted))])
            wanted = min(cap, _blocks_needed(means, tolerance))
    return _estimate(means, tolerance)


def _score(automaton: Automaton, documents: Documents) -> Floats:
    """−ln p of every token of one block; a document that overflows the chart is scored again in a larger one."""
    losses = np.empty(documents.shape)
    done, items = 0, FIRST_ITEMS
    while done < len(documents):
        chart = _new_chart(len(automaton.left_corner), documents.shape[1], items)
        done = score_documents(documents, losses, done, automaton, chart)
        items *= 4
    return losses


def _new_chart(types: int, tokens: int, items: int) -> Chart:
    columns = tokens + 1
    return Chart(
        outer=np.zeros((columns, types)),
        complete=np.zeros((columns, types)),
        pending=np.full((columns, types), NONE),
        waiting=np.full((columns, types), NONE),
        heads=np.full(columns, NONE),
        state=np.zeros(items, np.int32),
        origin=np.zeros(items, np.int32),
        next=np.zeros(items, np.int32),
        inner=np.zeros(items),
        table=np.zeros(items // 2, np.int64),
        counters=np.zeros(COUNTERS, np.int64),
        mass=np.zeros(types),
        listed=np.zeros(types, np.int32),
        negligible=NEGLIGIBLE,
    )


def _half_width(means: Floats) -> float:
    return NormalDist().inv_cdf((1 + LEVEL) / 2) * float(means.std(ddof=1) / np.sqrt(len(means)))


def _wanted(means: Floats, tolerance: float) -> float:
    return max(FINE_NATS, tolerance * float(means.mean()))


def _blocks_needed(means: Floats, tolerance: float) -> int:
    """How many blocks would bring the interval within `tolerance`, at most four times those there are."""
    done = len(means) // BLOCK_DOCUMENTS
    half, wanted = _half_width(means), _wanted(means, tolerance)
    return done if half <= wanted else max(done + 1, min(4 * done, ceil(HEADROOM * done * (half / wanted) ** 2)))


def _estimate(means: Floats, tolerance: float) -> Floor:
    within = _half_width(means) <= _wanted(means, tolerance)
    return Floor(**asdict(mean_over_documents(means)), documents=len(means), within_tolerance=within)
