from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.contract.identity import BuyerHasher, LazyBuyerHasher, PlainIds, add_id_key, load_id_keys
from feature_store.errors import IdentityKeyError

KEY = bytes(range(32))
ids = st.text(min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMPERSONA_ID_KEY", raising=False)


def test_a_pseudonym_is_hmac_sha256_under_the_stores_key() -> None:
    """Fixed here on purpose: another value would make every buyer of a running store a stranger."""
    assert BuyerHasher(KEY).buyer("acme", "buyer-1") == "4f1823dd5852ec311c30a3a3fca891a7"


@given(ids, ids)
def test_pseudonyms_tell_buyers_and_stores_apart(one: str, two: str) -> None:
    hasher = BuyerHasher(KEY)
    assert (hasher.buyer("acme", one) == hasher.buyer("acme", two)) == (one == two)
    assert hasher.buyer("acme", one) != hasher.buyer("other", one)
    assert hasher.buyer("acme", one) != hasher.event_id("acme", one.encode())
    assert hasher.buyer("acme", one) != BuyerHasher(KEY[::-1]).buyer("acme", one)
    assert hasher.buyer("acme", one) == BuyerHasher(KEY).buyer("acme", one)


def test_a_pseudonym_has_128_bits_of_hex() -> None:
    pseudonym = BuyerHasher(KEY).buyer("acme", "1")
    assert len(bytes.fromhex(pseudonym)) == 16


def test_plain_ids_keep_buyers_and_name_events() -> None:
    plain = PlainIds()
    assert plain.buyer("acme", "u1") == "u1"
    assert plain.event_id("acme", b"x") == plain.event_id("acme", b"x")
    assert plain.event_id("acme", b"x") != plain.event_id("other", b"x")


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("="),
        f" {KEY.hex()}\n",
    ],
)
def test_a_key_is_hex_or_base64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("SIMPERSONA_ID_KEY", text)
    assert load_id_keys(tmp_path) in ([KEY], [b"\xff" * 32])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00" * 15, "at least 16"),
        ("", "at least 16"),
        ("not a key!", "neither hex nor base64"),
        ("é", "neither"),
    ],
)
def test_a_bad_key_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, message: str
) -> None:
    monkeypatch.setenv("SIMPERSONA_ID_KEY", text)
    with pytest.raises(IdentityKeyError, match=f"SIMPERSONA_ID_KEY.*{message}") as caught:
        load_id_keys(tmp_path)
    assert not text or text not in str(caught.value)


def test_without_a_key_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(IdentityKeyError, match="set SIMPERSONA_ID_KEY"):
        load_id_keys(tmp_path)


def test_the_demo_makes_a_key_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    (key,) = load_id_keys(home, create=True)
    (path,) = home.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(key) == 32
    assert load_id_keys(home) == load_id_keys(home, create=True) == [key]


def test_two_processes_that_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    keys: list[bytes] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        keys.extend(load_id_keys(tmp_path, create=True))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_damaged_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "id.key").write_bytes(b"\xff\xfe")
    with pytest.raises(IdentityKeyError, match="neither hex nor base64"):
        load_id_keys(tmp_path)


def test_the_lazy_hasher_asks_for_the_key_at_the_first_raw_id(tmp_path: Path) -> None:
    hasher = LazyBuyerHasher(tmp_path)
    with pytest.raises(IdentityKeyError):
        hasher.buyer("acme", "u1")
    (key,) = load_id_keys(tmp_path, create=True)
    assert hasher.buyer("acme", "u1") == BuyerHasher(key).buyer("acme", "u1")


NEXT, THIRD = KEY[::-1], b"k" * 32


@given(ids)
def test_a_name_under_a_later_key_is_made_of_the_name_before(raw_id: str) -> None:
    first, both, three = BuyerHasher(KEY), BuyerHasher(KEY, NEXT), BuyerHasher(KEY, NEXT, THIRD)
    oldest = first.buyer("acme", raw_id)
    assert both.buyers("acme", raw_id) == both.later("acme", oldest) == [both.buyer("acme", raw_id), oldest]
    newest = three.buyer("acme", raw_id)
    assert (
        three.later("acme", oldest) == three.buyers("acme", raw_id) == [newest, *both.buyers("acme", raw_id)]
    )
    assert three.later("acme", both.buyer("acme", raw_id)) == [newest, both.buyer("acme", raw_id)]
    assert three.later("acme", newest) == [newest]
    assert len({newest, oldest, both.buyer("acme", raw_id), both.buyer("other", raw_id)}) == 4


def test_who_has_the_old_key_alone_finds_nobody_under_the_new_one() -> None:
    assert BuyerHasher(KEY, NEXT).buyer("acme", "1") != BuyerHasher(KEY, THIRD).buyer("acme", "1")
    assert BuyerHasher(KEY, NEXT).buyer("acme", "1").startswith("2-")


def test_a_name_of_another_form_stays() -> None:
    hasher = BuyerHasher(KEY, NEXT)
    for name in ("4711", "A" * 32, "0-" + "a" * 32, "3-" + "a" * 32):
        assert hasher.later("acme", name) == [name]
        assert hasher.generation(name) == 2


@given(st.binary(min_size=1))
def test_an_id_of_an_event_is_the_same_before_and_after_a_rotation(content: bytes) -> None:
    before = BuyerHasher(KEY).event_id("acme", content)
    after = BuyerHasher(KEY, NEXT)
    assert after.event_id("acme", content) == after.later_event_id("acme", before, 1) != before
    assert after.later_event_id("acme", "order-1", 1) == "order-1"


def test_a_new_key_comes_after_the_old_ones(tmp_path: Path) -> None:
    (key,) = load_id_keys(tmp_path, create=True)
    assert add_id_key(tmp_path) is None
    first, second = load_id_keys(tmp_path)
    assert first == key != second
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_new_key_of_the_environment_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPERSONA_ID_KEY", KEY.hex())
    value = add_id_key(tmp_path)
    assert value is not None
    monkeypatch.setenv("SIMPERSONA_ID_KEY", value)
    assert load_id_keys(tmp_path)[0] == KEY
    assert len(load_id_keys(tmp_path)) == 2
    assert not list(tmp_path.iterdir())
