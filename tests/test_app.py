import asyncio
from pathlib import Path

import pytest

from realtime.app import create_app
from realtime.settings import Settings
from tests.caller import serve
from tests.fakes import FakeAvatar, FakeAvatars, FakeEngine

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_avatars_are_listed_with_their_pictures() -> None:
    async with serve(FakeEngine(), avatar="ben") as (_, client):
        listed = (await client.get("/v1/avatars")).json()
        assert [(each["id"], each["default"]) for each in listed] == [("ada", False), ("ben", True)]
        assert listed[0]["thumbnail"] == "/v1/avatars/ada/thumbnail"
        missing = await client.get("/v1/avatars/ada/thumbnail")
        assert (missing.status_code, missing.json()["error"]) == (404, "unknown_avatar")
        assert (await client.get("/v1/avatars/nobody/picture")).status_code == 404


async def test_pictures_are_served_from_the_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thumbnail.jpg").write_bytes(b"small")
    (tmp_path / "source.png").write_bytes(b"large")
    monkeypatch.setattr(
        FakeAvatars, "load_avatar", lambda self, id: FakeAvatar(id, thumbnail=tmp_path / "thumbnail.jpg")
    )
    async with serve(FakeEngine()) as (_, client):
        assert (await client.get("/v1/avatars/ada/thumbnail")).content == b"small"
        picture = await client.get("/v1/avatars/ada/picture")
        assert (picture.content, picture.headers["content-type"]) == (b"large", "image/png")


async def test_health_metrics_and_openapi() -> None:
    async with serve(FakeEngine(), max_sessions=3) as (app, client):
        assert (await client.get("/healthz")).json()["capacity"] == 3
        assert (await client.head("/healthz")).status_code == 200, "some monitors ask so"
        assert "visavis_capacity 3.0" in (await client.get("/metrics")).text
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert set(paths) >= {"/v1/sessions", "/v1/sessions/{secret}", "/v1/avatars", "/healthz", "/metrics"}
        assert "application/sdp" in paths["/v1/sessions"]["post"]["requestBody"]["content"]
        assert {"201", "400", "415", "503"} <= set(paths["/v1/sessions"]["post"]["responses"])
        app.state.sessions.placement.draining = True
        assert (await client.get("/healthz")).status_code == 503


async def test_every_route_has_a_part_of_the_page_for_programmers() -> None:
    async with serve(FakeEngine()) as (_, client):
        described = (await client.get("/openapi.json")).json()
        parts = {tag["name"]: tag["description"] for tag in described["tags"]}
        routes = [route for methods in described["paths"].values() for route in methods.values()]
        assert all(len(route["tags"]) == 1 and route["tags"][0] in parts for route in routes)
        assert "RFC 9725" in parts["Calls"] and '{"type": "interrupt"}' in parts["Data channel"]
        assert not parts["Avatars"], "this server makes none"
        assert "HTTPValidationError" not in described["components"]["schemas"], "refusals have one form"


async def test_what_ships_is_prepared_before_anybody_asks_for_it() -> None:
    engine = FakeEngine()
    async with serve(engine), asyncio.timeout(5):
        while engine.prepared != ["ada", "ben"]:
            await asyncio.sleep(0.01)


async def test_pages_are_sent_with_care() -> None:
    async with serve(FakeEngine()) as (_, client):
        for path in ("/healthz", "/docs"):
            headers = (await client.get(path)).headers
            assert "script-src 'self'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        for path in ("/", "/call.js", "/v1/avatars"):
            assert (await client.get(path)).headers["cache-control"] == "no-cache", "an update comes whole"


async def test_only_listed_origins_may_call() -> None:
    async with serve(FakeEngine(), cors_origins="https://a.example, https://b.example") as (_, client):
        for origin, allowed in [("https://b.example", "https://b.example"), ("https://c.example", None)]:
            response = await client.options(
                "/v1/sessions", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
            )
            assert response.headers.get("access-control-allow-origin") == allowed
        exposed = (await client.get("/healthz", headers={"Origin": "https://a.example"})).headers
        assert "Location" in exposed["access-control-expose-headers"]


def test_an_avatar_that_is_not_there_is_noticed_at_the_start() -> None:
    with pytest.raises(ValueError, match="choose one of ada, ben"):
        create_app(Settings(avatar="eve"), FakeEngine(), FakeAvatars())
