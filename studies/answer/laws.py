"""Laws fitted to the corpora, for claims about coefficients and for contours; balances do not come from them."""

from collections.abc import Sequence

from answer.readings import Readings, as_observations
from isoloss.core.errors import InputError
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit

FORMS = ("chinchilla", "coupled")


def laws_of(readings: Readings, corpora: Sequence[str], form: str, *, draws: int = 0) -> dict[str, FittedLaw]:
    """Return a form's least-squares fit of ln L to every corpus that determines it, with `draws` for intervals."""
    found = {}
    for corpus in corpora:
        try:
            found[corpus] = fit(as_observations(readings.own(corpus)), law=form, objective="gaussian", bootstrap=draws)
        except InputError:
            continue  # too few runs without flags: the page counts how many corpora are left
    return found
