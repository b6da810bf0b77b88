"""Products -> int8 vectors, so that a pooled embedding is an exact integer sum.

Signed feature hashing (Weinberger et al. 2009, arXiv 0902.2206) in its dense form: every feature of
a product (its id, each prefix of its category path, its brand, its price band) gives 128 signs by its
hash, and the product is the weighted sum. Products that share a category, brand or band are near each
other in any store, even in a new one, and nothing has to be fitted or stored (docs/adr/0006).
"""

from __future__ import annotations

import functools
from typing import Final, NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from feature_store.contract.events import Event
from feature_store.fold.vector import EMBEDDING_SIZE

PRODUCT_BITS: Final = 256
CATEGORY_BITS: Final = 64
"""Sizes of the linear-counting bitmaps that estimate distinct products and categories."""
MAX_WORTH_MINOR: Final = 10**18
"""The largest worth of one event: 1e15 major units of a currency with three decimals."""
_MAX_CATEGORY_DEPTH: Final = 8
_WEIGHTS: Final = {"id": 2, "category": 3, "brand": 2, "band": 2}
_MAX_CACHED: Final = 200_000  # about 60 MB; the cache is emptied between batches when it is full

_NO_MINOR_UNIT: Final = frozenset(
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()  # noqa: SIM905
)
_THREE_DIGITS: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())  # noqa: SIM905

ProductKey = tuple[str | None, str | None, str | None, float | None, str | None]


def currency_exponent(currency: str | None) -> int:
    """Digits of the minor unit (ISO 4217); 2 for a missing or unknown currency."""
    if currency in _NO_MINOR_UNIT:
        return 0
    return 3 if currency in _THREE_DIGITS else 2


def product_vector(
    product_id: str | None, category: str | None, brand: str | None, price_minor: int
) -> NDArray[np.int8]:
    """The int8 [128] vector of a product; all zeros if nothing is known about it."""
    vector = np.zeros(EMBEDDING_SIZE, dtype=np.int8)
    for kind, feature in _features(product_id, category, brand, price_minor):
        vector += _hashed(kind, feature)
    return vector


@functools.lru_cache(maxsize=100_000)
def _hashed(kind: str, feature: str) -> NDArray[np.int8]:
    digest = xxhash.xxh3_128_digest(f"{kind}:{feature}".encode())
    signs = np.unpackbits(np.frombuffer(digest, dtype=np.uint8)).view(np.int8) * np.int8(2) - np.int8(1)
    return signs * np.int8(_WEIGHTS[kind])


def _features(
    product_id: str | None, category: str | None, brand: str | None, price_minor: int
) -> list[tuple[str, str]]:
    features: list[tuple[str, str]] = []
    if product_id is not None:
        features.append(("id", product_id))
    if category:
        parts = category.split("/")[:_MAX_CATEGORY_DEPTH]
        features += [("category", "/".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
    if brand:
        features.append(("brand", brand))
    if features and price_minor > 0:
        features.append(("band", str(price_minor.bit_length())))  # a band spans a factor of two
    return features


class ProductArrays(NamedTuple):
    """The cached products as the fold's kernel reads them; row i is the product of index i.

    vectors int8 [p, 128]; known bool [p], False if the events name no product; product_bit and category_bit
    int16 [p], -1 for none; price_minor int64 [p], -1 without a price; scale float64 [p], minor units per
    major unit.
    """

    vectors: NDArray[np.int8]
    known: NDArray[np.bool_]
    product_bit: NDArray[np.int16]
    category_bit: NDArray[np.int16]
    price_minor: NDArray[np.int64]
    scale: NDArray[np.float64]


class Products(Protocol):
    """Holds the rows that the product indices of a batch refer to."""

    @property
    def arrays(self) -> ProductArrays:
        """The rows for the kernel."""
        ...


class ProductTable:
    """A growing cache of product vectors: the product fields of an event -> an index."""

    def __init__(self) -> None:
        self._index: dict[ProductKey, int] = {}
        self._arrays = _empty(1024)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def arrays(self) -> ProductArrays:
        """The table for the kernel; take it after the last `index` call of a batch."""
        return self._arrays

    def index(self, event: Event) -> int:
        """The index of the event's product, added if it is new."""
        key = (event.product_id, event.category, event.brand, event.price, event.currency)
        found = self._index.get(key)
        return self._add(key) if found is None else found

    def trim(self) -> None:
        """Empty the cache if it is full. Call it between batches, since it makes all indices invalid."""
        if len(self._index) > _MAX_CACHED:
            self._index.clear()
            self._arrays = _empty(1024)

    def _add(self, key: ProductKey) -> int:
        product_id, category, brand, price, currency = key
        row = len(self._index)
        if row == len(self._arrays.known):
            self._arrays = ProductArrays(*(np.concatenate([a, np.zeros_like(a)]) for a in self._arrays))
        scale = 10.0 ** currency_exponent(currency)
        minor = -1 if price is None else min(round(price * scale), MAX_WORTH_MINOR)
        table = self._arrays
        table.vectors[row] = product_vector(product_id, category, brand, minor)
        table.known[row] = not (product_id is None and not category and not brand)
        table.product_bit[row] = -1 if product_id is None else _bit(product_id, PRODUCT_BITS)
        table.category_bit[row] = -1 if not category else _bit(category, CATEGORY_BITS)
        table.price_minor[row] = minor
        table.scale[row] = scale
        self._index[key] = row
        return row


def _bit(text: str, bits: int) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode())) % bits


def _empty(rows: int) -> ProductArrays:
    return ProductArrays(
        vectors=np.zeros((rows, EMBEDDING_SIZE), dtype=np.int8),
        known=np.zeros(rows, dtype=np.bool_),
        product_bit=np.zeros(rows, dtype=np.int16),
        category_bit=np.zeros(rows, dtype=np.int16),
        price_minor=np.zeros(rows, dtype=np.int64),
        scale=np.zeros(rows, dtype=np.float64),
    )
