"""How often a plan may read its corpus: what a text can bear, and how much of it a plan needs.

Muennighoff et al. 2023, arXiv:2305.16264: up to four passes repeats are nearly as good as new text, and the worth of
one more falls by e every 15.4 repeats. A plan that reads a text until one more pass is worth less than a tenth of new
text is refused.
"""

import math

from isoloss.core.errors import InputError
from isoloss.core.numbers import counted
from isoloss.fitting.domain import LawWarning
from isoloss.planning.corpus_statistics import CorpusStatistics
from isoloss.planning.laws import PUBLISHED_HALF_LIVES

GOOD_AS_NEW = 4.0
LEAST_WORTH = 0.1  # of new text
MOST_PASSES = 1 - PUBLISHED_HALF_LIVES[0] * math.log(LEAST_WORTH)


def refuse_too_many_passes(tokens: float, corpus: CorpusStatistics, unit: str, *, bears: float | None) -> None:
    """Raise InputError for a plan that reads the corpus more than 36 times. `bears` is the budget it can bear."""
    unique = corpus.unique_tokens or corpus.most_tokens
    if unique is None or tokens <= MOST_PASSES * unique:
        return
    least = "" if corpus.unique_tokens else "at least "
    within = "" if bears is None else f"plan four passes, which this text supports: --flops {bears:.2g}; or "
    raise InputError(
        f"the plan reads {corpus.name} ({counted(unique)} {unit}) {least}{_how_often(tokens / unique)}. At most "
        f"{MOST_PASSES:.0f} passes (epochs) are allowed, because a further pass is worth less than a tenth of new text "
        "(Muennighoff et al. 2023)",
        fix=f"{within}bring {tokens / GOOD_AS_NEW:.2g} {unit} of text{_in_bytes(tokens / GOOD_AS_NEW, corpus)}, "
        "enough with four passes; or, if these files are a sample of a larger text, plan for unlimited text "
        "with --no-repeat",
    )


def repeat_warning(tokens: float, corpus: CorpusStatistics, unit: str) -> tuple[LawWarning, ...]:
    """Return the warning that a plan counts every pass as new text and reads the corpus more than once."""
    unique = corpus.unique_tokens
    if unique is None or tokens <= unique:
        return ()
    times = tokens / unique
    wanted = (
        ""
        if times <= GOOD_AS_NEW
        else f" For at most four passes it needs {tokens / GOOD_AS_NEW:.2g} {unit}"
        f"{_in_bytes(tokens / GOOD_AS_NEW, corpus)}."
    )
    message = (
        f"the plan reads {corpus.name} ({counted(unique)} {unit}) {_how_often(times)} and counts every pass as new "
        f"text. That is nearly true up to four passes. Further passes are worth less and less.{wanted}"
    )
    return (LawWarning(code="tokens_repeat", message=message),)


def _how_often(passes: float) -> str:
    return f"{passes:.3g} times" if passes < 1000 else f"{passes:,.0f} times" if passes < 1e5 else f"{passes:.1e} times"


def _in_bytes(tokens: float, corpus: CorpusStatistics) -> str:
    size = tokens * (corpus.bytes_per_token or 0.0)
    if not size or corpus.bytes_per_token == 1:
        return ""
    return f" ({size:.2g} bytes)"
