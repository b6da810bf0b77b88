"""The schema for editors and the page's example agree with what loads."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import feature_store.sources.adapters
from feature_store.errors import AdapterError
from feature_store.sources.adapters.mapping.loading import parse_mapping
from tests.feature_store.sources.adapters.mapping.test_mistakes import GOOD

DOCS = Path(__file__).parents[5] / "docs"
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", (DOCS / "mapping.md").read_text(), re.DOTALL)
PRESETS = sorted((Path(feature_store.sources.adapters.__file__).parent / "mappings").glob("*.toml"))


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads((DOCS / "mapping.schema.json").read_text())


@pytest.mark.parametrize(
    "text", [GOOD, EXAMPLE, *(path.read_text() for path in PRESETS)], ids=lambda text: text[:30]
)
def test_what_loads_fits_the_schema(schema: Any, text: str) -> None:
    parse_mapping(text.encode())
    jsonschema.validate(tomllib.loads(text), schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 1", "format = 2"),
        ("buyer", "byuer"),
        ('path = "user"', 'pth = "user"'),
        ('"s"', '"days"'),
        ('time = "at"', "time = 5"),
        ('price = "cost"', 'prise = "cost"'),
        ('"add_to_cart"', '"added"'),
        ('where = { kind = "cart" }', ""),
        ('store = "acme"', 'store = "a b"'),
    ],
)
def test_an_editor_marks_what_does_not_load(schema: Any, old: str, new: str) -> None:
    wrong = GOOD.replace(old, new, 1)
    with pytest.raises(AdapterError):
        parse_mapping(wrong.encode())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(wrong), schema)
