"""What is asked of the face of one call, by its page or over HTTP: its controls, and whose face it is."""

import asyncio
from contextlib import suppress
from typing import Final

from engines.controls import Controls
from engines.scene import NoScene, Scene
from realtime.animator import Animator, Ended
from realtime.controls import Set
from realtime.engine import Avatar, Pipeline
from realtime.page import Page
from realtime.placement import Full, Place
from realtime.resources import Resources
from realtime.stream import Stream
from realtime.values import ControlError, plain

SCENE_PIXELS: Final = 1280 * 720
"""Most of a photo that is sent live: what H.264 at level 3.1 and one core take 25 times a second."""


class Director:
    """Changes the face of `stream` between two pictures, and tells `page`. `controls` and `avatar` are how they stand.
    `place` is what the call takes of the house."""

    def __init__(self, resources: Resources, stream: Stream, page: Page, place: Place, avatar: Avatar) -> None:
        self.controls = Controls()
        self.avatar = avatar
        self._with_scene = False
        self._changing = asyncio.Lock()
        self._resources = resources
        self._stream = stream
        self._page = page
        self._place = place

    async def set_controls(self, change: Set) -> Controls:
        """Change the controls and return how they stand. Raises `ControlError`."""
        animator = self._animator()

        def apply(pipeline: Pipeline) -> None:
            pipeline.controls = self.controls = change.apply(pipeline.controls)

        try:
            await animator.change(apply)
        except Ended:
            raise ControlError("The call has ended", "not_live") from None
        except ValueError as error:
            raise ControlError(f"The engine refuses this: {error}") from error
        self._page.send("set", **{name: plain(value) for name, value in change.values.items()})
        return self.controls

    async def change_avatar(self, id: str, with_scene: bool) -> None:
        """Let another face go on, within all of its photo or clip if `with_scene`. Raises `ControlError`."""
        async with self._changing:  # one after the other: who is asked for last is shown
            await self._change_avatar(id, with_scene)

    async def _change_avatar(self, id: str, with_scene: bool) -> None:
        avatar = self._resources.avatars.get(id)
        if avatar is None:
            known = ", ".join(self._resources.avatars)
            raise ControlError(f"There is no avatar {id[:40]!r}: choose one of {known}", "unknown_avatar")
        animator = self._animator()
        loop, resources = asyncio.get_running_loop(), self._resources
        try:
            scene = await loop.run_in_executor(resources.background, _load_scene, avatar) if with_scene else None
            self._place.make_room(clip=avatar.clip is not None, photo=with_scene)
            await loop.run_in_executor(resources.background, resources.engine.prepare, avatar)

            def show(pipeline: Pipeline) -> None:
                pipeline.avatar, pipeline.scene = avatar, scene

            with suppress(Ended):
                await animator.change(show)
            self.avatar, self._with_scene = avatar, with_scene
        except NoScene as error:
            raise ControlError(str(error), "no_scene") from error
        except Full:
            told = "This is more work than a call may take: others have the places"
            raise ControlError(told, "full") from None
        except OSError as error:
            raise ControlError(f"The avatar {id[:40]!r} cannot be read any more", "unknown_avatar") from error
        finally:
            self._place.settle(clip=self.avatar.clip is not None, photo=self._with_scene)
        self._page.send("avatar", id=id, scene=with_scene)

    def _animator(self) -> Animator:
        if self._stream.animator is None:
            raise ControlError("The call is not live yet: wait for the state event", "not_live")
        return self._stream.animator


def _load_scene(avatar: Avatar) -> Scene:
    return Scene.load(avatar.thumbnail.parent, SCENE_PIXELS)
