"""The laws of a study's corpora: what its report shows and what its next runs are chosen by."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from isoloss.core.progress import Task
from isoloss.corpus.corpus import Corpus
from isoloss.fitting.choice import AUTO, LawChoice, choose_law
from isoloss.fitting.fitting import CorpusFits, fit_corpora
from isoloss.runs.observations import Observations
from isoloss.study.spec import Study


def hold_out(study: Study, table: Observations) -> tuple[Observations, Observations]:
    """Return the runs that fits see, and those kept from them by the study's rule."""
    if study.fit.holdout is None:
        return table, table.select([])
    above = table.flops > study.fit.holdout.flops_above
    return table.select(~above), table.select(above)


def with_law_chosen(study: Study, seen: Observations) -> tuple[Study, LawChoice | None]:
    """Return the study with the law in place of `auto` that predicts training curves left out best, one for all."""
    if AUTO not in study.fit.laws:
        return study, None
    choice = choose_law([seen.where(corpus=name) for name in seen.corpora], settings=study.fit.settings, floor="ignore")
    named = tuple(choice.law if name == AUTO else name for name in study.fit.laws)
    return study.model_copy(update={"fit": study.fit.model_copy(update={"laws": named})}), choice


def fit_of_study(
    study: Study,
    seen: Observations,
    corpora: Mapping[str, Corpus],
    *,
    names: Iterable[str] | None = None,
    law: str | None = None,
    keep_flagged: bool = False,
    least_draws: int = 0,
    task: Task | None = None,
) -> CorpusFits:
    """Return a law for every corpus, or for those of `names`: the study's first form, or `law`.

    Known floors are used as the study says. Flagged runs are left out unless they are to be kept.
    """
    settings = study.fit.settings
    return fit_corpora(
        seen, corpora if names is None else names, law=law or study.fit.corpus_laws[0],
        settings=replace(settings, exclude_flags=()) if keep_flagged else settings,
        floors={name: corpus.floor.value for name, corpus in corpora.items() if corpus.floor},
        bootstrap=max(study.fit.bootstrap, least_draws), seed=study.seed, task=task,
    )  # fmt: skip
