"""Who goes first on a machine with too much to do: the sound, then pictures, then what has no time of its own."""

import os
import sys
import threading
from typing import Final

_PICTURES: Final = 1
_BACKGROUND: Final = 10
"""Against a picture's thread one of these gets an eighth of a core, and all that pictures leave."""


def make_pictures() -> None:
    """From now on the calling thread stands back behind the event loop, and the encoders."""
    _stand_back(_PICTURES)


def work_in_background() -> None:
    """From now on the calling thread stands back behind pictures too."""
    _stand_back(_BACKGROUND)


def _stand_back(steps: int) -> None:
    if sys.platform == "linux":  # which keeps this per thread
        thread = threading.get_native_id()
        # Who started the server further back than that, by `nice`, may be nobody who is allowed to push forward.
        os.setpriority(os.PRIO_PROCESS, thread, max(steps, os.getpriority(os.PRIO_PROCESS, thread)))
