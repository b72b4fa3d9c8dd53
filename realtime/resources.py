"""What all calls of a process share."""

from concurrent.futures import Executor
from dataclasses import dataclass

from engines.scheduler import Scheduler
from realtime.engine import Avatar, Engine
from realtime.loop_monitor import LoopMonitor
from realtime.metrics import Metrics
from realtime.settings import Settings


@dataclass(frozen=True, slots=True)
class Resources:
    """`scheduler` has the pictures made in time, `encoders` encode them, and what takes a moment and has no time of its
    own happens in `background`."""

    settings: Settings
    engine: Engine
    avatars: dict[str, Avatar]
    metrics: Metrics
    monitor: LoopMonitor
    scheduler: Scheduler
    background: Executor
    encoders: Executor
