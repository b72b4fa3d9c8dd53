import asyncio
import re
import signal
import socket
import sys
import time
from pathlib import Path

import httpx
import pytest

from realtime import networks
from realtime.cli import bind, main
from realtime.settings import Settings
from realtime.version import version
from tests.caller import Caller

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_what_is_being_made_does_not_keep_the_server_from_ending(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.house", "serve", "--port", "0", "--dawdle"]
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*command, "--avatar-folder", str(tmp_path), stdout=pipe, stderr=pipe)
    assert server.stdout is not None
    async with asyncio.timeout(60):
        while not (address := re.search(rb"http://\S+", await server.stdout.readline())):
            pass
    async with httpx.AsyncClient(base_url=address[0].decode(), timeout=30) as client:
        assert (await client.get("/healthz")).status_code == 200, "what is told can be opened"
        making = asyncio.create_task(client.post("/v1/avatars", content=b"photo"))
        await asyncio.sleep(1)
        server.send_signal(signal.SIGINT)
        answer = await making
        assert answer.status_code == 422 and answer.json()["error"] == "unclear"
    _, errors = await asyncio.wait_for(server.communicate(), 10)
    assert server.returncode == 0 and "Traceback" not in errors.decode()


async def test_ctrl_c_ends_the_server_cleanly_and_soon() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-W", "error", "-m", "tests.house", "serve", "--port", str(port)]
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with asyncio.timeout(20):
            while True:
                try:
                    await client.get("/healthz")
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
        caller = Caller(client)
        assert (await caller.start()).status_code == 201
        await caller.live()
        begun = time.monotonic()
        server.send_signal(signal.SIGINT)
        out, errors = await asyncio.wait_for(server.communicate(), 10)
        assert time.monotonic() - begun < 4
        assert server.returncode == 0
        assert f"http://127.0.0.1:{port}" in out.decode()
        assert "Traceback" not in errors.decode()
        assert (await caller.event("state", state="closed"))["reason"] == "server stopped"
        await caller.vanish()


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0 and capsys.readouterr().out == f"visavis {version()}\n"


def test_senseless_flags_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--lookahead-ms", "50"]) == 2
    assert "choose one of" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(settings: Settings) -> None:
        raise AssertionError("the networks are not needed to see it")

    monkeypatch.setattr(networks, "load_networks", load)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port]) == 2
    assert f"127.0.0.1:{port} cannot be listened on: " in capsys.readouterr().err
    assert main(["serve", "--host", "300.1.1.1"]) == 2
    assert "300.1.1.1:8000 cannot be listened on: " in capsys.readouterr().err
    assert main(["serve", "--tls-cert", "/a.pem", "--tls-key", "/b.pem"]) == 2
    assert "there is no file /a.pem" in capsys.readouterr().err


def test_a_certificate_that_is_none_is_told_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    path.write_text("this is no certificate")
    assert main(["serve", "--port", "0", "--tls-cert", str(path), "--tls-key", str(path)]) == 2
    told = capsys.readouterr()
    assert "are no certificate with its key" in told.err and told.out == "", "no address before it is sure"


def test_a_free_port_is_found_for_port_0() -> None:
    with bind("127.0.0.1", 0) as door:
        assert door.getsockname()[1] > 0
