"""MakeHuman's assets, which the project does not ship: set VISAVIS_MAKEHUMAN to its data folder to run what needs them.

A module of tests that imports this is skipped where they, or the studio's packages, are missing.
"""

import os
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="the studio needs the train extra: pip install visavis[train]")
pytest.importorskip("moderngl", reason="the studio needs the train extra: pip install visavis[train]")
if not os.environ.get("VISAVIS_MAKEHUMAN"):
    pytest.skip("VISAVIS_MAKEHUMAN does not name MakeHuman's data folder", allow_module_level=True)

from training.studio.assets import Assets

ASSETS = Assets(Path(os.environ["VISAVIS_MAKEHUMAN"]))
