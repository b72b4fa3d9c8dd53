"""What is answered when a request is refused, or fails: JSON, a word for the program and a sentence for its author."""

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from realtime.offer import OfferError
from realtime.placement import Full

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Problem(BaseModel):
    """Every error: a word for the program and a sentence for its author."""

    error: str
    message: str


REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": Problem, "description": "Refused: a word for the program, a sentence for its author"}
}
"""What OpenAPI says of every route."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route that refuses with these statuses."""
    return {status: {"model": Problem} for status in statuses}


def answer_refusals(app: FastAPI) -> None:
    """Let `app` answer whatever its routes raise. It counts refused offers in `app.state.sessions`' metrics."""
    app.add_exception_handler(OfferError, _refuse)
    app.add_exception_handler(Full, _refuse_full)
    app.add_exception_handler(HTTPException, _refuse_unknown)
    app.add_exception_handler(RequestValidationError, _refuse_malformed)
    app.add_exception_handler(Exception, _confess)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, OfferError)
    request.app.state.sessions.resources.metrics.refused.labels(error.code).inc()
    return _problem(error.status, error.code, str(error), error.headers)


async def _refuse_full(request: Request, error: Exception) -> Response:
    assert isinstance(error, Full)
    sessions = request.app.state.sessions
    code = "draining" if sessions.placement.draining else "full"
    sessions.resources.metrics.refused.labels(code).inc()
    return _problem(503, code, str(error), {"Retry-After": str(error.retry_after)})


async def _refuse_unknown(request: Request, error: Exception) -> Response:
    """The answer to what fits no route."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "bad_message")
    message = f"{request.method} {request.url.path[:200]}: {error.detail}. GET /docs lists what there is"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = _methods(request) or headers.get("Allow", "")
    return _problem(error.status_code, code, message, headers)


def _methods(request: Request) -> str:
    """Those that the path of `request` has."""

    def known(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return ", ".join(filter(known, _METHODS))


async def _refuse_malformed(request: Request, error: Exception) -> Response:
    """The answer to a request that fits a route, but not its form."""
    assert isinstance(error, RequestValidationError)
    wrong = error.errors()[0]
    where = ".".join(str(part) for part in wrong["loc"])
    return _problem(422, "bad_message", f"{where[:200]}: {wrong['msg']}", {})


async def _confess(request: Request, error: Exception) -> Response:
    """The answer when it is nobody's fault but ours; the log gets all of it."""
    return _problem(500, "internal_error", "The server failed at this: its log says at what", {})


def _problem(status: int, code: str, message: str, headers: dict[str, str]) -> JSONResponse:
    readable = message.encode(errors="replace").decode()  # half a character may have been quoted
    return JSONResponse({"error": code, "message": readable}, status, headers)
