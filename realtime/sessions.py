"""All sessions of this process: who may start one, where they are found, how they all end."""

import asyncio
from typing import Final

from realtime.engine import Avatar
from realtime.offer import Offer, OfferError
from realtime.placement import Place, Placement
from realtime.resources import Resources
from realtime.session import Session

_LOST: Final = 3.0
"""Seconds without a packet after which a page may start anew beside its lost session."""


class Sessions:
    """The house. Not for use from other threads."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.placement = Placement(0, resources.settings.retry_seconds)
        self._by_secret: dict[str, Session] = {}
        self._clients: dict[str, Session] = {}
        self.admit(resources.settings.max_sessions)

    def __len__(self) -> int:
        return len(self._by_secret)

    def admit(self, capacity: int, photo: int = 1, clip: int = 1) -> None:
        """Let `capacity` calls live at the same time, or fewer where some of them show a whole photo, which takes
        `photo` places, or move as in a clip, which takes `clip`."""
        self.placement.capacity = capacity
        self.placement.photo, self.placement.clip = min(photo, capacity), min(clip, capacity)
        self.resources.metrics.capacity.set(capacity)

    async def start(self, offer: Offer, avatar_id: str, client: str | None) -> tuple[Session, str]:
        """A new session and its SDP answer. Raises `OfferError` (404, 409, 400) and `placement.Full`."""
        avatar = self.find_avatar(avatar_id)
        await self._end_lost(client)
        place = self.placement.reserve(clip=avatar.clip is not None)
        try:
            session = Session(self.resources, avatar, offer, place, lambda ended: self._forget(ended, client, place))
        except BaseException:
            place.release()
            raise
        if client is not None:
            self._clients[client] = session
        self._by_secret[session.secret] = session
        self.resources.metrics.sessions.set(len(self))
        try:
            return session, await session.answer()
        except BaseException:
            self._forget(session, client, place)
            raise

    def find(self, secret: str) -> Session:
        """Raises `OfferError` with 404."""
        session = self._by_secret.get(secret)
        if session is None:
            raise OfferError(404, "unknown_session", "There is no such session: it has ended, or never was")
        return session

    def find_avatar(self, id: str) -> Avatar:
        """The avatar of this id, the default for "". Raises `OfferError` with 404."""
        avatars, settings = self.resources.avatars, self.resources.settings
        id = id or settings.avatar or next(iter(avatars))
        if id not in avatars:
            known = ", ".join(avatars)
            raise OfferError(404, "unknown_avatar", f"There is no avatar {id[:40]!r}: choose one of {known}")
        return avatars[id]

    async def close(self) -> None:
        """End all of them; none starts any more."""
        self.placement.draining = True
        await asyncio.gather(*(session.close("server stopped") for session in list(self._by_secret.values())))

    async def _end_lost(self, client: str | None) -> None:
        session = self._clients.get(client or "")
        if session is None:
            return
        if session.quiet_seconds < _LOST:
            raise OfferError(409, "already_started", "This page has a session: DELETE it before starting another")
        await session.close("replaced")
        if (client or "") in self._clients:
            raise OfferError(409, "already_started", "This page has started a session in the meantime")

    def _forget(self, session: Session, client: str | None, place: Place) -> None:
        place.release()
        self._by_secret.pop(session.secret, None)
        if client is not None and self._clients.get(client) is session:
            del self._clients[client]
        self.resources.metrics.sessions.set(len(self))
