"""A study of one small grammar, whose grid a test chooses."""

from isoloss.study.spec import Study

TEXT = """
schema = 1
name = "tiny"
seed = 3
[[corpus]]
name = "a"
source = "pcfg"
tokens = 2_000_000
grammar = { family = "zipf", nonterminals = 18, terminals = 255, max_rules = 86, max_rhs = 6, exponent = 2.5885, seed = 7 }
[grid]
GRID
[training]
TRAINING
peak_lr = 7e-3
"""  # noqa: E501
AROUND = "params = [4.5e3, 7e3, 1.1e4, 1.7e4, 2.7e4, 4.2e4]\nflops = [3e9, 2.4e10]\nleast_tokens = 2e4"
"""A grid around the usual optimum."""


def tiny_study(grid: str = AROUND, *, training: str = "batch_tokens = 256") -> Study:
    """Return the study with these lines of its grid and its training."""
    return Study.parse(TEXT.replace("GRID", grid).replace("TRAINING", training), place="tiny.toml")
