"""What a study came to: everything a person or a program gets at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from isoloss.complexity.measure import Complexity
from isoloss.corpus.corpus import Corpus
from isoloss.runs.record import RunRecord
from isoloss.study.analysis import Analysis
from isoloss.study.centred import Placement
from isoloss.study.evaluation import Evaluated
from isoloss.study.layout import unlike
from isoloss.study.run_plan import PlannedRun
from isoloss.study.soundness import CorpusWarning
from isoloss.study.spec import Study


@dataclass(kw_only=True)
class StudyResult:
    """A study as far as it was run: later stages are None or empty where `until` stopped before them.

    `kept_answer` holds what the fits came to, as JSON has it, where they stood in the folder and were not made again:
    `analysis` is None then.
    `complexity` holds each corpus's measures, and `unidentified` why a corpus lacks one. `placements` say where the
    second pass of a centred grid lies.
    """

    study: Study
    corpora: dict[str, Corpus]
    planned: Sequence[PlannedRun]
    complexity: dict[str, dict[str, Complexity]] = field(default_factory=dict)
    unidentified: dict[str, dict[str, str]] = field(default_factory=dict)
    records: Sequence[RunRecord] = ()
    analysis: Analysis | None = None
    kept_answer: dict[str, Any] | None = None
    evaluated: Evaluated | None = None
    placements: Sequence[Placement] = ()
    warnings: Sequence[CorpusWarning] = ()
    report: Path | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> list[RunRecord]:
        """Runs that ended without a usable loss because something broke (diverged runs are results, not failures)."""
        return [record for record in self.records if record.status == "failed"]

    def flagged(self, corpus: str | None = None) -> list[RunRecord]:
        """Return the runs that earned a flag, on one corpus or on all."""
        wanted = {run.spec.fingerprint for run in self.planned if corpus in (None, run.corpus)}
        return [record for record in self.records if record.flags and record.fingerprint in wanted]

    @property
    def unlike(self) -> str | None:
        """Which corpora of a kind differ in more than text, in a sentence; None where none do."""
        return unlike((corpus.kind, name, corpus.vocab_size) for name, corpus in self.corpora.items())

    @cached_property
    def answer(self) -> dict[str, Any]:
        """The keys of `isoloss run --json` that fits give."""
        if self.analysis is not None:
            return self.analysis.to_json()
        return self.kept_answer or {"laws": [], "comparison": [], "contest": []}

    def to_json(self) -> dict[str, Any]:
        """Return the keys of `isoloss run --json`."""
        return {
            "name": self.study.name,
            "corpora": [self._corpus_json(name) for name in self.corpora],
            "runs": {
                "planned": len(self.planned),
                "finished": sum(record.status == "finished" for record in self.records),
                "diverged": sum(record.status == "diverged" for record in self.records),
                "failed": len(self.failed),
                "flagged": len(self.flagged()),
            },
            "following_horizon": list(self.study.training.following_horizon),
            "unlike": self.unlike,
            "centred": [one.to_json() for one in self.placements],
            **self.answer,
            **(self.evaluated.to_json() if self.evaluated else {"evaluations": [], "not_evaluated": []}),
            "warnings": [warning.to_json() for warning in self.warnings],
            "report": str(self.report) if self.report else None,
            "seconds": self.seconds,
        }

    def _corpus_json(self, name: str) -> dict[str, Any]:
        corpus = self.corpora[name]
        return {
            "name": name,
            "kind": corpus.kind,
            "fingerprint": corpus.fingerprint,
            "tokens": corpus.n_tokens,
            "heldout_tokens": corpus.heldout_tokens,
            "vocab_size": corpus.vocab_size,
            "bytes_per_token": corpus.bytes_per_token,
            "unigram_nats": corpus.unigram_nats,
            "measures": {measure: found.to_json() for measure, found in self.complexity.get(name, {}).items()},
            "unidentified": self.unidentified.get(name, {}),
            "floor": corpus.floor.to_json() if corpus.floor else None,
            "flagged": len(self.flagged(name)),
        }
