"""What `/openapi.json`, and with it the page `/docs`, says beside the routes: the texts of the modules that serve them.

Every route has one of the tags below.
"""

from inspect import cleandoc
from typing import Any

from realtime import controls, drive_socket, signaling, uploads


def tags(with_uploads: bool) -> list[dict[str, Any]]:
    """OpenAPI's list of tags, in the order in which they are to be read. What is told of avatars that people make is
    left out unless the server makes them."""
    told = {
        "Calls": signaling.__doc__,
        "Data channel": controls.__doc__,
        "Trackers": drive_socket.__doc__,
        "Avatars": uploads.__doc__ if with_uploads else None,
        "Watching": None,
    }
    return [{"name": name, "description": cleandoc(text or "")} for name, text in told.items()]
