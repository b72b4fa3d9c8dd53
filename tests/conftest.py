"""Fixtures for all tests."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium for the tests of one module, since it keeps the event loop of its thread; its microphone beeps."""
    from tests.browser import chromium  # only who asks for a browser needs playwright

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The real server and page, on an engine of no weight."""
    from tests.browser import HOUSE, serving

    with serving(module=HOUSE) as server:
        yield server


@pytest.fixture
def page(browser: Any, server: Any) -> Iterator[Any]:
    """The call page of the module's `server`."""
    from tests.browser import open_page

    with open_page(browser, server.url) as page:
        yield page


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """Fails a test that leaves a task of its loop or a thread behind. The loop's own executor may stay."""
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2.0
    while True:
        left: list[object] = [task for task in asyncio.all_tasks() - tasks if task is not asyncio.current_task()]
        left += [t for t in set(threading.enumerate()) - threads if not t.name.startswith("asyncio_")]
        if not left:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"left behind: {left}")
        await asyncio.sleep(0.02)
