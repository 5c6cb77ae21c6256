"""Where a record comes from. No torch: the main process records workers that died."""

import platform
from functools import cache
from importlib.metadata import version

from isoloss import __version__
from isoloss.runs.record import RunRecord
from isoloss.runs.shapes import count
from isoloss.runs.spec import RunSpec


@cache
def provenance() -> dict[str, str]:
    """Return the versions and the machine that made a record."""
    libraries = {name: version(name) for name in ("torch", "numpy", "numba")}
    return {
        "isoloss": __version__, "python": platform.python_version(), **libraries, "system": platform.system(),
        "machine": platform.machine(),
    }  # fmt: skip


def failed_record(spec: RunSpec, *, error: str, wall_seconds: float) -> RunRecord:
    """Return the record of a run of which nothing is known but the reason of its end."""
    return RunRecord(
        fingerprint=spec.fingerprint, trunk=spec.trunk, spec=spec, counts=count(spec.model), status="failed",
        wall_seconds=wall_seconds, provenance=provenance(), error=error,
    )  # fmt: skip
