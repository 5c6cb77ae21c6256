"""What a law of a formula alone is fitted by: a kernel with numeric derivatives, and checks that name faults."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numba import float64, njit
from numba.extending import is_jitted
from numba.np.unsafe.ndarray import to_fixed_tuple

from isoloss.core.errors import InputError
from isoloss.core.kernels import NO_WAY_IN
from isoloss.laws._arithmetic import OPTIONS
from isoloss.laws.law import Floats, Law

# The cube root of the rounding unit: central differences then lose half as many digits to truncation as to rounding.
DIFFERENCE = 6e-6
LEAST_LOG_LOSS = -700.0  # where the formula gives no positive loss: no start, and no step of the search, leads there
# A derivative that is off by more than this share of its size is wrong; central differences are good to 1e-8.
WRONG = 1e-4
CHECKED_STARTS = 3
TRIED, TRIED_COLUMN = (0.25, 0.5), (1e6, 1e7, 1e8)  # between the limits, and of every column: a formula is tried there


@cache
def kernel_of(law: type[Law]) -> Any:
    """Return the law's kernel, or the one that its formula gives. Raises InputError that names what is amiss."""
    check_definition(law)
    return law.kernel if hasattr(law, "kernel") else _numeric_kernel(law)


def check_definition(law: type[Law]) -> None:
    """Raise InputError where a law's class lacks something or has forgotten a decorator."""
    place = f"law {law.__module__}:{law.__qualname__}"
    for name in ("name", "formula"):
        if not isinstance(getattr(law, name, None), str):
            raise InputError(f"the class has no {name}", place=place, fix=f'add {name} = "…"')
    for name in ("loss_of_run", "limits"):
        if not hasattr(law, "kernel") and not hasattr(law, name):
            raise InputError(
                f"the class has no {name}", place=place,
                fix="define loss_of_run(…), the formula, and limits={…}, one pair per parameter",
            )  # fmt: skip
    if not law.columns:
        raise InputError(
            "the law reads no column of a run", place=place,
            fix="let loss_of_run take columns after the parameters: params, tokens, flops, or others by name",
        )  # fmt: skip
    for name, found in vars(law).items():
        inherited = inspect.getattr_static(Law, name, None)
        if isinstance(inherited, classmethod | staticmethod) and inspect.isfunction(found):
            raise InputError(
                f"{name} is a plain function", place=place, fix=f"write @staticmethod or @classmethod above {name}"
            )
    if hasattr(law, "kernel") and not is_jitted(law.kernel):
        raise InputError("the kernel is a plain Python function", place=place, fix="write @isoloss.compiled above it")
    if hasattr(law, "loss_of_run") and hasattr(law, "limits"):
        _check_limits(law, place)
        _check_formula(law, place)


def _check_limits(law: type[Law], place: str) -> None:
    if not isinstance(law.limits, Mapping):
        raise InputError(f"limits is {law.limits!r}", place=place, fix='write limits = {"A": (1e-3, 1e9), …}')
    wanted = (*law.parameters, *law.columns)
    found = tuple(inspect.signature(law.loss_of_run).parameters)
    if found != wanted:
        raise InputError(
            f"loss_of_run takes ({', '.join(found)})", place=place,
            fix=f"take the parameters of limits, then the columns: ({', '.join(wanted)})",
        )  # fmt: skip
    for name, pair in law.limits.items():
        try:
            low, high = map(float, pair)
        except (TypeError, ValueError):
            low, high = np.nan, np.nan
        if not -np.inf < low < high < np.inf:
            raise InputError(
                f"the limits of {name} are {pair!r}",
                place=place,
                fix="give two finite numbers, the lower first: (0, 3)",
            )


def _check_formula(law: type[Law], place: str) -> None:
    """Raise InputError where the formula does not give a loss for each of several runs at each of several points."""
    low, high = np.array([law.limits[name] for name in law.parameters], dtype=np.float64).T
    points = low + np.outer(TRIED, high - low)
    wanted = (len(points), len(TRIED_COLUMN))
    try:
        with np.errstate(all="ignore"):
            found = law.loss(points[:, None, :], **{name: np.array(TRIED_COLUMN) for name in law.columns}).shape
    except Exception as error:  # a user's formula may raise anything
        raise InputError(
            f"loss_of_run does not take arrays: {type(error).__name__}: {error}", place=place,
            fix="use arithmetic, NumPy's functions, and np.where(condition, a, b) instead of if",
        ) from error  # fmt: skip
    if found != wanted:
        raise InputError(
            f"loss_of_run gives values of shape {found}, expected {wanted}: one for each run", place=place,
            fix="return the loss, computed from the parameters and the columns",
        )  # fmt: skip


def _numeric_kernel(law: type[Law]) -> Any:
    """Return a compiled kernel of `law.loss_of_run`, whose derivatives are central differences within the limits."""
    build: Any = njit(**(OPTIONS | {"cache": False}))
    inner: Any = njit(**(OPTIONS | NO_WAY_IN | {"cache": False}))
    as_tuple: Any = to_fixed_tuple
    p, k = len(law.parameters), len(law.columns)
    given_numbers = p + k
    of_run = _compiled_formula(law, inner(law.loss_of_run), given_numbers)
    by_logarithm = law._by_logarithm()
    low, high = law.bounds(np.empty((1, k)), np.empty(1))

    @inner  # type: ignore[untyped-decorator]
    def log_losses(free: Any, features: Any, out: Any) -> None:
        given = np.empty(given_numbers)
        for j in range(p):
            given[j] = np.exp(free[j]) if by_logarithm[j] else free[j]
        for i in range(out.size):
            for j in range(k):
                given[p + j] = features[j, i]
            loss = of_run(*as_tuple(given, given_numbers))
            out[i] = np.log(loss) if loss > 0 else LEAST_LOG_LOSS

    @build  # type: ignore[untyped-decorator]
    def kernel(free: Any, features: Any, log_loss: Any, jacobian: Any) -> None:
        log_losses(free, features, log_loss)
        moved, below = np.empty(p), np.empty(log_loss.size)
        for j in range(p):
            moved[j] = free[j]
        for j in range(p):
            step = DIFFERENCE * max(1.0, abs(free[j]))
            upper, lower = min(free[j] + step, max(high[j], free[j])), max(free[j] - step, min(low[j], free[j]))
            moved[j] = upper
            log_losses(moved, features, jacobian[j])
            moved[j] = lower
            log_losses(moved, features, below)
            for i in range(log_loss.size):
                jacobian[j, i] = (jacobian[j, i] - below[i]) / (upper - lower)
            moved[j] = free[j]

    return kernel


def _compiled_formula(law: type[Law], of_run: Any, numbers: int) -> Any:
    """Return `of_run` compiled for as many numbers. Raises InputError with what the compiler says of the formula."""
    try:
        of_run.compile((float64,) * numbers)
    except Exception as error:  # what the compiler raises of a body that it cannot read has no base of its own
        said = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Failed in")]
        raise InputError(
            f"loss_of_run does not compile: {[*said, type(error).__name__][0]}",
            place=f"law {law.__module__}:{law.__qualname__}",
            fix="use arithmetic and NumPy's functions of numbers, and import modules outside the function",
        ) from error  # fmt: skip
    return of_run


def check_kernel(
    law: type[Law], starts: Floats, *, features: Floats, origin: Floats, columns: dict[str, Floats]
) -> None:
    """Raise InputError that names the parameter by which the kernel's derivative is not that of the formula.

    Compares ln L and its derivatives with `law.loss`, at the first starts: `features` (k, n) as the kernel reads them,
    `columns` as the formula does.
    """
    place = f"law {law.__module__}:{law.__qualname__}"

    def log_loss(free: Floats) -> Floats:
        with np.errstate(all="ignore"):
            return np.log(law.loss(law.to_values(free, origin), **columns))

    for start in starts[:CHECKED_STARTS]:
        free = np.ascontiguousarray(start, dtype=np.float64)
        found, jacobian = np.empty(features.shape[1]), np.empty((len(free), features.shape[1]))
        kernel_of(law)(free, features, found, jacobian)
        wanted = log_loss(free)
        if not np.isfinite(wanted).all():
            continue
        if _differs(found, wanted):
            raise InputError(
                f"the kernel gives ln L = {found[0]:.6g} for the first run, the formula {wanted[0]:.6g}", place=place,
                fix="let the kernel compute ln of loss(…) from the features that it is given",
            )  # fmt: skip
        for j, name in enumerate(law.parameters):
            step = DIFFERENCE * max(1.0, abs(free[j])) * np.eye(len(free))[j]
            numeric = (log_loss(free + step) - log_loss(free - step)) / (2 * step[j])
            if np.isfinite(numeric).all() and _differs(jacobian[j], numeric):
                worst = int(np.abs(jacobian[j] - numeric).argmax())
                raise InputError(
                    f"the kernel's derivative by {name} is {jacobian[j, worst]:.6g} at run {worst + 1}, the formula's "
                    f"{numeric[worst]:.6g}",
                    place=place, fix=f"correct jacobian[{j}], or remove the kernel: derivatives are then numeric",
                )  # fmt: skip


def _differs(found: Floats, wanted: Floats) -> bool:
    return bool(np.linalg.norm(found - wanted) > WRONG * (np.linalg.norm(wanted) + 1e-3))
