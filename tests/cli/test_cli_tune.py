"""`isoloss tune` from outside: a planted rule of rate and batch comes back, edges and refusals are said."""

import csv
from pathlib import Path

import numpy as np
import pytest

SIZES, HORIZONS = (6e7, 1.2e8, 2.4e8, 4.8e8), (1.0, 4.0)
COLUMNS = ("--params", "N", "--tokens", "D", "--rate", "lr", "--batch-tokens", "bs * 2048", "--loss", "loss")


def best(params: float, tokens: float, batch: float) -> float:
    return 2e-3 * (params / 2e8) ** -0.6 * (tokens / 1e10) ** 0.2 * (batch / 5e5) ** 0.4


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Four sizes at two horizons of their own each; one run that diverged."""
    path = tmp_path / "sweep.csv"
    with path.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["N", "D", "lr", "bs", "loss"])
        for params in SIZES:
            for tokens in (1e10 * horizon * (params / 2e8) ** 0.5 for horizon in HORIZONS):
                for bs in (64, 128, 256, 512, 1024):
                    for rate in 1e-3 * 2.0 ** np.arange(-4, 5):
                        off = np.log(rate / best(params, tokens, bs * 2048))
                        own = 0.02 * off**2 + 0.01 * np.log(bs * 2048 / (5e5 * (tokens / 1e10) ** 0.3)) ** 2
                        table.writerow([params, tokens, rate, bs, "" if off > 3 else np.exp(1.0 + own)])
    return path


def test_rules_come_back_with_what_they_say_of_a_run(isoloss, sweep: Path) -> None:
    outcome = isoloss("tune", sweep, *COLUMNS, "--at", "1e9,1e11", "--json")
    assert outcome.code == 0
    (found,) = outcome.json["sweeps"]
    exponents = [found["rate"]["exponents"][name]["value"] for name in ("params", "tokens", "batch_tokens")]
    assert exponents == pytest.approx([-0.6, 0.2, 0.4], abs=1e-6)
    (recipe,) = found["recipes"]
    batch = 5e5 * 10**0.3
    assert recipe["batch_tokens"]["value"] == pytest.approx(batch, rel=1e-6)
    assert recipe["peak_lr"]["value"] == pytest.approx(best(1e9, 1e11, batch), rel=1e-6)


def test_a_person_reads_cells_and_sentences(isoloss, sweep: Path) -> None:
    outcome = isoloss(
        "tune", sweep, *COLUMNS, "--where", "lr < 5e-3"
    )  # beyond which the smallest models' best rates lie
    assert outcome.code == 0
    assert "≥" in outcome.out, "edges are marked"
    assert "parameters to the power -0.6" in " ".join(outcome.out.split())


def test_no_law_is_exit_1_and_a_wrong_call_exit_2(isoloss, sweep: Path) -> None:
    assert isoloss("tune", sweep, *COLUMNS, "--where", "N < 2e8").code == 1
    assert isoloss("tune", sweep, *COLUMNS, "--at", "1e9").code == 2
    outcome = isoloss("tune", sweep, "--params", "N", "--tokens", "D", "--rate", "learning_rate")
    assert outcome.code == 2


def test_a_sweep_without_a_batch_is_told_how_to_say_so(isoloss, tmp_path: Path) -> None:
    """One size at four horizons: the law is of horizons, and says of how many."""
    rows = [(5e7, d, r, np.exp(1 + 0.02 * np.log(r / 1e-3 * d**0.2) ** 2)) for d in (1, 4, 16, 64)
            for r in 2e-2 * 0.5 ** np.arange(10)]  # fmt: skip
    text = "\n".join(f"{n},{d}e9,{r},{loss}" for n, d, r, loss in rows)
    (tmp_path / "sweep.csv").write_text(f"params,tokens,lr,loss\n{text}\n")
    asked = ("tune", "sweep.csv", "--rate", "lr", "--loss", "loss")
    refused = isoloss(*asked)
    assert refused.code == 2
    assert "none" in refused.err
    found = isoloss(*asked, "--batch-tokens", "none")
    assert found.code == 0
    assert "4 horizons" in " ".join(found.out.split())
