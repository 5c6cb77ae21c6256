import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # the tiny corpus of the training tests
