"""Where checkpoints that people brought lie after `visavis import`: one folder per family, one file per network."""

import os
from collections.abc import Mapping
from pathlib import Path


def models_folder(chosen: str = "", environment: Mapping[str, str] = os.environ) -> Path:
    """The `chosen` folder, or VISAVIS_MODELS, or else below XDG_DATA_HOME."""
    if named := chosen or environment.get("VISAVIS_MODELS", ""):
        return Path(named).expanduser()
    data = environment.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "visavis" / "models"
