"""The HTTP interface: WHIP-shaped signalling (RFC 9725) for a call in both directions, and the list of avatars.

    GET    /v1/avatars                    200 [{"id", "name", "description", "thumbnail", "picture", "default", "own",
                                                "scene", "moves"}]
    GET    /v1/avatars/{id}/thumbnail     200 image (192x192)
    GET    /v1/avatars/{id}/picture       200 image (512x512): what the avatar looks like before the call
    POST   /v1/sessions?avatar=&client=   201 SDP answer, start a session
    PATCH  /v1/sessions/{secret}          204 trickle ICE
    DELETE /v1/sessions/{secret}          200 end the session
    GET    /v1/sessions/{secret}/controls 200 how its controls stand
    PATCH  /v1/sessions/{secret}/controls 200 set some of them: JSON as in the data channel's `set`, without the type
    WS     /v1/sessions/{secret}/drive    a tracker on another device: the data channel's `drive` messages
    OPTIONS on both                       204 with Allow and Accept-Post: application/sdp
    GET    /healthz                       200 {"status": "ok", "sessions", "capacity", "version"}, 503 while draining
    GET    /metrics                       200 Prometheus text
    GET    /docs, /openapi.json           all of this as a page, and as OpenAPI

**Starting.** The browser offers `audio` (sendrecv: the microphone goes up, the voice comes back delayed to match the
lips), `video` (recvonly) and a data channel labelled `control` (`realtime.controls`), all in one BUNDLE:

    const pc = new RTCPeerConnection();
    const control = pc.createDataChannel("control");
    pc.addTrack(microphone.getAudioTracks()[0], microphone);
    pc.addTransceiver("video", {direction: "recvonly"});
    await pc.setLocalDescription();
    const response = await fetch("/v1/sessions?avatar=ada&client=" + pageId, {
      method: "POST", headers: {"Content-Type": "application/sdp"}, body: pc.localDescription.sdp});
    // 201: Location (the session's secret URL, relative), ETag (the ICE session), body = SDP answer
    await pc.setRemoteDescription({type: "answer", sdp: await response.text()});

Candidates may be in the offer, may follow by PATCH, or may be missing altogether: the answer carries every candidate
of the server, and the server answers checks from wherever they come. `client` (optional, 8 to 64 characters of
`A-Za-z0-9_-`) names the page: a second Start of one page is refused with 409 while packets of its first session
arrive; once that has been quiet for 3 seconds, it is replaced.
`avatar` may be left out: the default then appears.

**Trickle.** PATCH with `application/trickle-ice-sdpfrag` (RFC 8840): lines `a=ice-ufrag`, `a=ice-pwd`, `m=`, `a=mid`,
`a=candidate`, `a=end-of-candidates`. `If-Match` may carry the ETag; a stale one gets 412. ICE restarts get 422.

**Ending.** DELETE the `Location`, on `pagehide` with `fetch(url, {method: "DELETE", keepalive: true})`. A page that
just vanishes is noticed by its DTLS alert, or else by silence on the wire (`media_timeout`).

**Directing.** What the data channel sets can be set from elsewhere too, by whoever knows the session's URL; the page is
told of it:

    curl -X PATCH $URL/controls -H 'Content-Type: application/json' -d '{"emotion": {"happy": 0.6}, "alpha": 1.2}'

**Errors** are JSON, `{"error": "<code>", "message": "<what to do>"}`, and never cost a peer connection. A request of no
known path or method gets 404 `not_found` or 405 `wrong_method`, one that lacks something 422 `bad_message`, and:

    400 bad_offer         not SDP, no audio, no BUNDLE, no ICE credentials or fingerprint, too many sections/candidates
    400 bad_message       controls that cannot be followed; the message says why
    401 unauthorized      a token is set (`--token`) and `Authorization: Bearer` does not carry it
    404 unknown_avatar    the message lists those that exist;  404 unknown_session  it ended or never was
    406 no_usable_codec   audio without Opus, or video without VP8 and H.264 (packetization mode 1)
    409 already_started   this `client` has a session;  409 not_live  its controls can be set once the call is live
    412 stale_etag        If-Match names another ICE session
    408 too_slow          the body took more than 5 seconds;  400 cut_off  or its sender went away
    413 too_large         body above 64 KiB
    415 wrong_type        Content-Type is not application/sdp (POST), application/trickle-ice-sdpfrag (PATCH)
                          or application/json (PATCH of the controls)
    422 no_restart        the fragment carries other ICE credentials: start a new session instead
    500 internal_error    the fault is the server's: its log tells more
    503 full | draining   every place is taken; Retry-After says when to try again
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from engines.scene import Scene
from realtime.body import read_body
from realtime.controls import parse, read_set
from realtime.engine import Avatar
from realtime.offer import MAX_BODY, OfferError, read_fragment, read_offer
from realtime.refusals import problems
from realtime.sessions import Sessions
from realtime.values import CONTROLS_SCHEMA, ControlError, controls_values

_CLIENT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_LOOPBACK: Final = ("127.", "::1", "::ffff:127.", "testclient")
_BODY_SECONDS: Final = 5.0
_ACCEPT: Final = {"Accept-Post": "application/sdp", "Accept-Patch": "application/trickle-ice-sdpfrag"}
_TEXT: Final = {"type": "string"}
_IMAGE: Final[dict[str, Any]] = {"content": {"image/*": {"schema": _TEXT}}}
_CONTROLS: Final[dict[str, Any]] = {"content": {"application/json": {"schema": CONTROLS_SCHEMA}}}


class AvatarInfo(BaseModel):
    """One face that can be asked for; `thumbnail` and `picture` are URLs of images; `own` where it was made of a photo
    or clip (`realtime.uploads`), `scene` where all of that can be shown, `moves` where it was a clip."""

    id: str
    name: str
    description: str
    thumbnail: str
    picture: str
    default: bool
    own: bool = False
    scene: bool = False
    moves: bool = False


def _body(media_type: str, schema: Mapping[str, Any] = _TEXT) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}


def create_router(sessions: Sessions) -> APIRouter:
    """The routes below `/v1` for these sessions."""
    settings, avatars = sessions.resources.settings, sessions.resources.avatars
    router = APIRouter(prefix="/v1", dependencies=[Depends(bearer(settings.token))])

    @router.get("/avatars", tags=["Avatars"], summary="The faces that can be asked for")
    async def list_avatars() -> list[AvatarInfo]:
        default = settings.avatar or next(iter(avatars))
        return [_describe(avatar, default) for avatar in avatars.values()]

    @router.get(
        "/avatars/{id}/thumbnail",
        tags=["Avatars"],
        summary="A small picture of one",
        response_class=FileResponse,
        responses={200: _IMAGE, **problems(404)},
    )
    async def get_thumbnail(id: str) -> FileResponse:
        return _picture(sessions.find_avatar(id).thumbnail)

    @router.get(
        "/avatars/{id}/picture",
        tags=["Avatars"],
        summary="What it looks like before the call",
        response_class=FileResponse,
        responses={200: _IMAGE, **problems(404)},
    )
    async def get_picture(id: str) -> FileResponse:
        return _picture(sessions.find_avatar(id).thumbnail.with_name("source.png"))

    @router.post(
        "/sessions",
        tags=["Calls"],
        status_code=201,
        response_class=Response,
        summary="Start a session: SDP offer in, SDP answer out",
        responses={201: {"content": {"application/sdp": {}}}, **problems(400, 401, 404, 406, 409, 413, 415, 503)},
        openapi_extra=_body("application/sdp"),
    )
    async def start_session(request: Request, avatar: str = "", client: str | None = None) -> Response:
        _check_type(request, "application/sdp")
        if client is not None and not _CLIENT.fullmatch(client):
            raise OfferError(400, "bad_offer", "client must be 8 to 64 characters of A-Za-z0-9_-")
        offer = read_offer(await read_body(request, MAX_BODY, _BODY_SECONDS), local=_is_local(request))
        session, answer = await sessions.start(offer, avatar, client)
        headers = {"Location": f"/v1/sessions/{session.secret}", "ETag": session.etag, **_ACCEPT}
        return Response(answer, 201, headers, "application/sdp")

    @router.patch(
        "/sessions/{secret}",
        tags=["Calls"],
        status_code=204,
        response_class=Response,
        summary="Trickle ICE candidates",
        responses=problems(400, 401, 404, 412, 413, 415, 422),
        openapi_extra=_body("application/trickle-ice-sdpfrag"),
    )
    async def trickle(secret: str, request: Request) -> Response:
        _check_type(request, "application/trickle-ice-sdpfrag")
        session = sessions.find(secret)
        condition = request.headers.get("If-Match", session.etag)
        if condition == "*":
            raise OfferError(422, "no_restart", "ICE restarts are not supported: DELETE this session and start anew")
        if condition != session.etag:
            raise OfferError(412, "stale_etag", "If-Match names another ICE session: use the ETag of the 201")
        await session.trickle(
            read_fragment(await read_body(request, MAX_BODY, _BODY_SECONDS), local=_is_local(request))
        )
        return Response(status_code=204)

    @router.delete(
        "/sessions/{secret}",
        tags=["Calls"],
        response_class=Response,
        summary="End a session",
        responses=problems(401, 404),
    )
    async def end_session(secret: str) -> Response:
        await sessions.find(secret).close("ended by the page")
        return Response(status_code=200)

    @router.get(
        "/sessions/{secret}/controls",
        tags=["Calls"],
        summary="How the controls stand",
        responses={200: _CONTROLS, **problems(401, 404)},
    )
    async def get_controls(secret: str) -> JSONResponse:
        return JSONResponse(controls_values(sessions.find(secret).director.controls))

    @router.patch(
        "/sessions/{secret}/controls",
        tags=["Calls"],
        summary="Direct the face: alpha, pucker, spread, pose, gaze, blink, emotion",
        responses={200: _CONTROLS, **problems(400, 401, 404, 409, 413, 415)},
        openapi_extra=_body("application/json", CONTROLS_SCHEMA),
    )
    async def set_controls(secret: str, request: Request) -> JSONResponse:
        _check_type(request, "application/json")
        session = sessions.find(secret)
        try:
            change = read_set(parse(await read_body(request, MAX_BODY, _BODY_SECONDS)))
            return JSONResponse(controls_values(await session.director.set_controls(change)))
        except ControlError as error:
            raise OfferError(409 if error.code == "not_live" else 400, error.code, str(error)) from error

    @router.options("/sessions", status_code=204, response_class=Response, include_in_schema=False)
    async def session_options() -> Response:
        return Response(status_code=204, headers={"Allow": "POST, OPTIONS", **_ACCEPT})

    @router.options("/sessions/{secret}", status_code=204, response_class=Response, include_in_schema=False)
    async def one_session_options(secret: str) -> Response:
        return Response(status_code=204, headers={"Allow": "PATCH, DELETE, OPTIONS", **_ACCEPT})

    return router


def bearer(token: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets only those in who carry `token`; everybody where it is empty."""

    async def check(request: Request) -> None:
        if request.method != "OPTIONS":
            check_token(request, token)

    return check


def check_token(caller: HTTPConnection, token: str) -> None:
    """Raises `OfferError` with 401 unless the caller carries `token`, or it is empty."""
    given = caller.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and not secrets.compare_digest(given.encode(), token.encode()):
        raise OfferError(
            401,
            "unauthorized",
            "This server wants Authorization: Bearer with its token",
            {"WWW-Authenticate": "Bearer"},
        )


def _check_type(request: Request, wanted: str) -> None:
    given = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if given != wanted:
        raise OfferError(415, "wrong_type", f"Content-Type is {given[:60]!r}: send {wanted}", _ACCEPT)


def _is_local(request: Request) -> bool:
    return request.client is not None and request.client.host.startswith(_LOOPBACK)


def _describe(avatar: Avatar, default: str) -> AvatarInfo:
    where = f"/v1/avatars/{avatar.id}"
    fit = avatar.thumbnail.with_name("fit.json")
    own = fit.is_file()
    version = f"?v={fit.stat().st_mtime_ns}" if own else ""  # a picture that is fitted anew is another picture
    return AvatarInfo(
        id=avatar.id,
        name=avatar.name,
        description=avatar.description,
        thumbnail=f"{where}/thumbnail{version}",
        picture=f"{where}/picture{version}",
        default=avatar.id == default,
        own=own,
        scene=Scene.exists(avatar.thumbnail.parent),
        moves=avatar.clip is not None,
    )


def _picture(path: Path) -> FileResponse:
    if not path.is_file():
        raise OfferError(404, "unknown_avatar", "This avatar has no such picture")
    return FileResponse(path, headers={"Cache-Control": "max-age=3600"})
