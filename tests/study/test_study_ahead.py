"""What is compiled ahead: everything that an analysis runs, by a process that ends with the study."""

import os
import subprocess
import sys
import time

import pytest

from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.runs.spec import Numerics
from isoloss.study import ahead
from sampling import long


@pytest.fixture
def unready(tmp_path, monkeypatch):
    """A machine on which nothing says that kernels are compiled; returns the file that would."""
    monkeypatch.setattr(ahead, "_ready", lambda: tmp_path / "ready")
    return tmp_path / "ready"


def compilers():
    """The processes that compile ahead, by their command lines."""
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in found.splitlines() if "isoloss.study.ahead" in line}


def test_it_compiles_once_and_is_waited_for(tmp_path, monkeypatch, unready):
    monkeypatch.setattr(sys, "executable", _stand_in(tmp_path, "sleep 0.3; touch " + str(unready)))
    with ahead.compiling_ahead(Numerics()):
        assert not unready.exists()
    assert unready.exists()
    unready.write_text("kept")
    with ahead.compiling_ahead(Numerics()):
        pass
    assert unready.read_text() == "kept"


def test_an_error_ends_it(tmp_path, monkeypatch, unready):
    monkeypatch.setattr(sys, "executable", _stand_in(tmp_path, "exec sleep 60"))
    started = time.monotonic()
    with pytest.raises(InputError), ahead.compiling_ahead(Numerics()):
        raise InputError("no such corpus", place="here", fix="name another")
    assert time.monotonic() - started < 30


def test_it_ends_with_the_process_that_started_it():
    """However that ends: here by a signal that it cannot catch."""
    before = compilers()
    start = (
        "import os, time, pathlib\n"
        "from isoloss.study import ahead\n"
        "from isoloss.runs.spec import Numerics\n"
        "ahead._ready = lambda: pathlib.Path('/nowhere')\n"
        "with ahead.compiling_ahead(Numerics(threads=2)):\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE)
    parent.stdout.readline()
    assert compilers() - before
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not compilers() - before:
            break
        time.sleep(0.1)
    assert not compilers() - before


@long
def test_an_analysis_compiles_nothing_afterwards(tmp_path):
    """Of what `isoloss fit` with a data-dependent law runs on ten corpora."""
    fresh = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    compiled = (
        "from isoloss.study import ahead\n"
        "from isoloss.runs.spec import Numerics\n"
        "with ahead.compiling_ahead(Numerics(threads=2)):\n"
        "    pass\n"
    )
    subprocess.run([sys.executable, "-c", compiled], env=fresh, check=True, timeout=600)
    count = (
        "from numba.core import event\n"
        "from isoloss.data_dependence.data_dependent import DataDependent\n"
        "from isoloss.data_dependence.predictors import compare_predictors\n"
        "from isoloss.planning import shipped\n"
        "from isoloss.study.best_splits import find_best_splits\n"
        "with event.install_recorder('numba:compile') as seen:\n"
        "    table = shipped.shipped_runs()\n"
        "    measure = next(iter(table.complexity))\n"
        "    find_best_splits(table, form='chinchilla')\n"
        "    compare_predictors(table, [measure], rounds=9)\n"
        "    DataDependent(complexity=measure).fit(table, bootstrap=2)\n"
        "print(len(seen.buffer))\n"
    )
    found = subprocess.run([sys.executable, "-c", count], env=fresh, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == "0"


def _stand_in(folder, command):
    """Return an interpreter that does `command` whatever it is asked."""
    path = folder / "python"
    files.write_text(path, f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return str(path)
