"""An order number has one name, however it is spelt."""

from __future__ import annotations

import pytest

from feature_store.sources.adapters.order_names import order_name


@pytest.mark.parametrize(
    "sent",
    ["123", " 123 ", "#123", "gid://shopify/Order/123", "gid://shopify/OrderIdentity/123?key=9",
     "Z2lkOi8vc2hvcGlmeS9PcmRlci8xMjM="],
)  # fmt: skip
def test_spellings_of_one_number_are_one(sent: str) -> None:
    assert order_name(sent) == "123"


@pytest.mark.parametrize("sent", ["A-77", "gid://", "Z2lkOi8v!", "#", "gid://shopify/Order/"])
def test_other_names_stay_as_they_are(sent: str) -> None:
    assert order_name(sent) == sent
