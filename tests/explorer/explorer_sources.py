"""Laws to explore, made without a search: one real fit, and every form with parameters and draws of our own."""

from dataclasses import replace

import numpy as np

from isoloss.core.estimate import Estimate
from isoloss.core.rng import stream
from isoloss.explorer.sources import PageLaw, Source
from isoloss.fitting.fitted import FittedLaw
from isoloss.fitting.fitting import fit
from isoloss.laws.farseer import Farseer
from isoloss.laws.registry import open_law
from isoloss.optima.best_size import BestSize
from isoloss.runs.observations import Observations, observations

SIZES, TOKENS = (12e3, 35e3, 1e5, 2.6e5), (62.5e3, 125e3, 250e3, 500e3, 1e6)
HOSTILE = "</script><script>window.owned=1</script><img src=x onerror=window.owned=1>"
# Parameters of loss between 1 and 4 nats over those sizes and tokens.
CENTRE = np.array([np.log(5e4), np.log(2.5e5)])
TRUTHS = {
    "chinchilla": (0.75, 17.0, 92.0, 0.34, 0.42),
    "coupled": (0.75, 17.0, 92.0, 0.34, 0.42, 0.6),
    "ceiling": (0.75, 6.0, 30.0, 0.34, 0.42, 5.5),
    "repeated": (0.75, 17.0, 92.0, 0.34, 0.42, 15.4, 5.3),
    "kaplan": (8e6, 6e6, 0.24, 0.30),
    "farseer": tuple(
        Farseer.to_values(np.array([-0.15, np.log(1.1), -0.1, 0.0, np.log(0.7), 0.05, 0.02, np.log(0.4), 0.05]), CENTRE)
    ),
}
DRAWS = 60


def simulated(corpus: str, *, params_convention: str = "with_head", scale: float = 1.0) -> Observations:
    """Return 20 runs of Chinchilla's form with noise, three of them flagged, N counted `scale` times."""
    n, d = (each.ravel() for each in np.meshgrid(SIZES, TOKENS))
    E, A, B, alpha, beta = TRUTHS["chinchilla"]
    noise = stream(0, "explored runs", corpus).standard_normal(len(n))
    loss = (E + A / n**alpha + B / d**beta) * np.exp(0.004 * noise)
    flags = [("unconverged",) if i in (3, 7, 11) else () for i in range(len(n))]
    return observations(
        params=scale * n, tokens=d, loss_nats=loss, corpus=[corpus] * len(n), stderr=[0.006] * len(n), flags=flags,
        run=[f"run1-{corpus}-{i}" for i in range(len(n))], params_convention=params_convention,
    )  # fmt: skip


def every_form(corpus: str) -> dict[str, FittedLaw]:
    """Return a law of every form that the page has, fitted ones all but for their parameters."""
    fitted = fit(simulated(corpus), bootstrap=0)
    laws = {}
    for form, truth in TRUTHS.items():
        definition, values = open_law(form), np.array(truth)
        steps = stream(0, "explored draws", form).standard_normal((DRAWS, len(values)))
        draws = values * np.exp(0.02 * steps)
        laws[form] = replace(
            fitted, definition=definition, draws=draws, noise=np.zeros((DRAWS, 2)),
            params={
                name: Estimate.from_draws(draws[:, i], value=float(values[i]))
                for i, name in enumerate(definition.parameters)
            },
        )  # fmt: skip
    return laws


def explored(corpus: str, laws: dict[str, FittedLaw]) -> Source:
    """Return laws with the runs and one weighted answer, counted in two ways: the second has twice the parameters."""
    runs = simulated(corpus)
    ratio = Estimate(value=8.0, low=6.0, high=11.0)
    best = BestSize(corpus=corpus, flops=1e11, inside=True, reason="", tokens_per_param=ratio)
    doubled = replace(laws["chinchilla"], params_convention="total")
    return Source(
        name="laptop",
        laws=tuple(PageLaw(base=law) for law in (*laws.values(), doubled)),
        runs={"with_head": runs, "total": simulated(corpus, params_convention="total", scale=2.0)},
        weighted={"with_head": [best]},
    )
