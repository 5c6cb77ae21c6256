"""TensorBoard event files read as runs: a folder a run, a curve a scalar tag.

Writers leave folders of their own below a run's: for its hyperparameters, for profiles, one a series for `add_scalars`,
and one a kind of data (Keras: `train` and `validation`). Series and kinds are put back into the run they belong to;
folders without a loss hold no run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isoloss.core.errors import BadTable
from isoloss.core.numbers import some
from isoloss.core.optional import optional
from isoloss.runs.logged import Curve, LoggedRun, joined, sessions

HELDOUT = ("eval", "val", "test", "heldout")
KINDS = ("train", "training", "eval", "evaluation", "val", "valid", "validation", "test", "dev", "heldout")


@dataclass(frozen=True)
class _Folder:
    """What the event files of a folder hold."""

    path: Path
    curves: Mapping[str, Curve]
    notes: Sequence[str] = field(default_factory=list)


def event_folders(source: Path) -> list[Path]:
    """Return the folders at and below `source` that hold TensorBoard event files; `source` may be one such file."""
    if source.is_file():
        return [source] if "tfevents" in source.name else []
    return sorted({path.parent for path in source.rglob("*tfevents*") if path.is_file()})


def read_events(source: Path, *, loss: str | None = None) -> tuple[list[LoggedRun], list[str]]:
    """Return one run for every folder of event files that holds a loss, and a line on those that do not.

    `loss` is its tag, where the caller names one. Raises InputError without tensorboard, BadTable where no folder
    holds a scalar.
    """
    found = _with_kinds(_with_series([_read(path) for path in event_folders(source)]))
    held = [one for one in found if one.curves]
    if not held:
        raise BadTable("no scalar in these event files", place=str(source), fix="give the folder of a training run")
    runs = [one for one in held if _holds_loss(one.curves, loss)] or held
    names = [_name(one.path, source) for one in found if one not in runs]
    return [_run(one, source) for one in runs], _passed_over(names)


def _run(found: _Folder, source: Path) -> LoggedRun:
    guess = guessed_loss(found.curves)
    return LoggedRun(
        name=_name(found.path, source), place=str(found.path), fields={}, curves=found.curves,
        guesses={"loss": guess} if guess else {}, notes=found.notes,
    )  # fmt: skip


def _name(folder: Path, source: Path) -> str:
    return folder.name if folder == source else str(folder.relative_to(source))


def _passed_over(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    what = f"{len(names)} folders of event files without a loss (hyperparameters, profiles …)"
    return [f"{what} are ignored: {some(names)}"]


def _holds_loss(curves: Mapping[str, Curve], loss: str | None) -> bool:
    return loss in curves if loss is not None else any("loss" in tag.lower() for tag in curves)


def guessed_loss(curves: Mapping[str, Curve]) -> str | None:
    """Return which tag is the loss, if one alone looks like it: a held-out one before a training one."""
    losses = [tag for tag in curves if "loss" in tag.lower()]
    heldout = [tag for tag in losses if any(word in tag.lower() for word in HELDOUT)]
    return next((found[0] for found in (heldout, losses) if len(found) == 1), None)


def _with_series(folders: Sequence[_Folder]) -> list[_Folder]:
    """Return the folders with the series of `add_scalars` put back into the folder above theirs.

    `add_scalars("a/loss", {"eval": …})` writes the tag `a/loss` into the folder `a_loss_eval`: `a/loss/eval` of a run.
    """
    by_path = {one.path: dict(one.curves) for one in folders}
    kept = []
    for one in folders:
        above, tag = by_path.get(one.path.parent), next(iter(one.curves), "")
        series = one.path.name.removeprefix(tag.replace("/", "_") + "_")
        if above is not None and len(one.curves) == 1 and series not in ("", one.path.name):
            above[f"{tag}/{series}"] = one.curves[tag]
        else:
            kept.append(one)
    return [_Folder(one.path, by_path[one.path], one.notes) for one in kept]


def _with_kinds(folders: Sequence[_Folder]) -> list[_Folder]:
    """Return the folders with those of kinds of data, `train` next to `validation`, put into the folder they share.

    Their tags get the kind in front: `validation/epoch_loss` of a run. One alone belongs to the folder above where that
    holds curves too.
    """
    by_path = {one.path: one for one in folders}
    kinds: dict[Path, list[_Folder]] = {}
    for one in folders:
        if one.path.is_dir() and one.path.name.lower() in KINDS:
            kinds.setdefault(one.path.parent, []).append(one)
    for above, own in kinds.items():
        run = by_path.get(above, _Folder(above, {}))
        if len(own) < 2 and not run.curves:
            continue
        curves = dict(run.curves)
        for one in own:
            curves |= {f"{one.path.name}/{tag}": curve for tag, curve in one.curves.items()}
            del by_path[one.path]
        by_path[above] = _Folder(above, curves, [*run.notes, *(note for one in own for note in one.notes)])
    return [by_path[path] for path in sorted(by_path)]


def _read(folder: Path) -> _Folder:
    """Return the scalars of a folder's event files, taken as sessions one after another."""
    files = [folder] if folder.is_file() else sorted(path for path in folder.glob("*tfevents*") if path.is_file())
    curves, notes = joined((session for file in files for session in sessions(_scalars(file))), place=str(folder))
    return _Folder(folder, curves, notes)


def _scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    loader, tensors = (
        optional(f"tensorboard.{name}", extra="tensorboard", what="an event file", place=str(file))
        for name in ("backend.event_processing.event_file_loader", "util.tensor_util")
    )
    plugins: dict[str, str] = {}
    for event in loader.EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            # Which kind of summary a value is, is said of the first of a tag alone.
            plugin = str(value.metadata.plugin_data.plugin_name) or plugins.get(value.tag, "")
            plugins[value.tag] = plugin
            if plugin == "scalars" and value.HasField("tensor"):
                yield value.tag, event.step, float(tensors.make_ndarray(value.tensor))
