"""`WS /v1/sessions/{secret}/drive`: the `drive` messages of `realtime.controls` from a tracker on another device than
the page's, such as a phone. `error` events come back. The socket closes when the session has ended, or after a while
without a message.
"""

import asyncio
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketState

from realtime.controls import DriveFrame, Message
from realtime.inbox import Inbox
from realtime.offer import OfferError
from realtime.sessions import Sessions
from realtime.signaling import check_token
from realtime.values import ControlError

_IDLE_SECONDS: Final = 15.0
_POLICY_VIOLATION, _GOING_AWAY = 1008, 1001  # RFC 6455 section 7.4.1


def create_drive_router(sessions: Sessions) -> APIRouter:
    """The route below `/v1`. A server with a token asks for it in the `Authorization` header."""
    router = APIRouter(prefix="/v1")
    token = sessions.resources.settings.token

    @router.websocket("/sessions/{secret}/drive")
    async def drive(socket: WebSocket, secret: str) -> None:
        try:
            check_token(socket, token)
            session = sessions.find(secret)
        except OfferError as error:
            await socket.close(_POLICY_VIOLATION, str(error))
            return

        def follow(message: Message) -> None:
            if not isinstance(message, DriveFrame):
                raise ControlError('This socket takes "drive" messages: send others on the data channel')
            session.drive(message)

        answers: list[str] = []
        inbox = Inbox(follow, answers.append)
        await socket.accept()
        try:
            while session.state != "closed":
                message = await asyncio.wait_for(socket.receive(), _IDLE_SECONDS)
                if message["type"] == "websocket.disconnect":
                    return
                inbox.take(message.get("text") or message.get("bytes") or "")
                while answers:
                    await socket.send_text(answers.pop(0))
        except TimeoutError:
            pass
        if socket.application_state is WebSocketState.CONNECTED:
            await socket.close(_GOING_AWAY)

    return router
