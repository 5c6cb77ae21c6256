"""The compiled second stage of comparing predictors: coefficients of a left-out source as functions of a measure.

For one assignment of the measure to the corpora, every source is left out in turn. Which coefficients follow the
measure, and how, is chosen among the remaining sources by leaving one more out: from one law for all, the single change
that predicts these best is made as long as one predicts them better. A million such choices make a permutation test,
hence the compiler.

Legend: S sources, J corpora, coefficients 5 and as the sixth the balance; forms 0 shared, 1 linear, 2 log-linear.
"""

from typing import Any, NamedTuple

import numpy as np

from isoloss.laws._arithmetic import entry, exponential, leaf, logarithm, part

FORMS, COEFFICIENTS, ALL = 3, 5, 6
# E may be 0: its logarithm is taken of this many nats at least.
LEAST_E = 0.01
SMALLEST_LOSS = 1e-12


class Folds(NamedTuple):
    """What the first stage left: coefficients of each corpus by what was left out.

    `outer` (S, J, 6) without source s, `inner` (S, S, J, 6) without s and t: A0, B0, α, β above zero; the last is
    ln(D*/N*). `source_of` (J,), `weight` (J,) one over the corpora of its source, `balance` (J,) the corpora's own
    ln(D*/N*), NaN where there is none.
    """

    outer: Any
    inner: Any
    source_of: Any
    weight: Any
    balance: Any


class Room(NamedTuple):
    """Room for predictions: exp(−α x) and exp(−β z) by form (forms, n), ln L̂ (n,), mean squares (J,)."""

    size: Any
    data: Any
    log_loss: Any
    squares: Any


class Scored(NamedTuple):
    """The rows on which predictions are scored: those of corpus j are `ends[j]` to `ends[j + 1]`."""

    x: Any
    z: Any
    y: Any
    ends: Any


@leaf
def transformed(value: float, k: int, form: int) -> Any:
    """The coefficient on the scale of its form: logarithms where the form is one of the logarithm."""
    logarithmic = 0 < k < COEFFICIENTS if form == 0 else form == 2
    if not logarithmic:
        return value
    return np.log(max(value, LEAST_E)) if k == 0 else np.log(value)


@leaf
def read_off(values: Any, measure: Any, weights: Any, at: float, k: int, form: int) -> Any:
    """The coefficient at `at` of the weighted mean or line through the corpora of weight above zero.

    Beyond the corpora's own range it goes no further than that range is wide.
    """
    total, level, centre = 0.0, 0.0, 0.0
    low, high = np.inf, -np.inf
    for j in range(values.size):
        if weights[j] > 0:
            value = transformed(values[j], k, form)
            total += weights[j]
            level += weights[j] * value
            centre += weights[j] * measure[j]
            low, high = min(low, value), max(high, value)
    level /= total
    centre /= total
    if form > 0:
        along, across = 0.0, 0.0
        for j in range(values.size):
            if weights[j] > 0:
                away = measure[j] - centre
                along += weights[j] * away * transformed(values[j], k, form)
                across += weights[j] * away * away
        if across > 0:
            level += along / across * (at - centre)
            level = min(max(level, low - (high - low)), high + (high - low))
    logarithmic = 0 < k < COEFFICIENTS if form == 0 else form == 2
    if logarithmic:
        return np.exp(level)
    return max(level, 0.0) if k < COEFFICIENTS else level


@part
def fill_terms(exponents: Any, along: Any, scored: Any, terms: Any) -> None:
    """Fill exp(−exponent · x) of every row for each form (forms, n); exponents are of the row's corpus (J, forms)."""
    for form in range(terms.shape[0]):
        for j in range(exponents.shape[0]):
            for i in range(scored.ends[j], scored.ends[j + 1]):
                terms[form, i] = -exponents[j, form] * along[i]
        exponential(terms[form])


@part
def fill_squares(options: Any, forms: Any, scored: Any, room: Any, squares: Any) -> None:
    """Fill the mean square of ln L − ln L̂ of every corpus (J,), its coefficients (J, 5, forms) by `forms`."""
    size, data, log_loss = room.size[forms[3]], room.data[forms[4]], room.log_loss
    for j in range(squares.size):
        E, A0, B0 = options[j, 0, forms[0]], options[j, 1, forms[1]], options[j, 2, forms[2]]
        for i in range(scored.ends[j], scored.ends[j + 1]):
            log_loss[i] = max(E + A0 * size[i] + B0 * data[i], SMALLEST_LOSS)
    logarithm(log_loss)
    for j in range(squares.size):
        total = 0.0
        for i in range(scored.ends[j], scored.ends[j + 1]):
            total += (scored.y[i] - log_loss[i]) ** 2
        squares[j] = total / (scored.ends[j + 1] - scored.ends[j])


@part
def inner_error(options: Any, forms: Any, scored: Any, folds: Any, left_out: int, room: Any) -> Any:
    """Mean error over the sources other than `left_out`."""
    fill_squares(options, forms, scored, room, room.squares)
    total = 0.0
    for j in range(folds.source_of.size):
        if folds.source_of[j] != left_out:
            total += folds.weight[j] * np.sqrt(room.squares[j])
    return total


@part
def descend(options: Any, scored: Any, folds: Any, left_out: int, forms: Any, room: Any) -> Any:
    """Change the form of one coefficient at a time, always the best change, until none lowers the error; return it."""
    least = inner_error(options, forms, scored, folds, left_out, room)
    while True:
        coefficient, form = -1, 0
        for k in range(COEFFICIENTS):
            now = forms[k]
            for candidate in range(FORMS):
                if candidate != now:
                    forms[k] = candidate
                    error = inner_error(options, forms, scored, folds, left_out, room)
                    if error < least:
                        least, coefficient, form = error, k, candidate
            forms[k] = now
        if coefficient < 0:
            return least
        forms[coefficient] = form


@part
def choose_forms(options: Any, scored: Any, folds: Any, published: Any, left_out: int, forms: Any, room: Any) -> None:
    """Fill `forms` (5,) with the better end of two descents: from all shared, and from the published forms.

    From the first alone, coefficients that move against each other are missed: each alone makes the error worse.
    """
    fill_terms(options[:, 3], scored.x, scored, room.size)
    fill_terms(options[:, 4], scored.z, scored, room.data)
    other = np.empty(COEFFICIENTS, dtype=np.int64)
    for k in range(COEFFICIENTS):
        forms[k], other[k] = 0, published[k]
    error = descend(options, scored, folds, left_out, forms, room)
    if descend(options, scored, folds, left_out, other, room) < error:
        for k in range(COEFFICIENTS):
            forms[k] = other[k]


@part
def balance_form(options: Any, folds: Any, left_out: int) -> int:
    """1 where a line predicts the other corpora's own balances better than their mean does, else 0."""
    errors = np.zeros(2)
    for j in range(folds.source_of.size):
        if folds.source_of[j] != left_out and np.isfinite(folds.balance[j]):
            for form in range(2):
                errors[form] += folds.weight[j] * abs(options[j, COEFFICIENTS, form] - folds.balance[j])
    return 1 if errors[1] < errors[0] else 0


@leaf
def fill_options(folds: Any, measure: Any, left_out: int, options: Any, weights: Any) -> None:
    """Fill what each form says of the corpora of every source t, learned without `left_out` and t."""
    J = folds.source_of.size
    for t in range(folds.outer.shape[0]):
        if t != left_out:
            for j in range(J):
                outside = folds.source_of[j] != left_out and folds.source_of[j] != t
                weights[j] = folds.weight[j] if outside else 0.0
            values = folds.inner[left_out, t]
            for j in range(J):
                if folds.source_of[j] == t:
                    for k in range(ALL):
                        for form in range(FORMS if k < COEFFICIENTS else 2):
                            options[j, k, form] = read_off(values[:, k], measure, weights, measure[j], k, form)


@entry
def predict_left_out(
    measures: Any, folds: Any, scored: Any, published: Any, choose: bool, predicted: Any, chosen: Any, errors: Any
) -> None:
    """Fill, for every assignment of a measure (P, J), what is said of each corpus when its source is left out.

    `predicted` (P, J, 6) coefficients and balance, `chosen` (P, S, 6) forms, `errors` (P, J) root mean squares of
    ln L − ln L̂. Without `choose`, the forms are `published` (6,).
    """
    S, J = folds.outer.shape[0], folds.source_of.size
    options = np.zeros((J, ALL, FORMS))
    weights = np.zeros(J)
    n = scored.y.size
    room = Room(np.empty((FORMS, n)), np.empty((FORMS, n)), np.empty(n), np.empty(J))
    own = np.zeros(COEFFICIENTS, dtype=np.int64)
    said = np.zeros((J, ALL, 1))
    for p in range(measures.shape[0]):
        measure = measures[p]
        for s in range(S):
            forms = chosen[p, s]
            if choose:
                fill_options(folds, measure, s, options, weights)
                choose_forms(options, scored, folds, published, s, forms[:COEFFICIENTS], room)
                forms[COEFFICIENTS] = balance_form(options, folds, s)
            else:
                for k in range(ALL):
                    forms[k] = published[k]
            for j in range(J):
                weights[j] = folds.weight[j] if folds.source_of[j] != s else 0.0
            for j in range(J):
                if folds.source_of[j] == s:
                    for k in range(ALL):
                        predicted[p, j, k] = read_off(folds.outer[s][:, k], measure, weights, measure[j], k, forms[k])
        for j in range(J):
            for k in range(ALL):
                said[j, k, 0] = predicted[p, j, k]
        fill_terms(said[:, 3], scored.x, scored, room.size[:1])
        fill_terms(said[:, 4], scored.z, scored, room.data[:1])
        fill_squares(said, own, scored, room, room.squares)
        for j in range(J):
            errors[p, j] = np.sqrt(room.squares[j])


@entry
def forms_by_left_out(measure: Any, folds: Any, scored: Any, published: Any, forms: Any) -> None:
    """Fill `forms` (6,) with those that predict left-out sources best, all sources taking part.

    `folds.inner` is (1, S, J, 6): what was learned without source t.
    """
    J, n = folds.source_of.size, scored.y.size
    options = np.zeros((J, ALL, FORMS))
    room = Room(np.empty((FORMS, n)), np.empty((FORMS, n)), np.empty(n), np.empty(J))
    nobody = np.int64(-1)  # a plain -1 would have everything compiled once more, for that number
    fill_options(folds, measure, nobody, options, np.zeros(J))
    choose_forms(options, scored, folds, published, nobody, forms[:COEFFICIENTS], room)
    forms[COEFFICIENTS] = balance_form(options, folds, nobody)
