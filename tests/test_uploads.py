import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from realtime.app import create_app
from realtime.settings import Settings
from realtime.uploads import MOST_COMING
from tests.fakes import FakeAvatar, FakeAvatars, FakeEngine

pytestmark = pytest.mark.usefixtures("no_leaks")


class Refusal(ValueError):
    def __init__(self, code: str) -> None:
        super().__init__(f"because of {code}")
        self.code = code


@dataclass(frozen=True)
class FakeMade:
    id: str
    points: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...] = ("two faces",)


@dataclass
class FakeMaker:
    """Makes an avatar of any bytes, in `cost` seconds; bytes that name a refusal are refused with it."""

    folder: Path
    cost: float = 0.0
    most_bytes: int = 1000
    handles: tuple[str, ...] = ("chin",)
    made: dict[str, FakeMade] = field(default_factory=dict)

    def list(self) -> list[str]:
        return list(self.made)

    def load(self, id: str) -> FakeAvatar:
        (self.folder / id).mkdir(exist_ok=True)
        (self.folder / id / "fit.json").touch()
        return FakeAvatar(id, thumbnail=self.folder / id / "thumbnail.jpg")

    def create(self, data: bytes, name: str) -> FakeMade:
        time.sleep(self.cost)
        if data.startswith(b"refuse "):
            raise Refusal(data[7:].decode())
        made = FakeMade(f"{name or 'nameless'}-1", {} if data == b"clip" else {"chin": (0.5, 0.8)})
        self.made[made.id] = made
        return made

    def close(self) -> None:
        pass

    def refit(self, id: str, moved: Mapping[str, tuple[float, float]]) -> FakeMade:
        self.made[id] = FakeMade(id, {**self.made[id].points, **moved})
        return self.made[id]

    def points(self, id: str) -> FakeMade:
        return self.made[id]

    def delete(self, id: str) -> None:
        del self.made[id]


@asynccontextmanager
async def serve(maker: FakeMaker | None, **settings: object) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(**settings), FakeEngine(), FakeAvatars(), maker)  # type: ignore[arg-type]
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://house")
    async with app.router.lifespan_context(app), client:
        yield client


async def test_an_upload_joins_the_avatars(tmp_path: Path) -> None:
    async with serve(FakeMaker(tmp_path)) as client:
        assert "POST" in (await client.options("/v1/avatars")).headers["allow"]
        answer = await client.post("/v1/avatars?name=eva", content=b"photo", headers={"Content-Type": "image/jpeg"})
        assert (answer.status_code, answer.headers["location"]) == (201, "/v1/avatars/eva-1")
        assert answer.json() == {
            "id": "eva-1",
            "points": {"chin": [0.5, 0.8]},
            "handles": ["chin"],
            "notes": ["two faces"],
        }
        listed = {each["id"]: each for each in (await client.get("/v1/avatars")).json()}
        assert list(listed) == ["ada", "ben", "eva-1"]
        assert listed["eva-1"]["own"] and not listed["ada"]["own"]
        assert "?v=" in listed["eva-1"]["picture"]

        moved = await client.put("/v1/avatars/eva-1/points", json={"points": {"chin": [0.5, 0.9]}})
        assert moved.json()["points"] == {"chin": [0.5, 0.9]}
        assert (await client.get("/v1/avatars/eva-1/points")).json()["points"] == {"chin": [0.5, 0.9]}

        assert (await client.delete("/v1/avatars/eva-1")).status_code == 204
        assert [each["id"] for each in (await client.get("/v1/avatars")).json()] == ["ada", "ben"]
        for method, path in (("DELETE", ""), ("GET", "/points"), ("DELETE", "/../ada")):
            assert (await client.request(method, f"/v1/avatars/eva-1{path}")).status_code in (404, 405)


async def test_avatars_made_before_are_there_from_the_start(tmp_path: Path) -> None:
    maker = FakeMaker(tmp_path)
    maker.create(b"photo", "old")
    async with serve(maker, avatar="old-1") as client:
        assert [each["default"] for each in (await client.get("/v1/avatars")).json()] == [False, False, True]
        answer = await client.delete("/v1/avatars/old-1")
        assert (answer.status_code, answer.json()["error"]) == (409, "in_use")


@pytest.mark.parametrize(("code", "status"), [("no_face", 422), ("not_a_picture", 415), ("too_large", 413)])
async def test_refusals_are_json(tmp_path: Path, code: str, status: int) -> None:
    async with serve(FakeMaker(tmp_path)) as client:
        answer = await client.post("/v1/avatars", content=f"refuse {code}".encode())
        assert answer.status_code == status
        assert answer.json() == {"error": code, "message": f"because of {code}"}


async def test_bodies_are_bounded(tmp_path: Path) -> None:
    async with serve(FakeMaker(tmp_path)) as client:
        answer = await client.post("/v1/avatars", content=bytes(2000))
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
        await client.post("/v1/avatars?name=eva", content=b"photo")
        for wrong in ({"points": {"chin": [0.5, 99]}}, {"points": {"chin": [0.5]}}, {"points": {"x" * 50: [0, 0]}}):
            answer = await client.put("/v1/avatars/eva-1/points", json=wrong)
            assert (answer.status_code, answer.json()["error"]) == (422, "bad_message")
            assert answer.json()["message"].startswith("body.points.")


async def test_a_full_disk_is_told_to_the_caller_and_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: FakeMaker, data: bytes, name: str) -> FakeMade:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(FakeMaker, "create", fail)
    async with serve(FakeMaker(tmp_path)) as client:
        answer = await client.post("/v1/avatars", content=b"photo")
        assert (answer.status_code, answer.json()["error"]) == (507, "not_kept")
        assert "No space left on device" in answer.json()["message"] and "No space left on device" in caplog.text


async def test_who_goes_away_while_sending_leaves_nothing_behind(tmp_path: Path) -> None:
    maker = FakeMaker(tmp_path)
    app = create_app(Settings(), FakeEngine(), FakeAvatars(), maker)
    parts = [{"type": "http.request", "body": b"half a pho", "more_body": True}, {"type": "http.disconnect"}]
    answered: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0) if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        answered.append(message)

    request = {"type": "http", "method": "POST", "path": "/v1/avatars", "query_string": b"", "headers": []}
    async with app.router.lifespan_context(app):
        await app(request, receive, send)  # raises nothing that would fill the log
    assert answered[0]["status"] == 400 and not maker.made


@pytest.mark.parametrize(
    ("site", "origin", "status"),
    [
        ("same-origin", "http://house", 201),
        ("none", "", 201),
        ("cross-site", "https://evil.example", 403),
        ("same-site", "http://other.house", 403),
        ("cross-site", "https://friend.example", 201),
    ],
)
async def test_pages_of_other_sites_send_no_files(tmp_path: Path, site: str, origin: str, status: int) -> None:
    async with serve(FakeMaker(tmp_path), cors_origins="https://friend.example") as client:
        headers = {"Sec-Fetch-Site": site, "Origin": origin, "Content-Type": "text/plain"}
        answer = await client.post("/v1/avatars", content=b"photo", headers=headers)
        assert answer.status_code == status
        assert status == 201 or answer.json()["error"] == "foreign_page"


async def test_photos_wait_for_each_other_and_not_forever(tmp_path: Path) -> None:
    async with serve(FakeMaker(tmp_path, cost=0.1)) as client:
        answers = await asyncio.gather(*(client.post(f"/v1/avatars?name={n}", content=b"photo") for n in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429]


async def test_while_one_is_fitted_others_can_be_looked_up_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = FakeMaker(tmp_path)
    maker.create(b"photo", "old")
    maker.create(b"photo", "eva")
    go_on, refit = threading.Event(), FakeMaker.refit

    def slow(self: FakeMaker, id: str, moved: Mapping[str, tuple[float, float]]) -> FakeMade:
        go_on.wait(10)
        return refit(self, id, moved)

    monkeypatch.setattr(FakeMaker, "refit", slow)
    async with serve(maker) as client:
        moving = asyncio.create_task(client.put("/v1/avatars/eva-1/points", json={"points": {"chin": [0.5, 0.9]}}))
        await asyncio.sleep(0.1)
        assert (await client.get("/v1/avatars/old-1/points")).status_code == 200
        assert (await client.delete("/v1/avatars/old-1")).status_code == 204
        reading = asyncio.create_task(client.get("/v1/avatars/eva-1/points"))
        await asyncio.sleep(0.1)
        assert not moving.done() and not reading.done(), "nobody reads what is being written"
        go_on.set()
        assert (await moving).json()["points"] == (await reading).json()["points"] == {"chin": [0.5, 0.9]}


async def test_not_more_files_are_taken_in_than_memory_is_meant_for(tmp_path: Path) -> None:
    arrive = asyncio.Event()
    begun = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal begun
        begun += 1
        await arrive.wait()
        yield b"photo"

    async with serve(FakeMaker(tmp_path)) as client:
        sent = [asyncio.create_task(client.post("/v1/avatars", content=slow())) for _ in range(MOST_COMING)]
        async with asyncio.timeout(5):
            while begun < MOST_COMING:
                await asyncio.sleep(0.01)
        one_more = await client.post("/v1/avatars", content=slow())
        assert (one_more.status_code, one_more.json()["error"], begun) == (429, "busy", MOST_COMING)
        arrive.set()
        assert {answer.status_code for answer in await asyncio.gather(*sent)} <= {201, 429}
        assert (await client.post("/v1/avatars", content=slow())).status_code == 201


async def test_uploads_can_be_switched_off_and_want_the_token(tmp_path: Path) -> None:
    for maker, settings in ((None, {}), (FakeMaker(tmp_path), {"max_uploads": 0})):
        async with serve(maker, **settings) as client:
            assert (await client.options("/v1/avatars")).headers["allow"] == "GET, OPTIONS"
            assert (await client.post("/v1/avatars", content=b"photo")).status_code == 405
    async with serve(FakeMaker(tmp_path), token="secret") as client:
        assert (await client.post("/v1/avatars", content=b"photo")).status_code == 401


async def test_a_broken_pack_does_not_keep_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FakeMaker, id: str) -> FakeAvatar:
        raise ValueError("broken")

    maker = FakeMaker(tmp_path)
    maker.create(b"photo", "old")
    monkeypatch.setattr(FakeMaker, "load", fail)
    async with serve(maker) as client:
        assert [each["id"] for each in (await client.get("/v1/avatars")).json()] == ["ada", "ben"]


async def test_an_avatar_of_a_clip_has_nothing_to_move(tmp_path: Path) -> None:
    async with serve(FakeMaker(tmp_path)) as client:
        answer = await client.post("/v1/avatars?name=eva", content=b"clip", headers={"Content-Type": "video/mp4"})
        assert answer.status_code == 201 and answer.json()["points"] == {} and answer.json()["handles"] == []
