"""`import isoloss`: what loads when it is used is what type checkers see."""

import ast
from pathlib import Path

import isoloss as il


def test_names_that_load_later_are_those_that_type_checkers_know():
    tree = ast.parse(Path(il.__file__).read_text(encoding="utf-8"))
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    known = {name.asname: each.module for each in checked.body for name in each.names}
    assert known == il._HOMES
    assert all(getattr(il, name) is not None for name in known)
