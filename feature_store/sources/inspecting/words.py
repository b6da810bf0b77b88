"""What people call fields and events: every name that `events inspect` knows, in one place.

Names are compared as words in lower case, so `visitorId`, `visitor_id` and `Visitor ID` are one. Of a role's
names the first is the surest. A name of several words also fits the end of a longer path: `product id` fits
`product.id`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from feature_store.contract.events import EventType
from feature_store.sources.inspecting import german

TIME: Final = (
    "event timestamp", "event time", "original timestamp", "derived tstamp", "timestamp micros",
    "timestamp ms",
    "timestamp", "tstamp", "ts", "occurred at", "event datetime", "event date time", "datetime",
    "date time",
    "client event time", "time", "server timestamp", "collector tstamp", "created at", "gtm start", "at",
    "when",
    "processed at", "date", "hit time gmt", "event date",
    *german.TIME,
)  # fmt: skip
ANONYMOUS: Final = (
    "anonymous id", "client id", "user pseudo id", "pseudo id", "domain userid", "visitor id", "visitorid",
    "visitor", "distinct id", "device id", "amplitude id", "browser id", "cookie id", "cookie",
    "guest id", "fullvisitorid",
    "full visitor id", "mcvisid", "anonymous",
    *german.ANONYMOUS,
)  # fmt: skip
USER: Final = (
    "user id", "userid", "customer id", "customerid", "buyer", "buyer id", "shopper id", "member id",
    "account id",
    "client", "person id", "contact id", "uid", "user", "customer", "account", "member", "u",
    *german.USER,
)  # fmt: skip
SESSION: Final = (
    "session id",
    "sessionid",
    "user session",
    "session",
    "visit id",
    "visit",
    "sid",
    *german.SESSION,
)
EVENT: Final = (
    "event name", "event type", "event", "event action", "action type", "name", "type", "action",
    "activity",
    "behavior type", "behavior", "behaviour", "activity type", "e", "hit type", "verb",
    *german.EVENT,
)  # fmt: skip
EVENT_ID: Final = (
    "event id",
    "message id",
    "insert id",
    "event uuid",
    "uuid",
    "hit id",
    "eventid",
    "id",
    *german.EVENT_ID,
)
ORDER: Final = (
    "order id", "orderid", "transaction id", "transactionid", "order number", "order no",
    "ecommerce transaction id",
    "purchase id", "action field id", "invoice no", "invoice", "order key", "checkout id", "order",
    *german.ORDER,
)  # fmt: skip
PRODUCT: Final = (
    "product id", "productid", "item id", "itemid", "product sku", "item sku", "sku", "product code",
    "article id",
    "aid", "variant id", "asin", "stock code", "product", "item", "goods id", "product name", "item name",
    *german.PRODUCT,
)  # fmt: skip
PRODUCT_IN_LINE: Final = (*PRODUCT, "id", "code", "name", "title", *german.PRODUCT_IN_LINE)
CATEGORY: Final = (
    "category code", "item category", "product category", "category path", "category", "category name",
    "product type",
    "categories", "category id", "categoryid", "department", "collection",
    *german.CATEGORY,
)  # fmt: skip
BRAND: Final = (
    "brand",
    "item brand",
    "product brand",
    "brand name",
    "vendor",
    "manufacturer",
    "make",
    *german.BRAND,
)
PRICE: Final = (
    "price", "unit price", "item price", "product price", "sale price", "final price", "price per item",
    "amount per unit",
    "price amount",
    *german.PRICE,
)  # fmt: skip
VALUE: Final = (
    "total price amount", "total price", "order total", "grand total", "total", "purchase revenue",
    "order value", "transaction revenue", "revenue",
    "value", "purchase revenue in usd", "sales amount", "total amount", "amount", "order amount",
    *german.VALUE,
)  # fmt: skip
CURRENCY: Final = (
    "currency",
    "currency code",
    "order currency",
    "currencycode",
    "price currency code",
    "iso currency code",
    *german.CURRENCY,
)
QUANTITY: Final = (
    "quantity",
    "qty",
    "units",
    "count",
    "item count",
    "number of items",
    "total item quantity",
    *german.QUANTITY,
)
QUERY: Final = (
    "search term", "search query", "query", "keyword", "keywords", "search string", "search terms",
    "search text", "term",
    "search keyword", "q",
    *german.QUERY,
)  # fmt: skip
USER_AGENT: Final = (
    "user agent",
    "useragent",
    "raw user agent",
    "ua",
    "http user agent",
    "browser user agent",
    *german.USER_AGENT,
)
ADDRESS: Final = (
    "page path", "current url", "page url", "url", "page location", "path", "page", "location", "href",
    "request uri", "uri",
    *german.ADDRESS,
)  # fmt: skip
NOT_A_TIME: Final = re.compile(
    r"\b(received|sent|upload(ed)?|loaded|load|processed|first|last|previous|birth|"
    r"session|sync(ed)?|expires?|updated|"
    r"modified|imported|touch|user properties|id|index|count|version|seq(uence)?|"
    r"number|price|value|revenue)\b"
)
"""Words in the name of a moment that is not the event's."""

EXACT: Final[dict[str, EventType]] = {
    "view": "product_view", "views": "product_view", "click": "product_view", "clicks": "product_view",
    "pdp": "product_view",
    "pv": "page_view", "page": "page_view", "pages": "page_view", "screen": "page_view",
    "pageview": "page_view",
    "info": "page_view", "download": "page_view", "action": "page_view", "visit": "page_view",
    "home": "page_view",
    "list": "list_view", "category": "list_view", "collection": "list_view", "plp": "list_view",
    "cart": "add_to_cart", "carts": "add_to_cart", "basket": "add_to_cart", "addtocart": "add_to_cart",
    "add": "add_to_cart",
    "atc": "add_to_cart", "removefromcart": "remove_from_cart",
    "checkout": "begin_checkout", "payment": "add_payment_info",
    "order": "purchase", "orders": "purchase", "transaction": "purchase", "transactions": "purchase",
    "buy": "purchase",
    "purchase": "purchase", "purchases": "purchase", "sale": "purchase", "conversion": "purchase",
    "ecommerceorder": "purchase",
    "search": "search", "searches": "search", "query": "search",
    "signup": "sign_up", "register": "sign_up", "registration": "sign_up", "login": "login",
    "signin": "login",
    **german.EXACT,
}  # fmt: skip
"""Names of one word, and what they mean where nothing else speaks against it."""

MEANINGS: Final[tuple[tuple[EventType, str], ...]] = (
    (
        "add_payment_info",
        r"(?=.*\bpayment\b)(?=.*\b(info|added?|adds?|enter(ed)?|submit(ted)?|selected?|provided)\b)"
    ),
    (
        "remove_from_cart",
        (r"(?=.*\b(cart|basket|bag)\b)(?=.*\b(removed?|removes?|deleted?|remove from)\b)|"
        r"^product removed$|^removed product$")
    ),
    (
        "add_to_cart",
        (r"(?=.*\b(cart|basket|bag)\b)(?=.*\badd(ed|s|ing)?\b)|^(product|item) added$|"
        r"^added (product|item)$")
    ),
    (
        "view_cart",
        (r"(?=.*\b(cart|basket|bag)\b)(?=.*\b(view(ed|s)?|open(ed)?|show[ns]?|visit(ed)?|seen)\b)|"
        r"^cart (page|view)$")
    ),
    (
        "begin_checkout",
        r"(?=.*\bcheckout\b)(?=.*\b(start(ed)?|begins?|began|begun|initiated?|enter(ed)?|step 1)\b)"
    ),
    (
        "purchase",
        (r"(?=.*\b(checkout|order|purchase|transaction|payment)\b)(?=.*\b(complet(ed?|ion)|placed?|"
        r"confirm(ed|ation)|made|paid|success(ful)?|created?|done|finish(ed)?)\b)|\bpurchased?\b|"
        r"\bbought\b")
    ),
    ("search", r"\b(search(ed)?|searches|search results)\b"),
    (
        "sign_up",
        (r"\b(sign(ed)? up|register(ed)?|registration|account created|create account|"
        r"complete registration|subscribed?|newsletter)\b|(?=.*\bemail\b)(?=.*\b(filled|submitted|"
        r"entered|captured|given)\b)")
    ),
    ("login", r"\b(log(ged)? in|sign(ed)? in|logon)\b"),
    (
        "list_view",
        (r"(?=.*\b(list|listing|category|collection|categories)\b)(?=.*\b(view(ed|s)?|page|open(ed)?|"
        r"impressions?|seen)\b)")
    ),
    (
        "product_view",
        (r"(?=.*\b(product|item|detail|details|pdp|content)\b)(?=.*\b(view(ed|s)?|page|open(ed)?|seen|"
        r"detail)\b)")
    ),
    ("page_view", r"(?=.*\b(page|screen)\b)(?=.*\b(view(ed|s)?|loaded|load|visit(ed)?|open(ed)?|seen)\b)"),
    *german.MEANINGS,
)  # fmt: skip
"""Our type -> a pattern of the words of a name; the first that fits decides."""
REFUND: Final = re.compile(
    r"(?!.*\b(request(ed)?|pending|fail(ed|ure)?|reject(ed)?|declined)\b).*"
    rf"(\brefund(s|ed)?\b|\border\b.*\bcancel(l?ed)?\b|^cancel(l?ed)?$|\b({german.REFUNDS})\b)"
)
"""Words of names that take an order's worth off again."""
NOTHING_OF_OURS: Final = re.compile(
    r"\b(refund(ed)?|cancel(l?ed)?|fail(ed|ure)?|error|abandon(ed)?|declined|"
    r"scroll(ed)?|video|heartbeat|identify|alias|"
    r"group|impression|promotion|coupon|wishlist|wish list|shared?|reviewed?|shipping|"
    r"experiment|session start|session end|"
    r"first visit|user engagement|start session|end session|"
    rf"{german.NOTHING_OF_OURS})\b"
)
"""Words of names that are no event of ours, whatever else is in them."""
PREFIXES: Final = re.compile(
    r"^(dl|ee|gtm|ga4|ga|ecommerce|ecom|web|app|track|custom|event|fb|shop|store)\s+"
)
"""What tools put before a name."""

PAGES: Final[tuple[tuple[EventType, tuple[str, ...], str], ...]] = (
    ("product_view", ("product", "products", "p", "item", "items", "dp"), "/(?P<product_id>[^/]+)"),
    (
        "list_view",
        ("collection", "collections", "category", "categories", "c", "catalog"),
        "/(?P<category>[^/]+)",
    ),
    ("view_cart", ("cart", "basket", "bag"), ""),
)
"""What an address without its host and query means, by its first word; and what follows that word."""

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_APART: Final = re.compile(r"[^0-9a-zA-Z]+")
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"})
_COMPILED: Final = tuple((kind, re.compile(pattern)) for kind, pattern in MEANINGS)


def words_of(name: str) -> str:
    """A name as words in lower case and in letters of ASCII, one blank between two."""
    plain = name if name.isascii() else _in_ascii(name)
    return " ".join(_APART.sub(" ", _CAMEL.sub(" ", plain)).lower().split())


def _in_ascii(name: str) -> str:
    """Without accents; German umlauts as those write them who have none on their keys."""
    spelt = unicodedata.normalize("NFC", name).translate(_UMLAUTS)
    return unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()


def meaning(name: str) -> EventType | None:
    """The event type that a name most likely means; None: none of ours."""
    words = words_of(name)
    bare = PREFIXES.sub("", words)
    for one in (words, bare):
        if one in EXACT:
            return EXACT[one]
    if REFUND.match(words):
        return "refund"
    if NOTHING_OF_OURS.search(words):
        return None
    return next((kind for kind, pattern in _COMPILED if pattern.search(bare)), None)
