"""Machine code on the disk is that of today's sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import isoloss
from sampling import long

# Packs one number with a kernel that holds the rounding of another file. Prints its bits, whether they came from the
# disk, and the marker of what is compiled.
PACK = """
import numpy as np
from isoloss.models.cpu import _kernels_bf16 as kernels, compiling
panel = lambda: np.zeros(16, dtype=np.int32)
operand = kernels.Operand(panel(), panel())
kernels.pack_weight(np.full((1, 1), 1.005859375, dtype=np.float32), panel()[:1], operand)
loaded = bool(sum(kernels.pack_weight.stats.cache_hits.values()))
print(hex(operand.forward[0]), loaded, compiling._ready(compiling.FUSED_BF16).name)
"""


@pytest.fixture
def package(tmp_path):
    copy = tmp_path / "src" / "isoloss"
    shutil.copytree(Path(isoloss.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def packed(package):
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(package.parent / "cache")}
    done = subprocess.run([sys.executable, "-c", PACK], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@long
def test_an_edit_of_what_a_kernel_holds_compiles_it_again(package):
    bits, loaded, marker = packed(package)
    assert (bits, loaded) == ("0x3f81", "False")  # 1 + 3 / 512 lies nearer to 1 + 1 / 128 than to 1
    assert packed(package) == [bits, "True", marker]
    source = package / "models" / "cpu" / "_bf16.py"
    text = source.read_text()
    assert text.count("constant(0x7FFF)") == 1
    source.write_text(text.replace("constant(0x7FFF)", "constant(0)"))  # cuts instead of rounding
    assert packed(package)[:2] == ["0x3f80", "False"]
    assert packed(package)[2] != marker
