"""A published key does nothing but send, from its own pages; a shopper's token reads one persona."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from typing import Any

import httpx
import pytest
import redis
from click.testing import CliRunner

from inference.api.access.pages import parse_origin
from inference.api.access.tokens import ShopperClaims, ShopperTokens
from inference.api.routes.script import SCRIPT
from inference.errors import ApiKeyError
from ops.cli.live.keys import keys
from tests.api_process import Api, event
from tests.inference.api.test_live_api import wait_for_persona
from tests.rig import Rig

SHOP = "https://shop.example"
ASKED = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-encoding"}


def sent(api: Api, key: str, origin: str | None, body: Any = None, **more: Any) -> httpx.Response:
    """What a page's beacon or fetch sends: text, with the key in the address."""
    headers = {} if origin is None else {"Origin": origin}
    content = json.dumps([event(uuid.uuid4().hex)] if body is None else body)
    return httpx.post(f"{api.url}/v1/events", params={"key": key, **more}, content=content, headers=headers)


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix("urn:simpersona:")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example:443/", "https://shop.example"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://käse.example", "https://xn--kse-qla.example"),
        ("null", "null"),
    ],
)
def test_origins_are_kept_as_browsers_write_them(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "*", "shop.example", "https://*.shop.example", "https://shop.example/cart", "https://a@shop.example",
     "ftp://shop.example", "https://shop.example:x", "https://shop.example?q", "https://", "https://a b"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ApiKeyError, match=r"is no origin: write scheme and host .*https://shop\.example"):
        parse_origin(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--store", "acme", "--origin", "shop.example"],
        ["--store", "*", "--origin", SHOP],
        ["--store", "acme", "--origin", SHOP, "--scope", "personas:read"],
        ["--store", "acme", "--origin", SHOP, "--scope", "events:write", "--scope", "buyers:erase"],
    ],
)
def test_no_published_key_is_made_that_does_more(arguments: list[str]) -> None:
    asked = CliRunner().invoke(keys, ["create", *arguments])
    assert asked.exit_code == 2
    assert "Invalid value for --origin" in asked.stderr


def test_a_token_is_read_until_it_is_over_and_no_other_text_is() -> None:
    tokens = ShopperTokens(b"k" * 32)
    claims = ShopperClaims(store="acme", buyer="b1", key="0123456789ab", until=1_000)
    token = tokens.make(claims)
    assert tokens.read(token, 999) == claims
    assert tokens.read(token, 1_000) is None
    assert ShopperTokens(b"l" * 32).read(token, 999) is None
    said, _, signature = token.partition(".")
    other = base64.urlsafe_b64encode(
        b'{"store":"acme","buyer":"b2","key":"0123456789ab","until":1000}'
    ).decode()
    assert "b2" in str(base64.urlsafe_b64decode(other))
    for wrong in (
        f"spt_{other.rstrip('=')}.{signature}", said, f"{said}.", f"{said}.{signature[:-1]}", f".{signature}",
        "", token + "A", token + " ", token.replace("spt_", "sp_"), "é" + token, f"{said}.{'é' * 43}",
        "x" * 5_000,
    ):  # fmt: skip
        assert tokens.read(wrong, 999) is None, wrong


@pytest.mark.integration
@pytest.mark.timeout(300)
class TestLive:
    """On real servers."""

    def test_a_published_key_sends_from_its_pages_and_from_no_others(self, api: Api) -> None:
        key = api.page_key("acme", SHOP, "null")
        for origin in (SHOP, "null"):
            ours = sent(api, key, origin)
            assert (ours.status_code, ours.json()["accepted"]) == (202, 1)
            assert ours.headers["access-control-allow-origin"] == origin
            assert ours.headers["vary"] == "Origin"
        for origin in ("https://evil.example", "https://shop.example.evil", "http://shop.example", None):
            theirs = sent(api, key, origin)
            assert (theirs.status_code, kind(theirs)) == (403, "other-origin")
            assert "keys create --origin" in theirs.json()["detail"]
            assert "access-control-allow-origin" not in theirs.headers
        wrong = sent(api, key, SHOP, [{"buyer": "b"}])
        assert wrong.status_code == 422  # and the page may read why
        assert wrong.headers["access-control-allow-origin"] == SHOP

    def test_browsers_that_ask_first_are_answered_for_the_origins_of_the_key(self, api: Api) -> None:
        key = api.page_key("acme", SHOP)
        address = f"{api.url}/v1/events?key={key}"
        asked = httpx.options(address, headers={"Origin": SHOP, **ASKED})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == SHOP
        assert asked.headers["access-control-allow-methods"] == "POST"
        assert "Content-Encoding" in asked.headers["access-control-allow-headers"]
        for refused in (
            httpx.options(address, headers={"Origin": "https://evil.example", **ASKED}),
            httpx.options(f"{api.url}/v1/events?key=sp_x", headers={"Origin": SHOP, **ASKED}),
            httpx.options(f"{api.url}/v1/events", headers={"Origin": SHOP, **ASKED}),
        ):
            assert refused.status_code in (401, 403, 405)
            assert "access-control-allow-origin" not in refused.headers

    def test_a_published_key_can_do_nothing_else(self, api: Api) -> None:
        key = api.page_key("acme", SHOP)
        with api.client(key) as client:
            client.headers["Origin"] = SHOP
            for method, path in (
                ("GET", "/v1/stores/acme/buyers/4711/persona"),
                ("DELETE", "/v1/stores/acme/buyers/4711"),
                ("POST", "/v1/stores/acme/buyers/4711/token"),
                ("GET", "/v1/stores/acme/stream"),
                ("GET", "/metrics"),
            ):
                answer = client.request(method, path)
                assert (answer.status_code, kind(answer)) == (403, "missing-scope"), path
        assert sent(api, key, SHOP, store="other").status_code == 403
        elsewhere = httpx.get(f"{api.url}/v1/stores/acme/buyers/4711/persona", params={"key": key})
        assert elsewhere.status_code == 401  # no other route looks for a key in the address

    def test_a_servers_key_is_not_taken_from_an_address(self, api: Api) -> None:
        answer = sent(api, api.new_key("acme"), SHOP)
        assert (answer.status_code, kind(answer)) == (403, "key-in-address")
        assert "revoke this key" in answer.json()["detail"]

    def test_a_flood_of_pages_takes_nothing_from_the_server(self, live: Rig, acme: httpx.Client) -> None:
        narrow = Api(live, requests_per_store=1)
        page, server = (
            narrow.page_key("acme", SHOP, rate=0.01, burst=3),
            narrow.new_key("acme", rate=0.01, burst=3),
        )
        flood = [sent(narrow, page, SHOP) for _ in range(6)]
        assert [answer.status_code for answer in flood] == [202] * 3 + [429] * 3
        assert flood[-1].headers["access-control-allow-origin"] == SHOP  # the page may read how long to wait
        assert "Retry-After" in flood[-1].headers["access-control-expose-headers"]
        assert int(flood[-1].headers["retry-after"]) > 1
        body = (f"[{' ' * 9_000}", "]")
        with narrow.client(server) as client, httpx.Client(base_url=narrow.url) as slow:

            def dribble() -> Any:  # holds the pages' only place, while the server sends
                yield body[0].encode()
                assert client.post("/v1/events", json=event(uuid.uuid4().hex)).status_code == 202
                busy = sent(narrow, other, SHOP)
                assert (busy.status_code, kind(busy)) == (429, "too-many-at-once")
                yield body[1].encode()

            other = narrow.page_key("acme", SHOP)
            params, headers = {"key": other}, {"Origin": SHOP}
            assert (
                slow.post("/v1/events", params=params, headers=headers, content=dribble()).status_code == 202
            )
        assert narrow.stop() == 0

    def test_the_origins_of_a_key_are_listed_and_audited(self, live: Rig, api: Api) -> None:
        key_id = api.page_key("acme", SHOP, SHOP + "/").split("_")[1]
        (kept,) = [row for row in api.keys("list")["keys"] if row["id"] == key_id]
        assert (kept["origins"], kept["scopes"]) == ([SHOP], ["events:write"])
        audited = (live.folder / "home" / "audit.jsonl").read_text().splitlines()
        (line,) = [json.loads(text) for text in audited if key_id in text]
        assert line["origins"] == [SHOP]

    def test_a_token_reads_one_persona_and_ends_with_its_key(
        self, live: Rig, api: Api, acme: httpx.Client
    ) -> None:
        buyer, key = uuid.uuid4().hex, api.new_key("acme", "tokens:create")
        acme.post("/v1/events", json=event(uuid.uuid4().hex, buyer)).raise_for_status()
        wait_for_persona(live, acme, buyer, 1)
        with api.client(key) as server:
            path = f"/v1/stores/acme/buyers/{buyer}"
            made = server.post(f"{path}/token").raise_for_status().json()
            assert (
                server.get(f"{path}/persona").status_code == 403
            )  # the scope makes tokens, and reads nothing
            assert server.post("/v1/stores/other/buyers/1/token").status_code == 403
            assert server.post(f"{path}/token", params={"seconds": 7_200}).status_code == 422
            stranger = server.post("/v1/stores/acme/buyers/never-heard-of/token").raise_for_status().json()
        with api.client(made["token"]) as page:
            page.headers["Origin"] = "https://anywhere.example"
            own = page.get("/v1/persona").raise_for_status()
            whole = acme.get(f"{path}/persona").raise_for_status().json()
            assert own.json() == {name: whole[name] for name in own.json()}
            told = {"code", "token", "type", "confidence", "forecast", "forecast_probability"}
            assert set(own.json()) == {"early", "codebook_version", *told}
            assert own.headers["access-control-allow-origin"] == "*"
            assert own.headers["cache-control"] == "no-store"
            for method, other in (
                ("GET", f"{path}/persona"),
                ("GET", "/v1/personas"),
                ("POST", "/v1/events"),
            ):
                assert page.request(method, other).status_code == 401
            assert 429 in [page.get("/v1/persona").status_code for _ in range(40)]  # one shopper's, no more
            with api.client(stranger["token"]) as another:
                unknown = another.get("/v1/persona")
                assert (unknown.status_code, kind(unknown)) == (404, "unknown-buyer")
                api.keys("revoke", key.split("_")[1])
                ended = another.get("/v1/persona")
                assert (ended.status_code, kind(ended)) == (401, "no-token")
                assert ended.headers["access-control-allow-origin"] == "*"

    def test_an_erased_buyer_has_no_token_and_no_persona(
        self, live: Rig, api: Api, acme: httpx.Client
    ) -> None:
        buyer, path = uuid.uuid4().hex, "/v1/stores/acme/buyers/"
        acme.post("/v1/events", json=event(uuid.uuid4().hex, buyer)).raise_for_status()
        wait_for_persona(live, acme, buyer, 1)
        with api.client(api.new_key("acme", "tokens:create")) as server:
            token = server.post(f"{path}{buyer}/token").raise_for_status().json()["token"]
            acme.delete(f"{path}{buyer}").raise_for_status()
            live.wait_for(lambda: acme.get(f"{path}{buyer}/erasure").json()["state"] == "done", "the erasure")
            refused = server.post(f"{path}{buyer}/token")
        assert (refused.status_code, kind(refused)) == (404, "erased-buyer")
        with api.client(token) as page:
            gone = page.get("/v1/persona")
            assert (gone.status_code, kind(gone)) == (404, "erased-buyer")

    def test_a_page_asks_before_it_reads_with_a_token(self, api: Api) -> None:
        asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        asked = httpx.options(f"{api.url}/v1/persona", headers={"Origin": "https://any.example", **asking})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == "*"
        assert asked.headers["access-control-allow-headers"] == "Authorization"
        assert "access-control-allow-credentials" not in asked.headers

    def test_the_script_is_served_small_to_pages_of_any_origin(self, api: Api) -> None:
        plain = httpx.get(f"{api.url}/simpersona.js", headers={"Accept-Encoding": "identity"})
        assert plain.content == SCRIPT.read_bytes()
        assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
        assert plain.headers["cross-origin-resource-policy"] == "cross-origin"
        assert plain.headers["access-control-allow-origin"] == "*"
        assert plain.headers["x-content-type-options"] == "nosniff"
        assert plain.headers["cache-control"] == "public, max-age=3600"
        with httpx.stream("GET", f"{api.url}/simpersona.js") as packed:
            raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(raw) == plain.content
        assert len(raw) < 4_000
        known = {"If-None-Match": plain.headers["etag"]}
        assert httpx.get(f"{api.url}/simpersona.js", headers=known).status_code == 304

    def test_no_row_of_a_key_or_a_shopper_stays_for_ever(self, live: Rig, api: Api) -> None:
        """Buckets of shoppers end by themselves, and verify's walk finds nothing that it does not know."""
        store = redis.Redis.from_url(live.settings.store_url)
        buckets = list(store.scan_iter("simpersona-api:*:shopper:*"))
        assert buckets
        assert all(0 < int(str(store.pttl(bucket))) <= 60_000 for bucket in buckets)
