"""Where things stand in the tree."""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
# The build under test; any preset's folder will do.
BIN = Path(os.environ.get("CORTEN_BIN") or BUILD / os.environ.get("CORTEN_PRESET", "release") / "bin")
CACHE = Path(os.environ.get("CORTEN_TEST_CACHE", "/var/cache/corten-tests"))
