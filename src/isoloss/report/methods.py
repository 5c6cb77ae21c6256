"""How each number of the report is defined, in the words of this study's own settings."""

import numpy as np

from isoloss.core.numbers import plain, power_of_ten
from isoloss.data_dependence.balance import measure_in_words, measured_as
from isoloss.report.blocks import Note
from isoloss.report.data import ReportData
from isoloss.runs.observations import Observations

CONVENTIONS = {
    "total": "Every weight of the model, embeddings included.",
    "non_embedding": "The matrices inside the blocks; neither embedding nor output head (Kaplan et al. 2020).",
    "with_head": "The matrices inside the blocks and the output head, not the embedding (Porian et al. 2024).",
    "with_attention": "As with head, and the multiplications of the attention scores (Porian et al. 2024).",
}
SIX_N_D = "C = 6 · N · D, forward and backward."
AS_GIVEN = "As the table of runs gives them."
OBJECTIVES = {
    "huber": "the sum of Huber losses of ln L − ln L̂ with δ = {delta}",
    "lad": "the sum of absolute values of ln L − ln L̂",
    "gaussian": "half the sum of squares of ln L − ln L̂",
}
INTERVAL_METHOD = {
    "rows": "resampled rows",
    "trunks": "resampled curves",
    "parametric_trunks": "simulated curves",
    "none": "none",
}
INDEPENDENCE = (
    "Points of one training curve are not independent. Intervals on derived numbers come from the same refits."
)

LOSS = Note(
    title="Loss",
    text="Cross-entropy of held-out documents in nats per scored token. Positions 2 to n of every window of n tokens "
    "are scored; the first has no context. A document of a generated corpus is one window and starts at a sentence; "
    "windows of text never cross documents. The standard error is over documents.",
)
BITS = Note(
    title="Bits per byte", text="Loss / (ln 2 · bytes per token). Only bits per byte are comparable between tokenizers."
)
BEST_SPLIT = Note(
    title="Best split",
    text="N* and D* have the least loss among all splits of the same C. Several forms of the loss are fitted, and "
    "weighted by how well they predict training curves left out; an interval holds their disagreement. Numbers are "
    "given inside the runs alone. a, the slope of ln N* in ln C, is that of one form, and so is a line of best splits "
    "that leaves the runs.",
)
FLOOR = Note(
    title="Floor",
    text="The loss of the best possible predictor that knows the grammar, on the same held-out documents and "
    "positions. Known only for generated corpora.",
)
BALANCE = (
    "D*/N* at {budget} FLOPs, and ln(D*/N*), its logarithm. Corpora are compared by the mean of the logarithm over "
    "three budgets inside the runs of most of them, by several laws."
)
COMPLEXITY = (
    "Corpora are compared by {measure}. How tokens are written as bytes is part of a compression ratio. Intervals are "
    "over documents."
)
FLAGS = "Flagged runs are shown everywhere, left out of the fits, and the fits are repeated with them."


def method_notes(data: ReportData) -> tuple[Note, ...]:
    """Return the definitions, from the loss of one run to the balance of a budget."""
    runs = data.observations
    meanings = " ".join(f"{flag.capitalize()}: {meaning}." for flag, meaning in data.flag_meanings.items())
    return (
        LOSS,
        BITS,
        Note(title="Parameters N", text=CONVENTIONS.get(runs.params_convention, AS_GIVEN)),
        Note(title="Data D", text=f"Training {runs.data_unit}, repeated ones counted each time."),
        Note(title="Compute C", text=SIX_N_D if counted(runs) else AS_GIVEN),
        *([Note(title="Training", text=data.training)] if data.training else []),
        *_law_notes(data),
        BEST_SPLIT,
        Note(title="Best tokens per parameter", text=BALANCE.format(budget=power_of_ten(data.budget_flops))),
        Note(title="Complexity", text=COMPLEXITY.format(measure=described(data.measure))),
        FLOOR,
        Note(title="Flags", text=f"{meanings} {FLAGS}".strip()),
    )


def described(measure: str) -> str:
    """Return a measure with what its number is: `gzip ratio (compressed size / raw size)`."""
    number = measured_as(measure)
    return f"{measure_in_words(measure)} ({number})" if number else measure_in_words(measure)


def counted(runs: Observations) -> bool:
    """Whether every run's FLOPs are 6 · N · D, whoever counted them."""
    return bool(len(runs)) and np.allclose(runs.flops, 6 * runs.params * runs.tokens, rtol=1e-6)


def _law_notes(data: ReportData) -> list[Note]:
    if not data.laws:
        return []
    law = next(iter(data.laws.values()))
    objective = OBJECTIVES[law.objective].format(delta=plain(law.delta))
    definition = law.definition
    law_text = (
        f"{definition.formula} ({definition.source}), one law per corpus, fitted by minimising {objective}, from many "
        "starts."
    )
    methods = {INTERVAL_METHOD[each.interval_method] for each in data.laws.values()} - {INTERVAL_METHOD["none"]}
    if not methods:
        return [Note(title="Law", text=law_text)]
    intervals = f"95 % percentile intervals of refits to {' or '.join(sorted(methods))}. {INDEPENDENCE}"
    return [Note(title="Law", text=law_text), Note(title="Intervals", text=intervals)]
