"""Probabilistic grammars whose best possible loss is known: families, closed forms, sampling, the exact floor."""

from isoloss.grammar.describe import Description, describe
from isoloss.grammar.families import AnyGrammar, GrammarSpec, grammar_spec
from isoloss.grammar.floor import Floor, document_floor, estimate_floor, scored_means
from isoloss.grammar.pcfg import SEPARATOR, Grammar
from isoloss.grammar.sampler import sample_blocks, sample_documents
from isoloss.grammar.transform import condition_on_termination

__all__ = [
    "SEPARATOR",
    "AnyGrammar",
    "Description",
    "Floor",
    "Grammar",
    "GrammarSpec",
    "condition_on_termination",
    "describe",
    "document_floor",
    "estimate_floor",
    "grammar_spec",
    "sample_blocks",
    "sample_documents",
    "scored_means",
]
