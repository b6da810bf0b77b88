"""docs/verify.md is what the report and the mutations are."""

from __future__ import annotations

from tests.ops.verify.page import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make verify-page`"
