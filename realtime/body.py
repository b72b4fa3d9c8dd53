"""The body of a request: bounded in size and in time."""

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from realtime.offer import OfferError


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """All of it. Raises `OfferError`: 413 beyond `most` bytes, 408 after `seconds`, 400 when the caller goes away in
    the middle of it."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    size = f"{most >> 20} MB" if most >> 20 else f"{most} bytes"
                    raise OfferError(413, "too_large", f"This is larger than {size}: send a smaller one")
    except TimeoutError as error:
        raise OfferError(408, "too_slow", f"This did not arrive within {seconds:.0f} seconds") from error
    except ClientDisconnect as error:
        raise OfferError(400, "cut_off", "The caller went away before the end of the body") from error
    return bytes(body)
