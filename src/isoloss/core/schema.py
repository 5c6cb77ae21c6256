"""Files carry the number of their schema: every older one is read, a newer one refused with what it takes."""

from pathlib import Path

from isoloss.core.errors import NewerArchive


def refuse_newer(found: object, known: int, *, place: Path) -> None:
    """Raise NewerArchive where `found`, the schema of the file at `place`, is newer than the newest `known` here."""
    if isinstance(found, int) and found > known:
        raise NewerArchive(
            f"written with schema {found}; this version of isoloss reads schemas up to {known}",
            place=str(place),
            fix="upgrade isoloss: pip install --upgrade isoloss",
        )
