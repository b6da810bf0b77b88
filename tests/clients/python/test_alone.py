"""The client installed by itself: httpx, msgspec and what they need, and nothing of simpersona's."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.clients.python.test_following import assignment
from tests.clients.python.test_openfeature import PERSONA
from tests.empty_environment import ROOT, EmptyEnvironment, build_wheel, names_in

PROJECT = ROOT / "clients" / "python"
ASK_AND_FOLLOW = """
import asyncio, sys
from simpersona_client import AsyncPersonaClient, NoPersonaError, PersonaClient

async def ask():
    async with AsyncPersonaClient(sys.argv[1], "sp_x") as client:
        return (await client.persona("acme", "4711")).type

with PersonaClient(sys.argv[1], "sp_x") as client:
    print(client.persona("acme", "4711").token, asyncio.run(ask()))
    print(next(client.follow("acme")).assignment.token)
    try:
        client.persona("acme", "a-stranger")
    except NoPersonaError as error:
        print(error.kind)
"""
WITHOUT_THE_EXTRA = """
from importlib.util import find_spec
from simpersona_client import *
print([name for name in ("feature_store", "inference", "structlog", "openfeature") if find_spec(name)])
"""


class Stub(BaseHTTPRequestHandler):
    """The API as far as the program above asks it."""

    def do_GET(self) -> None:
        if self.path.endswith("/stream"):
            body = f"id: 1\nevent: assignment\ndata: {assignment(3)}\n\n".encode()
            self.answer(200, "text/event-stream", body)
        elif "4711" in self.path:
            self.answer(200, "application/json", encoded(PERSONA))
        else:
            problem = {"type": "urn:simpersona:unknown-buyer", "title": "T", "status": 404, "detail": "no"}
            self.answer(404, "application/problem+json", encoded(problem))

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def encoded(answer: object) -> bytes:
    return json.dumps(answer).encode()


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(PROJECT, tmp_path_factory.mktemp("client-wheel"))


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> EmptyEnvironment:
    return EmptyEnvironment(tmp_path_factory.mktemp("alone") / "venv", wheel)


def run(alone: EmptyEnvironment, code: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(alone.python), "-I", "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_the_package_with_its_types(wheel: Path) -> None:
    source = PROJECT / "src"
    files = {str(path.relative_to(source)) for path in source.glob("simpersona_client/*.*")}
    assert "simpersona_client/py.typed" in files
    assert names_in(wheel) == files


def test_it_asks_and_follows(alone: EmptyEnvironment, stub: str) -> None:
    assert run(alone, ASK_AND_FOLLOW, stub).split("\n")[:3] == [
        "<|persona_17|> comparer",
        "<|persona_3|>",
        "unknown-buyer",
    ]


def test_nothing_of_the_servers_is_there(alone: EmptyEnvironment) -> None:
    assert alone.linked >= {"httpx", "msgspec"}
    assert run(alone, WITHOUT_THE_EXTRA).strip() == "[]"


def test_flags_need_the_extra_alone(wheel: Path, alone: EmptyEnvironment, tmp_path: Path) -> None:
    code = "import simpersona_client.openfeature as flags; print(flags.PersonaHook.__name__)"
    with_flags = EmptyEnvironment(tmp_path / "venv", wheel, ["openfeature"])
    assert run(with_flags, code).strip() == "PersonaHook"
    assert "openfeature-sdk" in with_flags.linked - alone.linked
