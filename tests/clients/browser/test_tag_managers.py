"""The Shopify pixel and the GTM template in a real browser, with what their hosts give them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from feature_store.contract.identity import PlainIds
from feature_store.sources.adapters import shopify
from tests.clients.browser.conftest import API, CLIENT, KEY, Answer, Shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_HOST: Final = """
window.heard = {};
window.analytics = {subscribe: (name, tell) => { heard[name] = tell; }};
"""
# What Google's sandbox gives a template, as far as this one asks for it; `granted` is the shopper's consent.
_SANDBOX: Final = """
([code, layer, data, granted]) => new Promise((done) => {
  const asked = [];
  const given = {
    addConsentListener: (type, tell) => { window.consents = (yes) => tell(type, yes); },
    callInWindow: (name, ...rest) => { asked.push([name, ...rest]); return window[name](...rest); },
    copyFromDataLayer: (name) => layer[name],
    isConsentGranted: () => granted,
    injectScript: (url, loaded, failed) => {
      const tag = document.createElement("script");
      document.head.append(Object.assign(tag, {src: url, onload: loaded, onerror: failed}));
    },
  };
  data.gtmOnSuccess = () => done(asked);
  data.gtmOnFailure = () => done("failed");
  new Function("require", "data", code)((name) => given[name], data);
})
"""


def section(name: str) -> str:
    """A part of the template."""
    text = (CLIENT / "gtm-template.tpl").read_text(encoding="utf-8")
    found = re.search(rf"^___{name}___\n\n(.*?)(?=\n\n\n___|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, name
    return found[1]


def shopify_shop(chromium: Browser) -> Shop:
    code = (CLIENT / "shopify-pixel.js").read_text(encoding="utf-8")
    assert code.count('"https://personas.example"') == code.count('"sp_..."') == 1  # what a shop fills in
    code = code.replace("https://personas.example", API).replace("sp_...", KEY)
    shop = Shop(chromium, "", _HOST)
    shop.open()
    shop.page.add_script_tag(content=code)
    return shop


_VARIANT: Final = {
    "id": "secret",
    "product": {"id": "7", "type": "Mugs", "vendor": "b", "url": "secret"},
    "price": {"amount": 9.5, "currencyCode": "EUR"},
}
_TOTAL: Final = {"amount": 19, "currencyCode": "EUR"}
_LINE: Final = {"merchandise": _VARIANT, "quantity": 2, "cost": {"totalAmount": _TOTAL}}
_CHECKOUT: Final = {
    "checkout": {
        "order": {"id": "gid://shopify/Order/1", "customer": {"id": "secret"}},
        "lineItems": [{"variant": _VARIANT, "quantity": 2, "title": "secret"}],
        "totalPrice": _TOTAL,
        "email": "secret",
        "phone": "secret",
        "shippingAddress": {"city": "secret"},
    }
}
_DATA: Final[dict[str, Any]] = {
    "page_viewed": {},
    "collection_viewed": {"collection": {"title": "Mugs", "id": "secret"}},
    "search_submitted": {"searchResult": {"query": "mug", "productVariants": ["secret"]}},
    "product_viewed": {"productVariant": _VARIANT},
    "product_added_to_cart": {"cartLine": _LINE},
    "product_removed_from_cart": {"cartLine": _LINE},
    "cart_viewed": {"cart": {"id": "secret", "lines": [_LINE], "cost": {"totalAmount": _TOTAL}}},
    "checkout_started": _CHECKOUT,
    "payment_info_submitted": _CHECKOUT,
    "checkout_completed": _CHECKOUT,
}


def customer_event(name: str) -> dict[str, Any]:
    """A standard event as Shopify publishes it."""
    return {
        "id": f"id-{name}",
        "name": name,
        "timestamp": "2026-11-23T10:00:00.000Z",
        "clientId": "c-1",
        "context": {
            "navigator": {"userAgent": "Mozilla/5.0", "language": "secret"},
            "document": {"location": {"href": "secret"}},
        },
        "data": _DATA[name],
    }


def test_the_shopify_pixel_sends_what_the_adapter_reads_and_nothing_else(chromium: Browser) -> None:
    shop = shopify_shop(chromium)
    heard = set(shop.page.evaluate("Object.keys(heard)"))
    assert heard == set(shopify.EVENT_TYPES)
    for name in sorted(heard):
        shop.page.evaluate("event => heard[event.name](event)", customer_event(name))
    shop.page.evaluate("() => fetch('/settled')")
    assert len(shop.bodies) == len(heard)
    assert set(shop.urls) == {f"{API}/v1/events?source=shopify&key={KEY}"}
    assert "secret" not in json.dumps(shop.bodies)
    for (payload,) in shop.bodies:
        adapted = shopify.adapt(payload, store="acme", hasher=PlainIds())
        whole = shopify.adapt(customer_event(payload["name"]), store="acme", hasher=PlainIds())
        assert adapted.events == whole.events
        assert len(adapted.events) == 1
    shop.context.close()


@pytest.mark.parametrize("signal", ["globalPrivacyControl", "doNotTrack"])
def test_the_shopify_pixel_obeys_the_browser(chromium: Browser, signal: str) -> None:
    shop = shopify_shop(chromium)
    shop.page.evaluate(f"Object.defineProperty(navigator, '{signal}', {{value: '1'}})")
    shop.page.evaluate("event => heard[event.name](event)", customer_event("page_viewed"))
    shop.page.evaluate("() => fetch('/settled')")
    assert shop.bodies == []
    shop.context.close()


def test_the_shopify_pixel_sends_again_what_was_not_taken(chromium: Browser) -> None:
    shop = shopify_shop(chromium)
    shop.answers = [Answer(503)]
    for name in ("page_viewed", "product_viewed"):
        shop.page.evaluate("event => heard[event.name](event)", customer_event(name))
        shop.page.evaluate("() => fetch('/settled')")
    assert [[event["name"] for event in body] for body in shop.bodies] == [
        ["page_viewed"], ["page_viewed", "product_viewed"]
    ]  # fmt: skip
    shop.context.close()


def test_the_gtm_template_is_whole_and_may_do_what_it_does_and_no_more() -> None:
    info, parameters, permissions = (
        json.loads(section(name)) for name in ("INFO", "TEMPLATE_PARAMETERS", "WEB_PERMISSIONS")
    )
    assert (info["type"], info["containerContexts"]) == ("TAG", ["WEB"])
    code = section("SANDBOXED_JS_FOR_WEB_TEMPLATE")
    assert {name for name in re.findall(r"data\.(\w+)", code) if not name.startswith("gtm")} == {
        parameter["name"] for parameter in parameters
    }
    needs = {
        "addConsentListener": "access_consent", "isConsentGranted": "access_consent",
        "callInWindow": "access_globals", "copyFromDataLayer": "read_data_layer",
        "injectScript": "inject_script",
    }  # fmt: skip
    assert {needs[name] for name in re.findall(r"require\('(\w+)'\)", code)} == {
        one["instance"]["key"]["publicId"] for one in permissions
    }
    assert not re.search(r"\.\.\.|`|\bnew\b|\bthis\b|\bclass\b|\?\.|\bwindow\b", code)  # the sandbox has none
    (layer,) = (one for one in permissions if one["instance"]["key"]["publicId"] == "read_data_layer")
    allowed = {item["string"] for item in layer["instance"]["param"][1]["value"]["listItem"]}
    assert set(re.findall(r"copyFromDataLayer\('(\w+)'\)", code)) == allowed


def tagged(shop: Shop, layer: dict[str, Any], granted: bool) -> Any:
    code, data = section("SANDBOXED_JS_FOR_WEB_TEMPLATE"), {"url": API, "key": KEY}
    return shop.page.evaluate(_SANDBOX, [code, layer, data, granted])


def test_the_gtm_template_sends_ga4_events_once_there_is_consent(chromium: Browser) -> None:
    shop = Shop(chromium, "")
    shop.open("/")
    mug = {"item_id": "p1", "item_category": "home", "item_category2": "mugs", "price": 9.5, "quantity": 2}
    order = {
        "transaction_id": "A-1",
        "currency": "EUR",
        "value": 55,
        "items": [mug, {"item_id": "p2", "price": 40}],
    }
    tagged(shop, {"event": "view_item", "ecommerce": {"currency": "EUR", "items": [mug]}}, granted=False)
    tagged(shop, {"event": "search", "search_term": "mug"}, granted=False)
    tagged(shop, {"event": "gtm.dom"}, granted=False)
    shop.let_pass(5_000)
    assert shop.bodies == []
    shop.page.evaluate("consents(true)")
    tagged(shop, {"event": "purchase", "ecommerce": order}, granted=True)
    shop.let_pass(1_100)
    assert shop.types == ["page_view", "product_view", "search", "purchase"]
    _, viewed, searched, bought = shop.events
    assert (viewed["product_id"], viewed["category"], viewed["currency"]) == ("p1", "home/mugs", "EUR")
    assert searched["query"] == "mug"
    assert (bought["product_id"], bought["value"], bought["order"]) == ("p2", 55, "A-1")
    shop.context.close()
