"""What a fit of a law would be refused for whatever the runs are: asked before any is trained."""

import numpy as np

from isoloss.fitting.engine import Problem, pose, starting_points
from isoloss.laws.formula import check_kernel
from isoloss.laws.law import Floats, Law
from isoloss.laws.registry import laws
from isoloss.laws.settings import FitSettings
from isoloss.runs.observations import Observations, observations


def rehearse(law: type[Law], settings: FitSettings) -> None:
    """Raise InputError where `settings` do not apply to a law of N, D and C, or a user's own kernel is wrong."""
    params, tokens = (part.ravel() for part in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 1e11, 4)))
    table = observations(params=params, tokens=tokens, loss_nats=1 + 200 / params**0.35 + 500 / tokens**0.35)
    problem = pose(table, law=law, objective=settings.objective, delta=settings.delta, fixed=settings.fixed)
    check_own(problem, starting_points(problem, settings.starts), table)


def check_own(problem: Problem, points: Floats, table: Observations) -> None:
    """Raise InputError where the kernel of a user's own law is not its formula at free `points` (m, p)."""
    law = problem.law
    if law not in map(laws.__getitem__, laws):
        columns = {name: table.column(name) for name in law.columns}
        check_kernel(law, points, features=problem.features, origin=problem.origin, columns=columns)
