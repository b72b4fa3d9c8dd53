from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from tests.caller import SDP, Caller, serve
from tests.fakes import FakeEngine
from tests.test_offer import BAD, CANDIDATE, call

pytestmark = pytest.mark.usefixtures("no_leaks")
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def house(no_leaks: None) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    async with serve(FakeEngine(), max_sessions=2, connect_seconds=1.0, retry_seconds=3) as served:
        yield served


async def test_starting_answers_with_a_session_of_its_own(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    response = await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP)
    assert response.status_code == 201
    assert response.headers["content-type"].startswith("application/sdp")
    assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    location = response.headers["Location"]
    assert location.startswith("/v1/sessions/") and len(location) > 40
    assert "a=sendrecv" in response.text and "a=sendonly" in response.text
    assert "useinbandfec=1" in response.text and "a=candidate" in response.text
    assert (await client.delete(location)).status_code == 200
    gone = await client.delete(location)
    assert (gone.status_code, gone.json()["error"]) == (404, "unknown_session")


@pytest.mark.parametrize("name", BAD)
async def test_bad_offers_get_400_and_no_peer_connection(
    house: tuple[FastAPI, httpx.AsyncClient], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, client = house
    made: list[object] = []
    monkeypatch.setattr("realtime.peer.RTCPeerConnection", made.append)
    response = await client.post("/v1/sessions", content=BAD[name], headers=SDP)
    assert not made
    assert (response.status_code, response.json()["error"]) in [(400, "bad_offer"), (413, "too_large")]
    assert len(app.state.sessions) == 0


@pytest.mark.parametrize(
    ("query", "body", "kind", "status", "code"),
    [
        ("", call(), "application/json", 415, "wrong_type"),
        ("", call(), "", 415, "wrong_type"),
        ("", call() + b"a=x\r\n" * 20_000, "application/sdp", 413, "too_large"),
        ("?avatar=nobody", call(), "application/sdp", 404, "unknown_avatar"),
        ("", call().replace(b"opus", b"none"), "application/sdp", 406, "no_usable_codec"),
        ("?client=short", call(), "application/sdp", 400, "bad_offer"),
    ],
)
async def test_what_is_refused_says_why(
    house: tuple[FastAPI, httpx.AsyncClient], query: str, body: bytes, kind: str, status: int, code: str
) -> None:
    app, client = house
    response = await client.post("/v1/sessions" + query, content=body, headers={"Content-Type": kind})
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert len(response.json()["message"]) > 20
    assert len(app.state.sessions) == 0


async def test_a_full_house_says_when_to_come_back(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    started = [await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP) for _ in range(3)]
    assert [response.status_code for response in started] == [201, 201, 503]
    assert started[2].headers["Retry-After"] == "3"
    assert started[2].json()["error"] == "full"
    await client.delete(started[0].headers["Location"])
    assert (await client.get("/healthz")).json()["sessions"] == 1
    again = await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP)
    assert again.status_code == 201


async def test_a_second_start_of_one_page_is_refused(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    first = await client.post("/v1/sessions?client=page-one-1", content=call(CANDIDATE), headers=SDP)
    second = await client.post("/v1/sessions?client=page-one-1", content=call(CANDIDATE), headers=SDP)
    other = await client.post("/v1/sessions?client=page-two-2", content=call(CANDIDATE), headers=SDP)
    assert [first.status_code, second.status_code, other.status_code] == [201, 409, 201]
    await client.delete(first.headers["Location"])
    third = await client.post("/v1/sessions?client=page-one-1", content=call(CANDIDATE), headers=SDP)
    assert third.status_code == 201


async def test_who_never_connects_is_forgotten(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    app, client = house
    await client.post("/v1/sessions", content=call(), headers=SDP)
    assert len(app.state.sessions) == 1
    caller = Caller(client)
    await caller.until(lambda: len(app.state.sessions) == 0, timeout=5)
    await caller.vanish()
    assert 'visavis_sessions_ended_total{reason="no connection"} 1.0' in (await client.get("/metrics")).text


async def test_trickling(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    response = await client.post("/v1/sessions", content=call(), headers=SDP)
    location, etag = response.headers["Location"], response.headers["ETag"]
    good = f"a=ice-ufrag:abcd\r\na=mid:0\r\n{CANDIDATE}\r\n".encode()

    async def patch(body: bytes, **headers: str) -> int:
        return (await client.patch(location, content=body, headers=FRAGMENT | headers)).status_code

    assert await patch(good) == 204
    assert await patch(good, **{"If-Match": etag}) == 204
    assert await patch(good, **{"If-Match": '"other"'}) == 412
    assert await patch(good, **{"If-Match": "*"}) == 422
    assert await patch(good.replace(b"abcd", b"efgh")) == 422
    assert await patch(b"hello") == 400
    assert await patch(good, **{"Content-Type": "text/plain"}) == 415
    assert await patch(b"a=x\r\n" * 20_000) == 413
    for _ in range(3):
        status = await patch(f"a=mid:0\r\n{CANDIDATE}\r\n".encode() + f"{CANDIDATE}\r\n".encode() * 31)
    assert status == 400
    assert (await client.patch("/v1/sessions/nobody", content=good, headers=FRAGMENT)).status_code == 404


async def test_controls_wait_for_the_call(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    started = await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP)
    controls = started.headers["Location"] + "/controls"
    assert (await client.get(controls)).json()["alpha"] == 1.0
    early = await client.patch(controls, json={"alpha": 1.2})
    assert (early.status_code, early.json()["error"]) == (409, "not_live")
    wrong = await client.patch(controls, content=b"{}", headers=SDP)
    assert (wrong.status_code, wrong.json()["error"]) == (415, "wrong_type")
    nobody = await client.patch("/v1/sessions/nobody/controls", json={"alpha": 1.2})
    assert (nobody.status_code, nobody.json()["error"]) == (404, "unknown_session")


async def test_half_a_character_is_quoted_in_an_answer_that_can_be_sent(
    house: tuple[FastAPI, httpx.AsyncClient],
) -> None:
    _, client = house
    started = await client.post("/v1/sessions", content=call(CANDIDATE), headers=SDP)
    controls, json = started.headers["Location"] + "/controls", {"Content-Type": "application/json"}
    answer = await client.patch(controls, content=rb'{"\ud800": 1}', headers=json)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_message")
    assert "unknown: ?" in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/nothing.html", 404, "not_found"),
        ("PUT", "/v1/avatars", 405, "wrong_method"),
        ("GET", "/v1/sessions", 405, "wrong_method"),
        ("POST", "/index.html", 405, "wrong_method"),
    ],
)
async def test_what_is_not_there_is_told_as_every_other_error(
    house: tuple[FastAPI, httpx.AsyncClient], method: str, path: str, status: int, code: str
) -> None:
    _, client = house
    answer = await client.request(method, path)
    assert (answer.status_code, set(answer.json())) == (status, {"error", "message"})
    assert answer.json()["error"] == code and path in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/sessions", "POST, OPTIONS"),
        ("/v1/sessions/secret", "PATCH, DELETE, OPTIONS"),
        ("/v1/sessions/secret/controls", "GET, PATCH"),
        ("/healthz", "GET, HEAD"),
        ("/index.html", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    house: tuple[FastAPI, httpx.AsyncClient], path: str, allowed: str
) -> None:
    _, client = house
    answer = await client.put(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


async def test_options_tell_what_is_accepted(house: tuple[FastAPI, httpx.AsyncClient]) -> None:
    _, client = house
    response = await client.options("/v1/sessions")
    assert (response.status_code, response.headers["Accept-Post"]) == (204, "application/sdp")


async def test_a_token_is_wanted_where_one_is_set(no_leaks: None) -> None:
    async with serve(FakeEngine(), token="sesame") as (_, client):
        assert (await client.get("/v1/avatars")).status_code == 401
        assert (await client.get("/v1/avatars", headers={"Authorization": "Bearer sesam"})).status_code == 401
        assert (await client.get("/v1/avatars", headers={"Authorization": "Bearer sesame"})).status_code == 200
        assert (await client.get("/healthz")).status_code == 200


async def test_a_fault_of_the_server_is_told_as_json_too(
    house: tuple[FastAPI, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = house

    def fail(secret: str) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(app.state.sessions, "find", fail)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://house") as client:
        response = await client.get("/v1/sessions/any/controls")
    assert (response.status_code, response.json()["error"]) == (500, "internal_error")
