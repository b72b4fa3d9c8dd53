"""Avatars of people's own over HTTP: a photo or a clip goes up, an avatar comes back, with the points on which it was
fitted.

    OPTIONS /v1/avatars               204 Allow: GET, POST where photos are taken, GET alone where not
    POST    /v1/avatars?name=         201 {"id", "points", "handles", "notes"}; the body is a JPEG, PNG or WebP file, or
                                      a clip in MP4, MOV, WebM, Matroska or AVI, which takes half a minute or more
    GET     /v1/avatars/{id}/points   200 the same
    PUT     /v1/avatars/{id}/points   200 the same, fitted anew; the body is {"points": {"chin": [0.51, 0.83]}}
    DELETE  /v1/avatars/{id}          204

Points are fractions (x, y) of the avatar's picture, y down; `handles` names those that a person can tell and move. An
avatar made of a clip has neither. The photo is kept, without its metadata, as far as it shows the head, so that it can
be fitted anew; of a clip the frames are kept, without the sound. Whoever may call this server sees every avatar on it.

Errors, as everywhere, are JSON (`{"error", "message"}`): 403 foreign_page, 404 unknown_avatar, 408 too_slow,
409 in_use, 413 too_large, 415 not_a_picture, 422 no_face | too_small | too_dark | too_turned | too_blurred |
eyes_hidden | mouth_hidden | unclear | too_short | too_many | unknown_point | bad_message | moving, 429 busy,
507 not_kept.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Annotated, Final, TypeVar
from weakref import WeakValueDictionary

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from realtime.body import read_body
from realtime.engine import Avatar, Made, Maker
from realtime.offer import OfferError
from realtime.priority import work_in_background
from realtime.refusals import problems
from realtime.sessions import Sessions
from realtime.settings import Settings
from realtime.signaling import bearer

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 3
"""Photos at a time, the one being fitted included."""
MOST_COMING: Final = 8
"""Files at a time that are on their way here: so many are kept in memory."""
UPLOAD_SECONDS: Final = 60.0
_LATER: Final = {"Retry-After": "3"}
_STATUS: Final = {"too_large": 413, "not_a_picture": 415}
Result = TypeVar("Result")
Fraction = Annotated[float, Field(ge=-0.5, le=1.5)]


class Moved(BaseModel):
    """Keypoints that a person has moved, by name, and where they are now."""

    points: dict[Annotated[str, Field(max_length=40)], tuple[Fraction, Fraction]] = Field(max_length=200)


class Fitted(BaseModel):
    """An avatar that was made of a photo."""

    id: str
    points: dict[str, tuple[float, float]]
    handles: list[str]
    notes: list[str]


class Uploads:
    """The avatars that people make while the server runs: they join `sessions`' avatars. Close it at the end.

    One is fitted after the other. Meanwhile others can be looked up and deleted.
    """

    def __init__(self, sessions: Sessions, maker: Maker) -> None:
        self._sessions, self.maker = sessions, maker
        self._fitting = ThreadPoolExecutor(1, "portrait", work_in_background)
        self._reading = ThreadPoolExecutor(1, "packs", work_in_background)
        self._in_use: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting = self._coming = 0

    def close(self) -> None:
        self._fitting.shutdown(wait=False, cancel_futures=True)
        self.maker.close()  # or it would go on for as long as a clip takes
        self._fitting.shutdown()
        self._reading.shutdown()

    async def create(self, request: Request, name: str) -> Fitted:
        if self._coming >= MOST_COMING:
            raise OfferError(429, "busy", "Other files are being sent: try again in a few seconds", _LATER)
        self._coming += 1
        try:
            data = await read_body(request, self.maker.most_bytes, UPLOAD_SECONDS)
        finally:
            self._coming -= 1
        return await self._fit(lambda: self.maker.create(data, name))

    async def refit(self, id: str, moved: Moved) -> Fitted:
        async with self._alone_with(id):
            return await self._fit(lambda: self.maker.refit(id, moved.points))

    async def points(self, id: str) -> Fitted:
        async with self._alone_with(id):
            return self._describe(await self._work(self._reading, lambda: self.maker.points(id)))

    async def delete(self, id: str) -> None:
        if id == self._sessions.resources.settings.avatar:
            raise OfferError(409, "in_use", "This is the server's default avatar")
        async with self._alone_with(id):
            await self._work(self._reading, lambda: self.maker.delete(id))
            self._sessions.resources.avatars.pop(id, None)

    def _alone_with(self, id: str) -> asyncio.Lock:
        """While this is held nobody else reads or writes that avatar."""
        return self._in_use.setdefault(id, asyncio.Lock())

    async def _fit(self, make: Callable[[], Made]) -> Fitted:
        def both() -> tuple[Made, Avatar]:
            made = make()
            return made, self.maker.load(made.id)

        if self._waiting >= MOST_WAITING:
            raise OfferError(429, "busy", "Other photos are being fitted: try again in a few seconds", _LATER)
        self._waiting += 1
        try:
            made, avatar = await self._work(self._fitting, both)
        finally:
            self._waiting -= 1
        self._sessions.resources.avatars[made.id] = avatar
        return self._describe(made)

    def _describe(self, made: Made) -> Fitted:
        handles = [name for name in self.maker.handles if name in made.points]
        return Fitted(id=made.id, points=dict(made.points), handles=handles, notes=list(made.notes))

    async def _work(self, executor: Executor, job: Callable[[], Result]) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, job)
        except KeyError as error:
            raise OfferError(404, "unknown_avatar", "There is no such avatar made of a photo") from error
        except ValueError as error:
            code = str(getattr(error, "code", "unclear"))
            raise OfferError(_STATUS.get(code, 422), code, str(error)) from error
        except OSError as error:
            logger.error("avatars cannot be kept: %s", error)
            reason = error.strerror or "the disk fails"
            raise OfferError(507, "not_kept", f"The server cannot keep avatars: {reason}") from error


def create_upload_router(uploads: Uploads | None, settings: Settings) -> APIRouter:
    """The routes; without `uploads` only the one that says so."""
    router = APIRouter(prefix="/v1/avatars", tags=["Avatars"], dependencies=[Depends(bearer(settings.token))])
    methods = "GET" if uploads is None else "GET, POST"

    @router.options("", status_code=204, response_class=Response, include_in_schema=False)
    async def upload_options() -> Response:
        return Response(status_code=204, headers={"Allow": f"{methods}, OPTIONS"})

    if uploads is None:
        return router
    errors = problems(401, 403, 404, 408, 409, 413, 415, 422, 429, 507)
    kinds = {kind: {"schema": {"type": "string"}} for kind in ("image/*", "video/*")}
    body = {"requestBody": {"required": True, "content": kinds}}

    @router.post("", status_code=201, summary="Make an avatar", responses=errors, openapi_extra=body)
    async def create_avatar(request: Request, response: Response, name: str = "") -> Fitted:
        _check_site(request, settings.origins)
        fitted = await uploads.create(request, name)
        response.headers["Location"] = f"/v1/avatars/{fitted.id}"
        return fitted

    @router.get("/{id}/points", summary="Where an avatar's keypoints lie", responses=errors)
    async def get_points(id: str) -> Fitted:
        return await uploads.points(id)

    @router.put("/{id}/points", summary="Move keypoints and fit anew", responses=errors)
    async def move_points(id: str, moved: Moved) -> Fitted:
        return await uploads.refit(id, moved)

    @router.delete("/{id}", status_code=204, summary="Delete an avatar made of a photo", responses=errors)
    async def delete_avatar(id: str) -> None:
        await uploads.delete(id)

    return router


def _check_site(request: Request, origins: list[str]) -> None:
    """Any page that somebody here looks at may send a file without asking first, and browsers tell whose page it is.
    (All other requests that change anything they ask for.) Raises `OfferError`."""
    foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if foreign and request.headers.get("Origin") not in origins:
        raise OfferError(403, "foreign_page", "Pages of other sites may not send files here: see --cors-origins")
