"""The laboratory (`Lab`) runs a study: it builds corpora, measures them, trains, fits and reports.

One process does so, the main process; workers only train. A results folder is an archive (`isoloss.runs.archive`)
with, next to it:

    study.json      the study last run here, and which corpus each of its names stands for
    designs/        grammars that the study's designs found
    laws/           fitted laws: JSON, draws in Parquet
    measures/       measures of corpora that were taken here
    report/         the page, the same as Markdown, the figures, and what they were made from
    isoloss.log     what happened when
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from isoloss.complexity.measure import Complexity
from isoloss.core.errors import InputError, Unidentified, WorkError
from isoloss.core.machine import cores
from isoloss.core.progress import Progress, Quiet
from isoloss.corpus.build import build
from isoloss.corpus.corpus import Corpus
from isoloss.data_dependence.storage import save_data_dependent
from isoloss.execution import Where, executor
from isoloss.optima.mean_split import middle_budget
from isoloss.runs.archive import Archive
from isoloss.runs.neighbours import with_neighbour_flags
from isoloss.runs.observations import Observations, observations
from isoloss.runs.record import RunRecord
from isoloss.study.ahead import compiling_ahead
from isoloss.study.analysis import Analysis, analyse, analyse_sweep
from isoloss.study.best_splits import Documents, KnownOfRuns, planned_budgets
from isoloss.study.centred import Placement, centres_of, place
from isoloss.study.corpus_fits import hold_out
from isoloss.study.evaluation import Evaluated, evaluate, given_subjects, kept_subjects
from isoloss.study.kept import LAWS, REPORT, keep_report, kept_measure, report_identity, standing_report
from isoloss.study.left_out import with_complexity
from isoloss.study.memory import recall, remember
from isoloss.study.proposal import Proposal, Quantity, gather_evidence, propose
from isoloss.study.result import StudyResult
from isoloss.study.run_plan import GRID, PlannedRun, Variant, plan_runs, require_runnable
from isoloss.study.shard import Shard
from isoloss.study.soundness import CorpusWarning, corpus_warnings, run_warnings
from isoloss.study.spec import EvaluateStudy, Study
from isoloss.study.sweeps import tune
from isoloss.training.job import trunk_jobs

if TYPE_CHECKING:
    from isoloss.report.page import ReportFiles
    from isoloss.study.board import Board

Stage = Literal["corpora", "complexity", "train", "fit", "report"]
STAGES: tuple[Stage, ...] = get_args(Stage)


class Lab:
    """A results folder and the means to fill it. Every method picks up what is there and adds what is missing."""

    def __init__(
        self,
        folder: Path | str,
        *,
        executor: str = "local",
        workers: int | None = None,
        address: str | None = None,
        launch: str = "",
        shard: str | None = None,
        tensorboard: bool = False,
        base: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.archive = Archive(folder)
        self.folder = self.archive.folder
        self.executor, self.where = executor, Where(workers=workers, address=address, launch=launch)
        self.shard = Shard.parse(shard) if shard else None
        self.tensorboard = tensorboard
        self.base = base
        self.progress: Progress = progress or Quiet(self.folder / "isoloss.log")
        self._study: Study | None = None  # whose corpora, runs and measures are held below
        self._corpora: dict[str, Corpus] = {}
        self._planned: list[PlannedRun] = []
        self._placements: list[Placement] = []
        self._complexity: dict[str, dict[str, Complexity]] = {}
        self._unidentified: dict[str, dict[str, str]] = {}

    @classmethod
    def reopen(cls, folder: Path | str, *, progress: Progress | None = None) -> "Lab":
        """Return the lab of an existing results folder. Raises InputError where there is none."""
        return cls(Archive.reopen(folder).folder, progress=progress)

    def run(self, study: Study, *, until: Stage = "report", take_kept: bool = False) -> StudyResult:
        """Do everything up to the stage `until` and return what there is then.

        `take_kept` takes the answer and the report of an earlier run where nothing that they were made from has
        changed: the result then has `kept_answer` in place of an `analysis`.
        """
        started = time.perf_counter()
        last = STAGES.index(until)
        if self.shard is not None and last > STAGES.index("train"):
            raise InputError("a shard only trains its part and does not fit", place="--shard",
                             fix="use --until train; to fit, run the same command without --shard")  # fmt: skip
        if self.shard is not None and study.grid.centred:
            raise InputError("the second pass of a centred grid follows from all runs of the first", place="--shard",
                             fix="leave --shard out")  # fmt: skip
        require_runnable(study, executor=self.executor)
        first = cores() > 1 and last > STAGES.index("train") and not (self.folder / "study.json").exists()
        with compiling_ahead(study.training.numerics) if first else nullcontext():
            result = self._until_trained(study, last)
        result.warnings = self._warnings(study, result.records)
        if until == "fit":
            result.analysis = self._fit(study, result.records)
        if until == "report":
            self._report_of(result, take_kept=take_kept)
        result.seconds = time.perf_counter() - started
        return result

    def _until_trained(self, study: Study, last: int) -> StudyResult:
        result = StudyResult(study=study, corpora=self.corpora(study), planned=self._own(study))
        if last >= STAGES.index("complexity"):
            result.complexity, result.unidentified = self.complexity(study), self.unidentified(study)
        if last >= STAGES.index("train"):
            result.records = self.train(study)
            result.planned, result.placements = self._own(study), self.placements(study)
            result.evaluated = self.evaluate(study)
        return result

    def corpora(self, study: Study) -> dict[str, Corpus]:
        """Return the study's corpora by name, building those that are not there."""
        if study == self._study:
            return self._corpora
        corpora = self._built(study, context=study.grid.context)
        remember(self.folder, study, corpora)
        self._hold(study, corpora)
        return corpora

    def _built(self, study: Study | EvaluateStudy, *, context: int) -> dict[str, Corpus]:
        return {
            source.name: build(
                source, root=self.folder / "corpora", context=context, seed=study.seed, base=self.base,
                progress=self.progress,
            )
            for source in study.sources(context=context, folder=self.folder / "designs", progress=self.progress)
        }  # fmt: skip

    def evaluate(self, study: Study | EvaluateStudy) -> Evaluated | None:
        """Return the losses that `[evaluate]` asks for: given models, and with `cross` every run, on every corpus.

        None where the study has no `[evaluate]`. What stands in the folder is not computed again. Raises InputError for
        a folder that holds no model.
        """
        if study.evaluate is None:
            return None
        subjects = given_subjects(study.evaluate.models, base=self.base or Path())
        if isinstance(study, EvaluateStudy):
            corpora, context, numerics = self._built(study, context=study.context), study.context, study.numerics
        else:
            corpora, context, numerics = self.corpora(study), study.grid.context, study.training.numerics
            if study.evaluate.cross:
                subjects += kept_subjects(self.archive, self._records(study))
        return evaluate(
            subjects, corpora, folder=self.folder, context=context, numerics=numerics, progress=self.progress
        )

    def plan(self, study: Study) -> list[PlannedRun]:
        """Return every run of the study. Raises InputError for a grid that a corpus or the shapes cannot serve."""
        corpora = self.corpora(study)
        if not self._planned:
            self._placements = self._placed(study, corpora) if study.grid.centred else []
            self._planned = plan_runs(study, corpora, centres=centres_of(self._placements))
        return self._planned

    def placements(self, study: Study) -> list[Placement]:
        """Return where the second pass of a centred grid lies, on every corpus whose first pass has ended."""
        self.plan(study)
        return self._placements

    def _placed(self, study: Study, corpora: Mapping[str, Corpus]) -> list[Placement]:
        alone = study.model_copy(update={"run": ()})
        first = [run for run in plan_runs(alone, corpora) if run.variant == GRID]
        found = []
        for name, corpus in corpora.items():
            own = [run for run in first if run.corpus == name]
            records = [self.archive.read(run.spec.fingerprint) for run in own]
            ended = [record for record in records if record is not None and record.status != "failed"]
            if len(ended) < len(own):
                continue
            placed = place(self._rows(study, own, ended), corpus=name, grid=study.grid)
            try:
                plan_runs(alone, {name: corpus}, centres=centres_of([placed]))
            except InputError as error:
                placed = replace(placed, tokens_per_param=None, reason=error.reason)
            found.append(placed)
        return found

    def complexity(self, study: Study) -> dict[str, dict[str, Complexity]]:
        """Return every measure of every corpus: corpus name → measure → value with interval.

        A measure that a corpus does not determine is missing there: `unidentified` says why.
        """
        corpora, settings = self.corpora(study), study.complexity
        if self._complexity:
            return self._complexity
        measured: dict[str, dict[str, Complexity]] = {name: {} for name in corpora}
        unidentified: dict[str, dict[str, str]] = {name: {} for name in corpora}
        with self.progress.task("complexity", total=len(corpora) * len(settings.measures)) as task:
            for name, corpus in corpora.items():
                for measure in settings.measures:
                    task.advance(0, detail=f"{name}: {measure}")
                    try:
                        measured[name][measure] = kept_measure(
                            self.folder / "measures", corpus, measure, settings=settings.settings, seed=study.seed
                        )
                    except Unidentified as error:
                        unidentified[name][measure] = error.reason
                    task.advance(1)
        self._complexity, self._unidentified = measured, unidentified
        return measured

    def unidentified(self, study: Study) -> dict[str, dict[str, str]]:
        """Return why a corpus has no value of a measure: corpus name → measure → reason."""
        self.complexity(study)
        return self._unidentified

    def train(self, study: Study) -> list[RunRecord]:
        """Train what the archive lacks, and return the records of all the study's runs in the order of its plan.

        Of a centred grid the second pass follows the first. Failures come back as records. Finished runs are never
        trained again; interrupted ones go on.
        """
        self._train_missing(study)
        if study.grid.centred:
            self._planned = []  # the second pass follows from the first
            for one in self.placements(study):
                self.progress.note(one.sentence())
            self._train_missing(study)
        wanted = {run.spec.fingerprint for run in self._own(study)}
        return [record for record in self._records(study) if record.fingerprint in wanted]

    def _train_missing(self, study: Study) -> None:
        from isoloss.study.training import train_missing

        where = replace(self.where, checkpoint_seconds=study.training.checkpoint_seconds)
        if study.training.keep_weights or (study.evaluate is not None and study.evaluate.cross):
            self.archive.keep_weights()
        own = self._own(study)
        train_missing(
            [run.spec for run in own], self.archive, executor=executor(self.executor, where), progress=self.progress,
            names={corpus.fingerprint: name for name, corpus in self.corpora(study).items()},
            board=self._board(),
        )  # fmt: skip

    def _own(self, study: Study) -> list[PlannedRun]:
        """Return the runs of the plan that this lab trains: all of them, or its shard's."""
        planned = self.plan(study)
        if self.shard is None:
            return planned
        jobs = self.shard.part(trunk_jobs([run.spec for run in planned]))
        own = {spec.fingerprint for job in jobs for spec in job.specs}
        return [run for run in planned if run.spec.fingerprint in own]

    def _board(self) -> "Board | None":
        if not self.tensorboard:
            return None
        from isoloss.study.board import Board

        return Board(self.folder / "tensorboard", self.archive)

    def observations(self, study: Study, *, measures: Sequence[str] | None = None) -> Observations:
        """Return the finished runs as a table, corpus by corpus.

        It has a column for each of `measures` (all of the study's) that every corpus determines.
        """
        return self._table(study, self._records(study), measures or study.complexity.measures)

    def fit(self, study: Study) -> Analysis:
        """Fit every law the study asks for, and write the laws into the folder."""
        return self._fit(study, self._records(study))

    def next(
        self,
        study: Study,
        *,
        flops: float,
        quantity: Quantity = "log_ratio",
        at_flops: float | None = None,
        corpus: str | None = None,
    ) -> list[Proposal]:
        """Return which runs would narrow a quantity most per FLOP, corpus by corpus; see `isoloss.study.proposal`.

        `at_flops` is the budget at which the quantity is wanted, by default the one at which corpora are compared.
        """
        table = self.observations(study, measures=[])
        if not len(table):
            raise WorkError("no run has finished, so nothing says which to train next", fix="isoloss run STUDY")
        seen, _ = hold_out(study, table)
        at = at_flops or middle_budget(seen, planned=planned_budgets(study.grid.budgets))
        corpora = self.corpora(study)
        evidence, errors = gather_evidence(
            study, table, corpora, quantity=quantity, at_flops=at, only=corpus, documents=self._documents(table),
            progress=self.progress,
        )  # fmt: skip
        if not evidence:
            raise WorkError(
                "no corpus has a law that could say what to train next: "
                + "; ".join(f"{name}: {error.reason}" for name, error in errors.items()),
                fix="train more of the grid first",
            )
        for name, error in errors.items():
            self.progress.note(f"nothing is proposed for {name}: {error.reason}")
        return propose(study, table, evidence, corpora, self.plan(study), flops=flops, quantity=quantity, at_flops=at)

    def report(self, study: Study) -> "ReportFiles":
        """Measure, fit and write the report from the runs that are there. Trains nothing."""
        records = self._records(study)
        result = StudyResult(
            study=study, corpora=self.corpora(study), planned=self.plan(study), complexity=self.complexity(study),
            unidentified=self.unidentified(study), records=records, analysis=self._fit(study, records),
            evaluated=self.evaluate(study), warnings=self._warnings(study, records), placements=self.placements(study),
        )  # fmt: skip
        return self._write_report(result, report_identity(result, self.archive))

    def remembered_study(self) -> Study:
        """Return the study last run in this folder, its corpora opened by fingerprint: no source is read again."""
        study, names = recall(self.folder)
        folders = {name: self.archive.corpus_folder(fingerprint) for name, fingerprint in names.items()}
        self._hold(study, {name: Corpus.open(folder).renamed(name) for name, folder in folders.items()})
        return study

    def query(self, sql: str | None = None) -> "Any":
        """Return the runs of the folder as an Arrow table, or a SQL query over them (table `runs`)."""
        return self.archive.query(sql)

    def _hold(self, study: Study, corpora: dict[str, Corpus]) -> None:
        """Keep a study's corpora; what was derived from another study's goes."""
        self._study, self._corpora, self._planned = study, corpora, []
        self._complexity, self._unidentified = {}, {}

    def _records(self, study: Study) -> list[RunRecord]:
        planned = self.plan(study)
        found = (self.archive.read(run.spec.fingerprint) for run in planned)
        records = [record for record in found if record is not None]
        return with_neighbour_flags(
            records, losses_of=self.archive.document_losses,
            floored={corpus.fingerprint for corpus in self.corpora(study).values() if corpus.floor is not None},
            planned=[run.spec for run in planned],
        )  # fmt: skip

    def _warnings(self, study: Study, records: Sequence[RunRecord]) -> list[CorpusWarning]:
        corpora = self.corpora(study)
        return [
            *corpus_warnings(corpora, context=study.grid.context),
            *run_warnings(self.plan(study), records, corpora, self.archive),
        ]

    def _fit(self, study: Study, records: Sequence[RunRecord]) -> Analysis:
        measures = study.complexity.measures
        table = self._table(study, records, measures)
        if study.tune is not None:
            return analyse_sweep(study, table, tune(study, self.plan(study), records))
        variants = {
            factor: self._table(study, records, measures, variant=Variant(rate=factor))
            for factor in study.training.rate_arms
        }
        analysis = analyse(
            study, table, self.corpora(study), self.complexity(study), progress=self.progress, variants=variants,
            known=KnownOfRuns(
                exact_flops={run.spec.fingerprint: run.exact_flops for run in self.plan(study)},
                without_heads={run.spec.fingerprint: run.counts.non_embedding for run in self.plan(study)},
                documents=self._documents(table),
            ),
        )  # fmt: skip
        for name, law in analysis.laws.items():
            law.save(self.folder / LAWS / f"{name}.json")
        for law in analysis.further_laws:
            law.save(self.folder / LAWS / f"{law.group}.{law.law.replace(':', '.')}.json")
        for joint in analysis.data_dependent:
            members = [self.corpora(study)[name] for name in joint.corpora]
            tokenizers = {corpus.tokenizer for corpus in members}
            save_data_dependent(
                joint, self.folder / LAWS / f"{members[0].kind}.{joint.measure}.json",
                settings=study.complexity.settings.model_dump(),
                tokenizer=tokenizers.pop() if len(tokenizers) == 1 else None,
            )  # fmt: skip
        return analysis

    def _documents(self, table: Observations) -> Documents:
        return {run: self.archive.document_losses(run) for run in table.run.tolist()}

    def _table(
        self, study: Study, records: Sequence[RunRecord], measures: Sequence[str], *, variant: Variant = GRID
    ) -> Observations:
        """Return the finished runs of a variant as observations by the study's conventions; of a sweep all variants."""
        planned = [run for run in self.plan(study) if study.tune or run.variant == variant]
        return with_complexity(self._rows(study, planned, records), self.complexity(study), measures)

    def _rows(self, study: Study, planned: Sequence[PlannedRun], records: Sequence[RunRecord]) -> Observations:
        """Return those of the planned runs that have finished as observations by the study's conventions."""
        convention = study.grid.convention
        by_run = {record.fingerprint: record for record in records}
        rows = [
            (run, record, record.loss)
            for run in planned
            if (record := by_run.get(run.spec.fingerprint)) and record.status == "finished" and record.loss
        ]
        return observations(
            params=[run.counts.params(convention) for run, _, _ in rows],
            tokens=[run.spec.train_tokens for run, _, _ in rows],
            loss_nats=[loss.nats for _, _, loss in rows],
            flops=[run.flops for run, _, _ in rows],
            run=[record.fingerprint for _, record, _ in rows],
            trunk=[record.trunk for _, record, _ in rows],
            corpus=[run.corpus for run, _, _ in rows],
            stderr=[loss.stderr for _, _, loss in rows],
            flags=[record.flags for _, record, _ in rows],
            params_convention=convention,
        )

    def _report_of(self, result: StudyResult, *, take_kept: bool) -> None:
        """Add the fits and the report of a study, made anew unless they stand and nothing that they say has changed."""
        identity = report_identity(result, self.archive)
        standing = None if identity is None else standing_report(self.folder, identity)
        if standing is not None and take_kept:
            result.kept_answer = standing.answer
        if result.kept_answer is None:
            result.analysis = self._fit(result.study, result.records)
        result.report = (standing.written if standing else self._write_report(result, identity)).html

    def _write_report(self, result: StudyResult, identity: str | None) -> "ReportFiles":
        from isoloss.report.page import write_report
        from isoloss.study.reporting import report_data

        with self.progress.task("report", total=1) as task:
            written = write_report(report_data(result, self.archive), self.folder / REPORT)
            task.advance(1)
        if identity is not None:
            keep_report(self.folder, identity, written, result.answer)
        return written
