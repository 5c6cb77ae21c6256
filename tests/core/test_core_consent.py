"""A user's own classes: whose module may be imported, and what is looked at before it is called."""

import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from isoloss.core.consent import allow, allow_typed, require_allowed
from isoloss.core.errors import InputError
from isoloss.core.registry import Registry


class Base(ABC):
    """What the things of this registry derive from."""

    @abstractmethod
    def say(self) -> str: ...


class Whole(Base):
    def say(self) -> str:
        return "whole"


class Partial(Base):
    """Says nothing: still abstract."""


class Like:
    """Of the right shape, and of no kind."""

    def say(self) -> str:
        return "like"


def function() -> Base:
    raise AssertionError("called before it was known to be a class of the right base")


OWN = Registry[type[Base]]("thing", own=Base)


@pytest.fixture
def foreign(tmp_path, monkeypatch) -> Path:
    """A module in the folder one stands in that leaves a mark where it is imported."""
    (tmp_path / "foreign_module").mkdir()
    code = "from pathlib import Path\nPath('mark').touch()\n"
    (tmp_path / "foreign_module" / "__init__.py").write_text(code)
    (tmp_path / "foreign_module" / "below.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path / "mark"
    for name in [name for name in sys.modules if name.startswith("foreign_module")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["foreign_module:X", "foreign_module.below:X", "foreign_module.nowhere:X"])
def test_a_module_nobody_allowed_is_not_imported(foreign, name):
    with pytest.raises(InputError) as caught:
        OWN[name]
    assert not foreign.exists()
    assert "--allow foreign_module" in caught.value.fix


@pytest.mark.parametrize("allowed", ["foreign_module", "foreign_module.below"])
def test_what_is_allowed_is_imported_and_nothing_above_it(foreign, allowed):
    allow(allowed)
    with pytest.raises(InputError, match="has no class X"):
        OWN["foreign_module.below:X"]
    assert foreign.exists()
    if allowed == "foreign_module.below":
        del sys.modules["foreign_module"]
        with pytest.raises(InputError, match="allowed"):
            OWN["foreign_module:X"]


def test_what_a_user_types_is_allowed():
    allow_typed("gzip,mine.measures:Entropy-bytes,bpe:4096,other:Law")
    for name in ("mine.measures:Other", "other:Law"):
        require_allowed(name, what="thing")
    for name in ("mine:X", "mine.other:X", "bpe:X", "Entropy:X"):
        with pytest.raises(InputError):
            require_allowed(name, what="thing")


def test_an_entry_point_of_an_installed_package_is_allowed_by_its_whole_name(tmp_path, monkeypatch):
    info = tmp_path / "offering-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[isoloss]\nlaw = offering.laws:Power\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    require_allowed("offering.laws:Power", what="law")
    with pytest.raises(InputError):
        require_allowed("offering.laws:Other", what="law")


@pytest.mark.parametrize("name", ["Base", "Partial", "Like", "function", "OWN", "pytest"])
def test_what_is_no_class_of_the_right_base_is_refused_and_not_called(name):
    with pytest.raises(InputError, match="not a thing") as caught:
        OWN[f"{__name__}:{name}"]
    assert "Base" in caught.value.fix


@pytest.mark.parametrize("name", ["os:abort", "sys:exit", "os:_exit", "builtins:exec", "subprocess:Popen"])
def test_functions_of_the_standard_library_are_not_called(name):
    with pytest.raises(InputError, match="not a thing"):
        OWN[name]


def test_a_class_of_a_module_that_is_imported_already_is_found():
    assert OWN[f"{__name__}:Whole"]().say() == "whole"


def test_a_misspelt_class_is_answered_with_the_nearest_of_its_module():
    with pytest.raises(InputError) as caught:
        OWN[f"{__name__}:Whol"]
    assert "did you mean 'Whole'" in caught.value.fix
    assert "pytest" not in caught.value.fix, "what the module imports is not its own"
