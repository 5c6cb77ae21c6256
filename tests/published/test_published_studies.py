"""Hoffmann et al. 2022 and Muennighoff et al. 2023 again."""

from dataclasses import replace

import numpy as np
import pytest
from published_data import folder
from test_published_rows import broken

from isoloss.laws.chinchilla import Chinchilla
from isoloss.published import datablations, studies
from isoloss.published.chinchilla.stopping import search_with
from isoloss.published.reproduction import Reproduction
from isoloss.runs.observations import observations


@pytest.fixture(scope="module")
def hoffmann() -> Reproduction:
    return studies.reproduce("chinchilla", folder("chinchilla2022"))


@pytest.fixture(scope="module")
def muennighoff() -> Reproduction:
    return studies.reproduce("datablations", folder("datablations2023"))


def verdict(found: Reproduction, start: str) -> str:
    return next(claim.verdict for claim in found.claims if claim.claim.startswith(start))


def test_every_number_of_both_chinchilla_papers_is_reproduced(hoffmann: Reproduction) -> None:
    assert len(hoffmann.rows) == 31
    assert hoffmann.apart == []


def test_the_published_law_fails_its_own_points_and_the_refitted_one_agrees_with_approach_2(
    hoffmann: Reproduction,
) -> None:
    assert verdict(hoffmann, "L = 1.69") == "does not hold"
    assert verdict(hoffmann, "Refitted") == "holds"
    assert verdict(hoffmann, "Averaging") == "holds"
    assert "Approach 1" in hoffmann.not_shown


def test_the_half_life_of_repeated_data_is_no_optimum_and_hardly_determined(muennighoff: Reproduction) -> None:
    assert {row.quantity.split(" ")[0] for row in muennighoff.apart} == {"R_D*", "R_N*"}
    best = next(row for row in muennighoff.rows if row.quantity.startswith("R_D* of the best"))
    assert best.reproduced == pytest.approx(95.365, rel=1e-4)
    assert verdict(muennighoff, "Repeated tokens have a half-life") == "does not hold"
    assert verdict(muennighoff, "The half-life does not depend") == "does not hold"
    assert verdict(muennighoff, "Up to four epochs") == "holds"


def test_numbers_moved_by_a_digit_are_said_to_differ(hoffmann: Reproduction, muennighoff: Reproduction) -> None:
    for found in (hoffmann, muennighoff):
        agreeing = [row for row in found.rows if row.within]
        assert [row.quantity for row in agreeing if replace(row, published=broken(row)).within] == []


def test_new_tokens_are_worth_themselves_and_repeats_ever_less() -> None:
    worth = [datablations.repeat_worth(epochs, 15.4) for epochs in (1, 2, 4, 16, 1000)]
    assert worth[0] == 1
    assert worth == sorted(worth, reverse=True)
    # For ever more epochs the effective tokens end at 1 + R*.
    assert worth[-1] * 1000 == pytest.approx(16.4, rel=1e-6)


def test_an_averaged_objective_ends_a_search_further_from_the_optimum() -> None:
    """On rows of a known law without noise, both from the same start: the mean's derivatives are 60 times smaller."""
    truth = np.array([1.8, 480.0, 2100.0, 0.35, 0.37])
    params, tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 10)))
    loss = Chinchilla.loss(truth, params=params, tokens=tokens)
    noisy = loss * np.exp(np.random.default_rng(0).normal(0, 0.01, len(loss)))
    table = observations(params=params, tokens=tokens, loss_nats=noisy)
    starts = np.array([[1.0, 150.0, 150.0, 0.5, 0.5], [1.0, 2e4, 150.0, 0.5, 0.5]])
    summed, averaged = (search_with(table, starts, reduction=one) for one in ("sum", "mean"))
    assert summed.objective < averaged.objective
    assert averaged.successes == 2
