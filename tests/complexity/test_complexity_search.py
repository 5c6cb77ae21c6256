"""What a search finds is what was wanted, by a measurement of its own; what cannot be is refused or admitted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoloss.complexity.base import MeasureSettings
from isoloss.complexity.candidates import RANGES, anywhere, nearby
from isoloss.complexity.measure import measure_tokens
from isoloss.complexity.search import checked, search_grammars
from isoloss.complexity.wanted import Tolerances, Wanted
from isoloss.core.errors import InputError, NothingFound
from isoloss.core.progress import Quiet
from isoloss.grammar.floor import estimate_floor
from isoloss.grammar.sampler import sample_documents

CONTEXT = 64


def search(*, count=1, candidates=400, tolerances=None, seed=3, **wanted):
    return search_grammars(
        Wanted(**wanted), count=count, candidates=candidates, tolerances=tolerances or Tolerances(), context=CONTEXT,
        settings=MeasureSettings(sequence_tokens=CONTEXT), seed=seed,
    )  # fmt: skip


def test_a_found_grammar_has_what_was_wanted_by_fresh_documents():
    loose = Tolerances(gzip=0.02, floor=0.05, vocabulary=5)
    (found,) = search(gzip=0.45, floor=0.9, vocabulary=60, tolerances=loose)
    language = found.spec.language()
    documents = sample_documents(language, documents=1000, document_tokens=CONTEXT, seed=99)
    # Other documents than those it was chosen by: twice their standard errors (.002 and .0125 nats) on top.
    assert measure_tokens(documents, "gzip").value.value == pytest.approx(0.45, abs=0.02 + 0.004)
    assert estimate_floor(language, context=CONTEXT, seed=99).value == pytest.approx(0.9, abs=0.05 + 0.025)
    assert len(np.unique(documents)) <= found.vocabulary <= language.vocabulary_size == 60
    assert found.vocabulary >= 55
    assert found.unigram == language.unigram_nats


def test_replicates_have_rules_of_their_own_and_a_seed_finds_the_same():
    found = search(count=3, gzip=0.4, tolerances=Tolerances(gzip=0.02))
    assert len({grammar.spec.seed for grammar in found}) == 3
    assert len({grammar.spec.build().fingerprint for grammar in found}) == 3
    assert all(abs(grammar.gzip.value - 0.4) <= 0.02 for grammar in found)
    again = search(count=3, gzip=0.4, tolerances=Tolerances(gzip=0.02))
    assert [grammar.to_json() for grammar in again] == [grammar.to_json() for grammar in found]
    # The first of many is the one of one.
    assert search(gzip=0.4, tolerances=Tolerances(gzip=0.02))[0].spec == found[0].spec
    assert search(gzip=0.4, tolerances=Tolerances(gzip=0.02), seed=4)[0].spec != found[0].spec


def test_nothing_found_shows_the_closest():
    with pytest.raises(
        NothingFound, match=r"none of 30 grammars tried has gzip 0.95 ± 0.005; nearest: gzip 0\.\d+.* with "
    ) as e:
        search(gzip=0.95, candidates=30)
    assert "widen a tolerance" in e.value.fix
    assert e.value.exit_code == 1


def test_progress_names_the_nearest():
    class Listening(Quiet):
        def __init__(self):
            super().__init__()
            self.output = []

        def task(self, title, *, total):
            from contextlib import nullcontext

            self.total = total
            self.advance = lambda amount, detail=None: self.output.append((amount, detail))
            return nullcontext(self)

    heard = Listening()
    search_grammars(Wanted(unigram=3), count=2, candidates=500, tolerances=Tolerances(unigram=0.02), progress=heard)
    assert sum(amount for amount, _ in heard.output) == heard.total == 1000
    assert any(detail and detail.startswith("nearest: unigram ") for _, detail in heard.output)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gzip": 1.5}, "gzip is 1.5"),
        ({"floor": -1.0}, "floor is -1.0"),
        ({"vocabulary": 1}, "vocabulary is 1"),
        ({"floor": 3.0, "unigram": 2.0}, "floor of 3.0 is not below the unigram entropy 2.0"),
        ({"floor": 3.0, "vocabulary": 10}, r"floor of 3.0 nats is above ln 10 = 2.303"),
    ],
)
def test_what_cannot_be_is_refused_before_the_search(values, message):
    with pytest.raises(InputError, match=message) as caught:
        checked(Wanted, **values)
    assert caught.value.fix


def test_wanting_nothing_is_refused():
    with pytest.raises(InputError, match="no wanted property"):
        search()


@given(seed=st.integers(0, 2**32), terminals=st.one_of(st.none(), st.integers(2, 500)))
@settings(max_examples=30)
def test_candidates_stay_in_range(seed, terminals):
    rng = np.random.default_rng(seed)
    spec = anywhere(rng, terminals=terminals)
    for _ in range(20):
        after = nearby(rng, spec, terminals=terminals)
        assert after != spec
        spec = type(after).model_validate(after.model_dump())
        assert terminals is None or spec.terminals == terminals
        for name in ("nonterminals", "max_rules", "max_rhs"):
            assert RANGES[name][0] <= getattr(spec, name) <= RANGES[name][1]
