"""What of a logged run is its N, its D and its loss: all taken at the step at which the loss was."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isoloss.core.errors import BadTable, did_you_mean
from isoloss.core.fingerprint import fingerprint
from isoloss.runs.columns import number_in, number_or_none, same_column
from isoloss.runs.logged import Curve, LoggedRun, Value, falls
from isoloss.runs.observations import NO_GROUP, UNSTATED
from isoloss.runs.tables import ORDER, REALS, WHOLES

IMPORT_VERSION = 1
MOST = 1e18  # parameters or tokens: what a whole number of 64 bits holds
# Tags of Megatron-DeepSpeed: "lm loss vs tokens".
TOKENS_AXIS = re.compile(r"\b(vs|by|over)[ ._]*tokens\b", re.IGNORECASE)
EPOCHS = re.compile(r"(.*/)?epoch_", re.IGNORECASE)  # tags of Keras: "epoch_loss"
LossUnit = Literal["nats", "bits", "perplexity"]


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """What of a source is what. `params`, `tokens` and `flops` are a number, or a column or tag; others names of such.

    Of a table's columns formulas may stand there too. `batch_tokens` turns steps into tokens where the source counts
    steps alone, `sample_tokens` where its steps count samples. `run` and `step` make a table one of curves: a point a
    row. `corpus` names the corpus of every run, `group` the column that does.
    """

    params: str | None = None
    tokens: str | None = None
    loss: str | None = None
    unit: LossUnit = "nats"
    flops: str | None = None
    corpus: str | None = None
    group: str | None = None
    batch_tokens: int | None = None
    sample_tokens: int | None = None
    run: str | None = None
    step: str | None = None
    where: str | None = None
    convention: str | None = None


def row_of(run: LoggedRun, mapped: Mapped) -> tuple[dict[str, Any], list[str]]:
    """Return a run as a row of the archive's table, and what is to be said of it.

    A loss that is no number is a run that diverged. Raises BadTable for what is missing or no number.
    """
    settled = _Settled(run, mapped)
    nats, params, tokens = _nats(settled.loss, mapped.unit), settled.number("params"), settled.tokens()
    if not (1 <= params <= MOST and 1 <= tokens <= MOST):
        said = f"params {params:g} and tokens {tokens:g}, expected numbers from 1 to {MOST:.0e}"
        raise BadTable(said, place=run.place, fix="check --params and --tokens")
    convention = run.params_convention if mapped.params is None else UNSTATED
    row = {
        "name": run.name, "trunk": run.name, "corpus": _corpus(run, mapped), "params": round(params),
        "tokens": round(tokens), "flops": settled.number("flops") if mapped.flops else 6 * params * tokens,
        "params_convention": mapped.convention or convention, "status": "finished" if nats else "diverged",
        "flags": [] if nats else ["diverged"], "loss_nats": nats, "progress": 1.0, "source": run.place,
    }  # fmt: skip
    extra = {_own_name(key, value): value for key, value in run.fields.items() if key not in {*row, *run.hidden}}
    # The place may move; what was trained stays.
    identity = {key: value for key, value in {**extra, **row}.items() if key != "source" and not _no_number(value)}
    row["run"] = row["trunk"] = fingerprint(identity, kind="imported", version=IMPORT_VERSION)
    return {**extra, **row}, [*run.notes, *settled.notes]


class _Settled:
    """A run and what its quantities are called: the loss is its last value, the others are taken at its step."""

    def __init__(self, run: LoggedRun, mapped: Mapped) -> None:
        self.run = run
        self.mapped = mapped
        self.names = {what: getattr(mapped, what) or run.guesses.get(what) for what in ("params", "tokens", "loss")}
        self.names["flops"] = mapped.flops
        if self.names["loss"] is not None:
            self.names["loss"] = same_column(self.names["loss"], [*run.fields, *run.curves])
        self.notes: list[str] = []
        point = run.last_point(self.names["loss"] or "")
        self.step = point[0] if point else None
        self.loss = self.number("loss", finite=False)

    def number(self, what: str, *, finite: bool = True) -> float:
        """Return a quantity: the number itself that was given, a field, or the curve's value at the loss's step."""
        run, name = self.run, self.names[what]
        found: Value = None
        if name is not None:
            found = number_or_none(name)
            found = run.at(name, self.step) if found is None else found
        if found is None:
            raise self._missing(what, name)
        try:
            number = number_in(found)
        except (ValueError, OverflowError):
            raise BadTable(
                f"{what}: found {found!r}, expected a number", place=run.place,
                fix=f"correct it, leave it out with --where on a table's columns, or name another with --{what}",
            ) from None  # fmt: skip
        if finite and not math.isfinite(number):
            raise BadTable(f"{what}: found {number}, expected a number", place=run.place, fix="leave the run out")
        return number

    def tokens(self) -> float:
        """Return D: the training tokens seen at the step at which the loss was taken."""
        run, name = self.run, self.names["tokens"]
        if self.mapped.sample_tokens is not None and self.mapped.tokens is None:
            return self._steps("--sample-tokens") * self.mapped.sample_tokens
        if self.mapped.tokens is None and self.step and TOKENS_AXIS.search(self.names["loss"] or ""):
            self.notes.append(f"the steps of {self.names['loss']} count tokens: D is the last of them")
            return self.step
        known = name is not None and (number_or_none(name) is not None or run.at(name, self.step) is not None)
        if not known and self.mapped.tokens is None and self.mapped.batch_tokens is not None and run.last_step:
            return self._steps("--batch-tokens") / self._samples_a_step() * self.mapped.batch_tokens
        tokens = self.number("tokens")
        if name is not None and name in run.curves:
            self._note_restart(name, run.curves[name])
        elif self.step is not None and 0 < self.step < run.last_step:
            tokens = self._then(tokens, name or "")
        return tokens

    def _steps(self, option: str) -> int:
        """Return the step of the loss; of a loss without steps the last one of the run."""
        steps = self.run.last_step if self.step is None else self.step
        if steps <= 0:
            raise BadTable(
                f"the loss was logged at step {steps}, which {option} cannot turn into tokens",
                place=self.run.place,
                fix="give --tokens, or a loss that was logged after training began",
            )
        return steps

    def _then(self, tokens: float, name: str) -> float:
        """Return the tokens at the loss's step, where only those of the whole run are known."""
        said = f"the loss was logged at step {self.step:,} of {self.run.last_step:,}"
        if number_or_none(name) is not None:
            self.notes.append(f"{said}; D is assumed to be the {tokens:,.0f} given with --tokens")
            return tokens
        assert self.step is not None
        self.notes.append(f"{said}: D is that fraction of {name}, {tokens:,.0f}")
        return tokens * self.step / self.run.last_step

    def _note_restart(self, name: str, curve: Curve) -> None:
        if found := falls(curve):
            step, before, value = found
            self.notes.append(
                f"{name} falls from {before:,.0f} to {value:,.0f} at step {step:,}: a counter that restarted makes D "
                "too small; give D itself with --tokens, or --batch-tokens"
            )

    def _samples_a_step(self) -> float:
        """Return by how much the steps of the loss exceed those of training: 1, or the samples of a batch.

        A tag may say that its steps count samples; another curve with as many points then tells how many there are in
        a step. Raises BadTable where steps count samples or epochs and nothing tells how many there are in a step.
        """
        name = self.names["loss"] or ""
        if EPOCHS.match(name):
            raise BadTable(
                f"the steps of {name!r} count epochs, and --batch-tokens is of steps", place=self.run.place,
                fix="give D itself with --tokens, or import a loss that was logged by the step",
            )  # fmt: skip
        factor = _axis_factor(self.run, name)
        if _counts_samples(name):
            if factor is None or factor <= 1:
                raise BadTable(
                    f"the steps of {name!r} count samples, but --batch-tokens is for steps", place=self.run.place,
                    fix="give the tokens per sample, which is the context length: --sample-tokens NUMBER",
                )  # fmt: skip
            self.notes.append(f"the steps of {name} count samples, {factor:g} per step")
            return factor
        if factor is not None:
            raise BadTable(
                f"the steps of {name!r} are {factor:g} times those of another curve of as many points: one of them "
                "counts samples or epochs", place=self.run.place,
                fix="give D itself with --tokens, or --sample-tokens where the loss's steps count samples",
            )  # fmt: skip
        return 1.0

    def _missing(self, what: str, name: str | None) -> BadTable:
        run = self.run
        curve = f"if the rows are one training curve: --step {run.steps_column}; or " if run.steps_column else ""
        if name is not None and name in run.fields:
            return BadTable(
                f"{what}: {name!r} is empty", place=run.place,
                fix=f"{curve}fill it, or leave such rows out: --where '\"{name}\" IS NOT NULL'",
            )  # fmt: skip
        asked = f"nothing is called {name!r}" if name else "the source does not say it"
        return BadTable(f"{what}: {asked}", place=run.place, fix=curve + _fix(run, what, name))


def _counts_samples(tag: str) -> bool:
    """Whether a tag says that its steps count samples."""
    return "sample" in tag.lower()


def _axis_factor(run: LoggedRun, name: str) -> float | None:
    """Return the steady factor, other than 1, between the steps of a curve and those of another of as many points.

    Curves whose tags say that they count samples or tokens are no measure of steps.
    """
    own = [step for step, _ in run.curves.get(name, ()) if step > 0]
    for other, curve in run.curves.items():
        steps = [step for step, _ in curve if step > 0]
        by_step = other != name and not _counts_samples(other) and not TOKENS_AXIS.search(other)
        if not by_step or len(steps) != len(own) or len(own) < 3:
            continue
        factor = own[0] / steps[0]
        if not 0.5 < factor < 2 and all(
            math.isclose(a, factor * b, rel_tol=1e-9) for a, b in zip(own, steps, strict=True)
        ):
            return factor
    return None


def _no_number(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _own_name(name: str, value: Value) -> str:
    """Return the column of a field of the source: its own name, unless we mean something else by it."""
    fits = name in (*WHOLES, *REALS) and isinstance(value, int | float) and not isinstance(value, bool)
    return name if fits or name not in ORDER else f"their_{name}"


def _corpus(run: LoggedRun, mapped: Mapped) -> str:
    if mapped.corpus is not None:
        return mapped.corpus
    column = mapped.group or run.guesses.get("group")
    if column is None:
        return NO_GROUP
    found = run.at(column, None)
    if found is None:
        said = f"column {column!r} is empty" if column in run.fields else f"no column {column!r}"
        raise BadTable(said, place=run.place, fix=did_you_mean(column, [*run.fields, *run.curves]))
    return str(found)


def _fix(run: LoggedRun, what: str, name: str | None) -> str:
    """Return how to say what is missing; transformers' FLOPs, 6 · N · D, tell N without the embedding."""
    known: Sequence[str] = [one for one in (*run.fields, *run.curves) if one not in run.hidden]
    listed = did_you_mean(name or what, known)
    if what == "tokens":
        return f"give --tokens COLUMN or NUMBER, or --batch-tokens NUMBER if steps are counted; {listed}"
    flos, tokens = run.fields.get("total_flos"), run.fields.get("num_input_tokens_seen")
    if what == "params" and isinstance(flos, int | float) and isinstance(tokens, int | float) and flos and tokens:
        return f"give --params NUMBER (total_flos implies {flos / 6 / tokens:.4g} outside the embedding)"
    return f"give --{what} COLUMN{' or NUMBER' if what == 'params' else ''}; {listed}"


def _nats(loss: float, unit: LossUnit) -> float | None:
    """Return a loss in nats, or None for a run whose loss is no number above zero."""
    if not math.isfinite(loss) or loss <= 0:
        return None
    nats = {"nats": loss, "bits": loss * math.log(2), "perplexity": math.log(loss)}[unit]
    return nats if nats > 0 else None
