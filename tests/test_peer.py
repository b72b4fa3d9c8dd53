"""The connection's guard against datagrams that nobody reads."""

from realtime.peer import Datagrams


async def test_what_nobody_reads_does_not_pile_up() -> None:
    waiting = Datagrams()
    for index in range(10_000):
        waiting.put_nowait((b"x" * 1200, index))
    waiting.put_nowait(None)
    assert waiting.qsize() < 300
    heard = [waiting.get_nowait() for _ in range(waiting.qsize())]
    assert heard[0] == (b"x" * 1200, 0) and heard[-1] is None
