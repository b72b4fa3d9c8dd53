"""The web application: everything wired together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from engines.cost import CostCurve
from engines.scheduler import Scheduler
from engines.workers import Perform, Workers, perform_each
from realtime.calibration import measure
from realtime.drive_socket import create_drive_router
from realtime.engine import Avatar, Avatars, Engine, Maker
from realtime.interface import tags
from realtime.loop_monitor import LoopMonitor
from realtime.metrics import Metrics
from realtime.priority import make_pictures, work_in_background
from realtime.refusals import REFUSED, answer_refusals
from realtime.resources import Resources
from realtime.sessions import Sessions
from realtime.settings import Settings
from realtime.signaling import create_router
from realtime.uploads import Uploads, create_upload_router
from realtime.version import version

logger = logging.getLogger(__name__)

_HEADERS: Final = {
    "Cache-Control": "no-cache",  # asked for anew, or an update would mix old scripts with new
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Health(BaseModel):
    """Whether new calls are taken, how many there are and how many there may be."""

    status: Literal["ok", "draining"]
    sessions: int
    capacity: int
    version: str


def create_app(
    settings: Settings,
    engine: Engine,
    avatars: Avatars,
    maker: Maker | None = None,
    *,
    perform: Perform = perform_each,
    buckets: tuple[int, ...] = (1,),
) -> FastAPI:
    """The application for one engine, its avatars and those that `maker` makes of photos. An engine that draws for many
    at once has a `perform` of its own, with the `buckets` that it is built for, and is called by one thread.

    Raises `ValueError` when there is no avatar, or not the one that the settings name.
    """
    known = {name: avatars.load_avatar(name) for name in avatars.list_avatars()}
    known |= _own_avatars(maker)
    if not known:
        raise ValueError("There is no avatar: put at least one avatar pack into engines/assets/avatars")
    if settings.avatar and settings.avatar not in known:
        raise ValueError(f"There is no avatar {settings.avatar!r}: choose one of {', '.join(known)}")
    metrics = Metrics()
    scheduler = Scheduler(CostCurve.unknown(buckets), metrics.drew)
    workers = Workers(scheduler, perform, settings.worker_count if len(buckets) == 1 else 1, make_pictures)
    resources = Resources(
        settings=settings,
        engine=engine,
        avatars=known,
        metrics=metrics,
        monitor=LoopMonitor(metrics.loop_lag.observe),
        scheduler=scheduler,
        background=ThreadPoolExecutor(1, "background", work_in_background),
        encoders=ThreadPoolExecutor(settings.worker_count, "encode"),
    )
    sessions = Sessions(resources)
    uploads = Uploads(sessions, maker) if maker and settings.max_uploads else None

    async def stop() -> None:
        """Nobody is called any more and nothing made; again does nothing."""
        await sessions.close()
        if uploads:
            await asyncio.to_thread(uploads.close)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop, avatar = asyncio.get_running_loop(), sessions.find_avatar("")
        # Not in the background: threads that are begun here would stay there.
        await loop.run_in_executor(resources.encoders, engine.warm_up, avatar)
        if not settings.max_sessions:
            costs = await loop.run_in_executor(
                resources.encoders, measure, engine, avatar, perform, buckets, workers.count
            )
            scheduler.expect(costs.curve)
            house = settings.slack, workers.count, settings.worker_count
            sessions.admit(costs.capacity(*house), costs.photo_places(*house), costs.clip_places())
            logger.info(
                "places for calls: %d, for whole photos: %d, taken by a clip: %d; drawing takes %.1f ms on each of %d "
                "threads, encoding %.1f ms, a photo %.1f ms more",
                sessions.placement.capacity,
                sessions.placement.capacity // sessions.placement.photo,
                sessions.placement.clip,
                costs.curve.seconds[0] * 1000,
                workers.count,
                costs.encode * 1000,
                costs.photo * 1000,
            )
        workers.start()
        tasks = [
            asyncio.create_task(resources.monitor.run()),
            asyncio.create_task(_prepare(resources, [known[name] for name in avatars.list_avatars()])),
        ]
        try:
            yield
        finally:
            await stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            workers.close()
            for executor in (resources.background, resources.encoders):
                executor.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(
        title="Visavis",
        version=version(),
        description=_about(),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages are drawn by scripts of other sites
        redoc_url=None,
        responses=REFUSED,
        openapi_tags=tags(uploads is not None),
    )
    app.state.sessions, app.state.stop = sessions, stop
    app.include_router(create_router(sessions))
    app.include_router(create_drive_router(sessions))
    app.include_router(create_upload_router(uploads, settings))
    answer_refusals(app)
    app.middleware("http")(_add_headers)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            allow_headers=["Authorization", "Content-Type", "If-Match"],
            expose_headers=["Location", "ETag", "Retry-After"],
        )

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["Watching"], summary="Whether calls are taken", responses={503: {"model": Health}})
    async def health(response: Response) -> Health:
        placement = sessions.placement
        response.status_code = 503 if placement.draining else 200
        return Health(
            status="draining" if placement.draining else "ok",
            sessions=len(sessions),
            capacity=placement.capacity,
            version=app.version,
        )

    @app.get("/metrics", tags=["Watching"], summary="Prometheus", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    page = Path(str(files("web_client")))
    if (page / "index.html").is_file():
        _serve_page(app, page)
    return app


def _serve_page(app: FastAPI, folder: Path) -> None:
    """Answer what is no route with the page's files. (Mounted, they would also answer a known path's wrong method.)"""
    page = StaticFiles(directory=folder, html=True)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(folder / "docs.html")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (page if scope["type"] == "http" else app.router.not_found)(scope, receive, send)

    app.router.default = answer


async def _prepare(resources: Resources, avatars: Sequence[Avatar]) -> None:
    """Encode what ships while the house is empty: who calls later need not wait for it. One at a time, so that whoever
    comes meanwhile waits for one at most."""
    loop = asyncio.get_running_loop()
    for avatar in avatars:
        await loop.run_in_executor(resources.background, resources.engine.prepare, avatar)


def _own_avatars(maker: Maker | None) -> dict[str, Avatar]:
    """What was made of photos before; a pack that cannot be read is left out."""
    own: dict[str, Avatar] = {}
    if maker is None:
        return own
    for name in maker.list():
        try:
            own[name] = maker.load(name)
        except (OSError, ValueError) as error:
            logger.warning("The avatar %s cannot be read: %s", name, error)
    return own


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _about() -> str:
    return "A real-time streaming avatar server: speech in, a talking face out, over one WebRTC connection."
