"""Who made and ended which key is in the audit log; whose pages may call the API."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest
import redis
from click.testing import CliRunner

from inference.api.access.audit import AUDIT_FILE, AuditLine, read_audit, write_audit
from inference.errors import ApiKeyError
from ops.cli.live.keys import keys
from tests.api_process import Api
from tests.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def audit(live: Rig) -> list[AuditLine]:
    lines = (live.folder / "home" / AUDIT_FILE).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=AuditLine) for line in lines]


def test_a_key_made_and_revoked_is_audited_without_its_secret(live: Rig, api: Api) -> None:
    key = api.new_key("acme", "personas:read")
    _, key_id, secret = key.split("_", 2)
    api.keys("revoke", key_id)
    of_it = [line for line in audit(live) if line.key == key_id]
    assert [(line.action, line.store, line.scopes) for line in of_it] == [
        ("create_key", "acme", ("personas:read",)),
        ("revoke_key", "acme", ("personas:read",)),
    ]
    assert of_it[0].at <= of_it[1].at
    assert secret not in (live.folder / "home" / AUDIT_FILE).read_text()


def test_a_key_that_cannot_be_audited_does_not_come_into_use(api: Api, tmp_path: Path) -> None:
    (tmp_path / AUDIT_FILE).mkdir()  # nothing can be appended to a folder
    environment = api.environment | {"SIMPERSONA_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ops.cli.main", "keys", "create", "--store", "unheard", "--json"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert "audit log cannot be written, so no key was made" in made.stderr
    assert made.stdout == ""
    (kept,) = [row for row in api.keys("list")["keys"] if row["store"] == "unheard"]
    assert kept["revoked_at"] is not None


def row_of(store: redis.Redis, key: str) -> tuple[bytes, bytes]:
    """Where a key's record is, and the record."""
    (name,) = list(store.scan_iter(f"*{key.split('_')[1]}*:key"))
    record = store.get(name)
    assert isinstance(record, bytes)
    return name, record


def status(api: Api, key: str) -> int:
    with api.client(key) as client:
        return client.get("/v1/personas").status_code


def test_a_restored_backup_brings_no_revoked_key_back(live: Rig, api: Api) -> None:
    store = redis.Redis.from_url(live.settings.store_url)
    stolen, other = api.new_key("acme", "personas:read"), api.new_key("acme", "personas:read")
    name, backup = row_of(store, stolen)
    stolen_id = stolen.split("_")[1]
    revoked = api.keys("revoke", stolen_id)
    store.set(name, backup)
    live.wait_for(lambda: status(api, stolen) == 401, "the topic of keys to be read")
    assert status(api, other) == 200
    (listed,) = [row for row in api.keys("list")["keys"] if row["id"] == stolen_id]
    assert listed["revoked_at"] == revoked["revoked_at"]
    assert [row["id"] for row in api.keys("restore")["restored"]] == [stolen_id]
    assert json.loads(row_of(store, stolen)[1]) == json.loads(backup) | {"revoked_at": revoked["revoked_at"]}
    assert api.keys("restore")["restored"] == []


def test_a_key_that_a_restored_backup_lost_comes_back(live: Rig, api: Api) -> None:
    store = redis.Redis.from_url(live.settings.store_url)
    key = api.new_key("acme", "personas:read")
    key_id = key.split("_")[1]
    store.delete(row_of(store, key)[0])
    store.srem("simpersona-api:keys", key_id)
    assert status(api, key) == 401
    assert [row["id"] for row in api.keys("restore")["restored"]] == [key_id]
    assert status(api, key) == 200


def test_a_key_of_a_release_without_the_topic_is_revoked_on_it_too(live: Rig, api: Api) -> None:
    store = redis.Redis.from_url(live.settings.store_url)
    key = api.new_key("acme", "personas:read")
    name, record = row_of(store, key)
    old_id = "0" * 11 + "1"
    old = record.replace(key.split("_")[1].encode(), old_id.encode())
    old_name = name.replace(key.split("_")[1].encode(), old_id.encode())
    store.set(old_name, old)
    store.sadd("simpersona-api:keys", old_id)
    line = AuditLine(at=1, action="revoke_key", store="acme", key=old_id)
    write_audit(live.folder / "home", line)  # the backup is of before
    assert [row["id"] for row in api.keys("revoke", "--audited")["revoked"]] == [old_id]
    store.set(old_name, old)
    live.wait_for(lambda: status(api, f"sp_{old_id}_{key.split('_', 2)[2]}") == 401, "the topic to be read")
    assert api.keys("revoke", "--audited")["revoked"] == []


def test_one_key_or_the_audited_ones_are_named() -> None:
    for arguments in (["revoke"], ["revoke", "abc", "--audited"]):
        asked = CliRunner().invoke(keys, arguments)
        assert asked.exit_code == 2
        assert "name one key, or say --audited" in asked.stderr


def test_an_audit_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert read_audit(tmp_path) == []
    (tmp_path / AUDIT_FILE).write_text("no line of ours\n")
    with pytest.raises(ApiKeyError, match="has a line that is none of the audit log"):
        read_audit(tmp_path)


def test_a_stolen_key_is_ended_even_if_nothing_can_be_audited(api: Api, tmp_path: Path) -> None:
    key = api.new_key("acme", "personas:read")
    (tmp_path / AUDIT_FILE).mkdir()
    environment = api.environment | {"SIMPERSONA_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ops.cli.main", "keys", "revoke", key.split("_")[1]]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "is revoked, but the audit log cannot be written" in ended.stderr
    with api.client(key) as client:
        assert client.get("/v1/personas").status_code == 401


def test_whoever_guesses_at_a_key_does_not_use_up_its_rate(api: Api) -> None:
    key = api.new_key("acme", "personas:read", rate=0.01, burst=2)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    with api.client(wrong) as forger, api.client(key) as owner:
        assert [forger.get("/v1/personas/1").status_code for _ in range(5)] == [401] * 5
        assert [owner.get("/v1/personas/1").status_code for _ in range(3)] == [200, 200, 429]
        api.keys("revoke", key.split("_")[1])
        assert owner.get("/v1/personas/1").status_code == 401


def test_pages_of_a_named_origin_may_call_and_others_may_not(live: Rig) -> None:
    api = Api(live, cors_origins='["https://shop.example"]')
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    with api.client(api.new_key("acme")) as client:
        ours = client.options("/v1/events", headers={"Origin": "https://shop.example", **asked})
        assert ours.status_code == 200
        assert ours.headers["access-control-allow-origin"] == "https://shop.example"
        theirs = client.options("/v1/events", headers={"Origin": "https://evil.example", **asked})
        assert "access-control-allow-origin" not in theirs.headers
        erasing = {**asked, "Access-Control-Request-Method": "DELETE"}
        refused = client.options(
            "/v1/stores/acme/buyers/1", headers={"Origin": "https://shop.example", **erasing}
        )
        assert refused.status_code == 400  # a page erases nobody
        answer = client.get("/v1/personas/1", headers={"Origin": "https://shop.example"})
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
    assert api.stop() == 0


def test_without_the_setting_no_page_may_call(api: Api, acme: httpx.Client) -> None:
    answer = acme.get("/v1/personas/1", headers={"Origin": "https://shop.example"})
    assert "access-control-allow-origin" not in answer.headers
