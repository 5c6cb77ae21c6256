"""The report as a sequence of sections: what it says and in which order. HTML and Markdown are written from it."""

from isoloss.core.numbers import counted_corpora, duration, power_of_ten
from isoloss.fitting.domain import LawWarning
from isoloss.report import drawings, tables
from isoloss.report.blocks import Block, Note, Notes, Section, kept, notes_or_none
from isoloss.report.checklist import checklist_table
from isoloss.report.data import ReportData
from isoloss.report.evaluations import evaluation_table
from isoloss.report.methods import method_notes
from isoloss.report.paper import paste
from isoloss.report.predictor_picture import predictor_picture
from isoloss.report.predictor_tables import corpus_tables, predictor_tables
from isoloss.report.refusals import refusals
from isoloss.report.split_tables import best_splits_table, counting_table
from isoloss.report.tuning import optima_table, rates_picture, reason_notes, rule_notes, rules_table


def sections(data: ReportData) -> tuple[Section, ...]:
    """Return the report's sections in reading order; those that would be empty are left out."""
    methods = Section(name="definitions", title="How each number is defined", blocks=(Notes(items=method_notes(data)),))
    if data.tuning:
        return (_tuning(data), _corpora(data), _runs(data), methods, _provenance(data))
    evaluated = kept(evaluation_table(data) if data.evaluations else None)
    transfer = Section(name="transfer", title="Trained on, evaluated on", blocks=evaluated)
    parts = [_picture(data), _numbers(data), _balance(data), _predictors(data), _compute(data), _coefficients(data),
             _trust(data), transfer, _corpora(data), _runs(data), methods, _paper(data), _provenance(data)]  # fmt: skip
    return tuple(part for part in parts if part.blocks)


def key_numbers(data: ReportData) -> tuple[Note, ...]:
    """Return the study's size in a few numbers."""
    finished = sum(row.loss_nats is not None for row in data.runs)
    flagged = sum(bool(row.flags) for row in data.runs)
    flops = sum(row.flops for row in data.runs)
    return (
        Note(title=counted_corpora(len(data.corpora)).split()[1], text=str(len(data.corpora))),
        Note(title="runs with a loss", text=f"{finished} of {len(data.runs)}"),
        Note(title="flagged", text=str(flagged)),
        Note(title="FLOPs of all runs", text=power_of_ten(flops) if flops else "0"),
        *([] if data.tuning else [Note(title="FLOPs, common budget", text=power_of_ten(data.budget_flops))]),
        Note(title="training, all runs", text=duration(data.seconds)),
    )


def _picture(data: ReportData) -> Section:
    if not len(data.observations):
        return Section(
            name="picture", title="The picture", blocks=("No run ended with a loss: there is nothing to draw.",)
        )
    large = drawings.contour_pages(data) if len(data.laws) > 1 else []
    return Section(
        name="picture", title="The picture", blocks=(drawings.contour_sheet(data),),
        folded_title="One large picture a corpus", folded=tuple(large), folded_for_wide=True,
    )  # fmt: skip


def _tuning(data: ReportData) -> Section:
    return Section(
        name="tuning", title="Which rate and batch",
        blocks=kept(
            rates_picture(data), rules_table(data), notes_or_none(rule_notes(data)),
            notes_or_none(reason_notes(data), warnings=True), optima_table(data),
        ),
    )  # fmt: skip


def _numbers(data: ReportData) -> Section:
    missing = (Note(title=f"No law for {name}", text=reason) for name, reason in data.no_law.items())
    return Section(
        name="numbers", title="The numbers",
        blocks=kept(tables.key_table(data), counting_table(data), notes_or_none(missing, warnings=True)),
        folded_title="What to train at each budget", folded=kept(best_splits_table(data)),
    )  # fmt: skip


def _balance(data: ReportData) -> Section:
    title = "Do best tokens per parameter follow the text?"
    return Section(name="trend", title=title, blocks=kept(drawings.balance_picture(data)))


def _predictors(data: ReportData) -> Section:
    return Section(
        name="predictors", title="Which measure predicts a corpus that was never trained on?",
        blocks=kept(predictor_picture(data), *predictor_tables(data)),
        folded_title="Every left-out corpus", folded=tuple(corpus_tables(data)),
    )  # fmt: skip


def _compute(data: ReportData) -> Section:
    drawn = kept(drawings.compute_picture(data), drawings.excess_picture(data)) if len(data.observations) else ()
    return Section(name="compute", title="What compute buys", blocks=drawn)


def _coefficients(data: ReportData) -> Section:
    blocks = (drawings.coefficient_picture(data), tables.fit_table(data)) if data.laws else ()
    return Section(name="laws", title="The laws", blocks=blocks)


def _warnings(data: ReportData) -> tuple[Note, ...]:
    """Return the warnings of all laws; what is said of several stands once, under all their names."""
    named: dict[LawWarning, list[str]] = {}
    for name, law in data.all_laws:
        for warning in law.warnings:
            named.setdefault(warning, []).append(name)
    return tuple(
        Note(title=f"{', '.join(names)}: {warning.code.replace('_', ' ')}", text=warning.message)
        for warning, names in named.items()
    )


def _trust(data: ReportData) -> Section:
    best, every = tables.backtest_table(data), tables.backtest_table(data, every=True)
    blocks = kept(
        notes_or_none((*_refused(data), *_warnings(data)), warnings=True),
        drawings.residual_picture(data) if data.laws else None,
        tables.unfiltered_table(data) if data.laws_unfiltered else None,
        tables.variants_table(data) if data.rate_arms else None,
        tables.replicates_table(data) if data.replicates else None,
        tables.coverage_table(data) if data.coverage else None,
        best if data.backtest else None,
    )
    left_out = tables.exclusions_table(data)
    folded: list[tuple[str, Block]] = []
    if len(every.rows) > len(best.rows):
        folded.append(("every predictor tested on the largest runs", every))
    if left_out.rows:
        folded.append((f"{len(left_out.rows)} rows left out of the fits", left_out))
    return Section(
        name="trust", title="How far to trust it", blocks=blocks,
        folded_title="; ".join(title for title, _ in folded).capitalize(), folded=tuple(table for _, table in folded),
    )  # fmt: skip


def _corpora(data: ReportData) -> Section:
    if not data.corpora:
        return Section(name="corpora", title="The corpora", blocks=())
    notes = [Note(title=corpus.name, text=text) for corpus in data.corpora for text in corpus.warnings]
    notes += [
        Note(title=f"{measure} of {corpus.name} is not identified", text=reason)
        for corpus in data.corpora
        for measure, reason in corpus.unidentified.items()
    ]
    return Section(
        name="corpora",
        title="The corpora",
        blocks=kept(tables.corpora_table(data), notes_or_none(notes, warnings=True)),
    )


def _runs(data: ReportData) -> Section:
    blocks = kept(drawings.curve_picture(data), tables.runs_table(data) if data.runs else None)
    return Section(name="runs", title="Every run", blocks=blocks)


def _refused(data: ReportData) -> tuple[Note, ...]:
    """Return the forms that a test refused; a poor fit that no test speaks of stands among the fits' own warnings."""
    tested = {one.sentence() for one in data.lack_of_fit if one.refused}
    return tuple(Note(title=f"{name}: refused", text=text) for name, text in refusals(data) if text in tested)


def _paper(data: ReportData) -> Section:
    return Section(
        name="paper", title="For a paper", blocks=(checklist_table(data),) if data.laws else (),
        folded_title="A methods paragraph and BibTeX, to paste", folded=paste(data),
    )  # fmt: skip


def _provenance(data: ReportData) -> Section:
    # The runs say which versions trained them; the page may be of another.
    notes = [Note(title="this page", text=f"isoloss {data.version}")]
    notes += [Note(title=name, text=value) for name, value in data.provenance.items()]
    notes.append(Note(title="table of runs", text=data.observations.fingerprint))
    return Section(name="provenance", title="Where it comes from", blocks=(Notes(items=tuple(notes)),))
