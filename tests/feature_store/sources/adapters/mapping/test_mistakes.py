"""A mapping file loads, or one message says what is wrong and where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import AdapterError
from feature_store.sources.adapters.mapping.loading import load_mapping, parse_mapping

GOOD = """\
format = 1
store = "acme"
buyer = ["who", { path = "user", unknown = [0] }]
time = "at"
time_unit = "s"
timezone = "Europe/Berlin"
decimal = ","
currency = "EUR"
event = "name"
consent = "ok"
fields = { price = "p", category = { path = "c", separator = ">" } }

[dialect]
encoding = "cp1252"
columns = ["a", "b"]

[names]
login = ["Signed In"]
purchase = ["Order Completed"]

# two rules
[[events]]
type = "add_to_cart"
where = { kind = "cart" }

[[events]]
type = "product_view"
where = { kind = "view", "page.path" = '/(?P<product_id>\\d+)' }
lines = { at = "items", price = "cost" }
order = "nr"
"""


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("format = 1", "format = 2", "1:1", "format: '2' is not one of"),
        ('store = "acme"', 'store = "a b"', "2:1", "store"),
        ("buyer", "byuer", "3:1", "no key `byuer`; do you mean `buyer`"),
        (
            'path = "user"',
            'pth = "user"',
            "3:19",
            r"buyer\[1\].pth: .* no key `pth`; do you mean `path`",
        ),
        ('"who"', '"who..x"', "3:1", r"buyer\[0\]: the path 'who..x' has an empty key"),
        ("unknown = [0]", 'const = "x"', "3:1", "either `path` or `const`"),
        ('time = "at"', "time = 5", "4:1", "Expected"),
        ('"s"', '"days"', "5:1", "time_unit: 'days' is not one of"),
        ("Europe/Berlin", "Europe/Berlln", "6:1", "no zone 'Europe/Berlln'"),
        ("Europe/Berlin", "../../etc/passwd", "6:1", "no zone"),
        ('decimal = ","', 'decimal = ";"', "7:1", "decimal"),
        ("EUR", "euro", "8:1", "'euro' is no ISO 4217 code"),
        ('event = "name"', "", "1:1", r"\[names\] needs `event`"),
        ('consent = "ok"', 'consent = { path = "ok" }', "10:1", "it needs the key `given`"),
        ('price = "p"', 'prize = "p"', "11:12", "fields.prize: 'prize' .*`price`"),
        (
            'price = "p"',
            'price = { path = "p", separator = ">" }',
            "11:12",
            "fields.price: `separator` is",
        ),
        ("cp1252", "cp9999", "14:1", "no encoding 'cp9999'"),
        ('["a", "b"]', '["a", "a"]', "15:1", "the column 'a' is named twice"),
        ("login =", "log_in =", "18:1", "names.log_in: .*`login`"),
        ("Order Completed", "signed_in", "19:1", "stands under two event types"),
        ('"add_to_cart"', '"addtocart"', "23:1", r"events\[0\].type: 'addtocart' .*`add_to_cart`"),
        ('where = { kind = "cart" }', "", "22:1", r"events\[0\]: it needs the key `where`"),
        ("product_id>", "email>", "28:26", "no field 'email'; a named group is one of product_id"),
        ("/(?P<", "/(?=", "28:26", "no regular expression"),
        ("/(?P<", "/((?P<", "28:26", "no regular expression"),
        ("\\d+", "(a{1000}){1000}", "28:26", "no regular expression"),
        ('"view"', "2020-01-01", "28:1", "Expected"),
        ('price = "cost"', 'prise = "cost"', "29:25", r"events\[1\].lines.prise: .*`price`"),
        ('at = "items"', 'at = ""', "29:11", "empty key"),
        ('order = "nr"', "order = []", "30:1", "the list of paths is empty"),
        ('order = "nr"', "order =", "30:8", "it is no TOML"),
    ],
)
def test_a_mistake_is_said_with_line_and_column(old: str, new: str, place: str, message: str) -> None:
    parse_mapping(GOOD.encode())
    assert GOOD.count(old) >= 1
    line, column = place.split(":")
    wrong = GOOD.replace(old, new, 1)
    with pytest.raises(AdapterError, match=f"line {line}, column {column}.*{message}|{message}.*line {line}"):
        parse_mapping(wrong.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\xff\xfeformat = 1", "not UTF-8"),
        (b"", "line 1, column 1"),
        (b"#" * (1 << 20) + b"#", "more than 1048576 bytes"),
        (b"a = " + b"[" * 100_000, "no TOML"),
        (b"a = " + b"9" * 10_000, "no TOML"),
        (b'format = 1\ntime = "t"\n[[events]]\ntype = "login"\nwhere = {}', "who the buyer is"),
        (b'format = 1\ntime = "t"\nbuyer = "b"', "maps no event"),
    ],
)
def test_what_is_no_mapping(text: bytes, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        parse_mapping(text)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse_mapping(b"\xef\xbb\xbf" + GOOD.encode()).file.store == "acme"


def test_a_mapping_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="cannot read the mapping"):
        load_mapping(tmp_path / "none.toml")
    path = tmp_path / "shop.toml"
    path.write_text("format = 3")
    with pytest.raises(
        AdapterError, match=re.escape(f"the mapping {path} is wrong: line 1, column 1: format")
    ):
        load_mapping(path)


TOKENS = sorted(
    set(re.findall(r"[\w.<>?*^]+|[^\w\s]|\n", GOOD)) | {"true", "1e400", "nan", "'''", "\x00", "\ud800"}
)


@given(st.data())
def test_any_text_loads_or_gives_one_clear_error(data: st.DataObject) -> None:
    lines = GOOD.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(lines) - 1))
        words = re.findall(r"\w+|\W", lines[place])
        if words:
            words[data.draw(st.integers(0, len(words) - 1))] = data.draw(st.sampled_from(TOKENS))
        lines[place] = "".join(words)
    _loads_or_says("".join(lines).encode(errors="surrogatepass"))


@given(st.binary(max_size=200))
def test_any_bytes_load_or_give_one_clear_error(raw: bytes) -> None:
    _loads_or_says(raw)


def _loads_or_says(raw: bytes) -> None:
    said = "it loads"
    try:
        parse_mapping(raw)
    except AdapterError as error:
        said = str(error)
    assert len(said) < 700
    assert said.isprintable()
