"""Puts the collection on the path, so that host-side code is imported by the name it has everywhere else."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / ".collections"))
