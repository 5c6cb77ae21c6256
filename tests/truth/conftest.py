import sys
from pathlib import Path

# The tables of tests/laws serve here too; test folders are no packages.
sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
