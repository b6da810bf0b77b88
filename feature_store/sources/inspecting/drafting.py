"""Write the mapping file that reads some records, from what their fields are."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from feature_store.contract.events import EventType
from feature_store.sources.inspecting import words
from feature_store.sources.inspecting.profile import Field
from feature_store.sources.inspecting.roles import LineRoles, Roles
from feature_store.sources.inspecting.values import Clock, clock_of, decimal_sign

_NEARLY_ALL: Final = 0.98
_MOST_PLACES: Final = 3
_FIELDS: Final = ("product_id", "category", "brand", "price", "value", "currency", "quantity", "query")
_LINE_FIELDS: Final = ("product_id", "category", "brand", "price", "currency", "quantity")
_ON_PRODUCTS: Final = ("add_to_cart", "remove_from_cart")
_ANYWHERE: Final = ("sign_up",)
_QUERY_OF_ADDRESS: Final = re.compile(r"[?#].*")
_HOST: Final = re.compile(r"https?://[^/]+")


class Draft(NamedTuple):
    """A mapping as text, and what was decided: names and what they become, how times are written."""

    text: str
    names: Counter[str]
    clock: Clock
    missing: list[str]
    """Roles without which nothing can be read, in words."""


def draft(roles: Roles, count: int, store: str | None, timezone: str | None = None) -> Draft:
    """Write a mapping. count: how many events the records hold; store and timezone: what is known of them."""
    clock = clock_of(roles.time[0].values if roles.time else [])
    names = _names(roles.event)
    lines = [
        "format = 1",
        f"about = {_quoted('Written by `simpersona events inspect`: read it before you rely on it')}",
    ]
    lines += [f"store = {_quoted(store)}"] if store else []
    lines += [f"each = {_quoted(roles.each)}"] if roles.each else []
    lines += _buyers(roles, count)
    lines.append(f"time = {_place(roles.time, count)}")
    if clock.unit != "iso8601":
        lines.append(f"time_unit = {_quoted(clock.unit)}")
    if clock.zoneless and timezone is not None:
        lines.append(f"timezone = {_quoted(timezone)}")
    elif clock.zoneless:
        lines.append('timezone = "UTC"  # the times name no zone: this is a guess')
    lines += _single(roles, count)
    lines += _tables(roles, count)
    lines += _named(names)
    lines += _page_rules(roles, names)
    wanted = {
        "a buyer's id": _has_buyer(roles),
        "an event time": bool(roles.time),
        "a name of the event": bool(roles.event),
    }
    return Draft("\n".join(lines) + "\n", names, clock, [role for role, there in wanted.items() if not there])


def _has_buyer(roles: Roles) -> bool:
    return bool(roles.anonymous_id or roles.user_id or roles.session)


def _names(fields: Sequence[Field]) -> Counter[str]:
    """Names of events with counts, by all fields that hold some."""
    counts: Counter[str] = Counter()
    for field in fields[:2]:
        counts.update(field.counts())
    return counts


def _buyers(roles: Roles, count: int) -> list[str]:
    if roles.anonymous_id and roles.user_id:
        return [
            f"anonymous_id = {_place(roles.anonymous_id, count)}",
            f"user_id = {_place([*roles.user_id[:1], *roles.session[:1]], count)}",
        ]
    ids = [*roles.anonymous_id[:2], *roles.user_id[:1]]
    filled = max((field.filled for field in ids), default=0)
    return [f"buyer = {_place([*ids, *(roles.session[:1] if filled < count else [])], count)}"]


def _single(roles: Roles, count: int) -> list[str]:
    written = []
    if roles.event:
        written.append(f"event = {_place(roles.event, count)}")
    if roles.event_id:
        written.append(f"event_id = {_place(roles.event_id[:1], count)}")
    if roles.order:
        written.append(f"order = {_place(roles.order, count)}")
        if roles.lines is None and roles.product_id and _repeats(roles.order[0]):
            written.append(f"line = {_place(roles.product_id[:1], count)}")
    if roles.user_agent:
        written.append(f"user_agent = {_place(roles.user_agent[:1], count)}")
    amounts = [value for field in [*roles.price, *roles.value] for value in field.values]
    if (sign := decimal_sign(amounts)) is not None:
        written.append(f"decimal = {_quoted(sign)}")
    return written


def _repeats(field: Field) -> bool:
    return any(count > 1 for count in field.counts().values())


def _tables(roles: Roles, count: int) -> list[str]:
    written = []
    fields = [f"{name} = {_place(found, count)}" for name in _FIELDS if (found := getattr(roles, name))]
    if fields:
        written += ["", "[fields]", *fields]
    if roles.lines is not None:
        written += ["", "[lines]", f"at = {_quoted(roles.lines.at)}", *_line_places(roles.lines)]
    return written


def _line_places(lines: LineRoles) -> list[str]:
    return [f"{name} = {_place(found, 0)}" for name in _LINE_FIELDS if (found := getattr(lines, name))]


def _named(names: Iterable[str]) -> list[str]:
    by_type: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        spelt = words.words_of(name)
        if (kind := words.meaning(name)) is not None:
            by_type[kind].setdefault(spelt, name)
        elif words.NOTHING_OF_OURS.search(spelt):
            by_type["other"].setdefault(spelt, name)
    written = [f"{kind} = [{', '.join(map(_quoted, found.values()))}]" for kind, found in by_type.items()]
    return ["", "[names]", *written] if written else []


def _page_rules(roles: Roles, names: Counter[str]) -> list[str]:
    """Rules by the address of a page, for what the names do not tell."""
    if not roles.address or not roles.event or roles.product_id:
        return []
    address, event = roles.address[0], roles.event[0]
    whole = any(_HOST.match(text) or "?" in text for text in address.texts)
    seen = _seen(address.texts)
    written = []
    for name in names:
        kind = words.meaning(name)
        where = {event.path: re.escape(name).replace("\\ ", " ")}
        if kind == "page_view":
            for found, pattern in seen.items():
                written += _rule(found, where | {address.path: _bounded(pattern, whole)})
        elif kind in (*_ON_PRODUCTS, *_ANYWHERE):
            patterns = [
                seen[one]
                for one in ("product_view", "list_view")[: 1 if kind in _ON_PRODUCTS else 2]
                if one in seen
            ]
            if patterns:
                either = "|".join(_bounded(pattern, whole) for pattern in [*patterns, ".*"])
                written += _rule(kind, where | {address.path: f"(?:{either})"})
    return written


def _seen(addresses: Iterable[str]) -> dict[EventType, str]:
    """The patterns of pages that fit some address; of the known first words those that occur."""
    paths = [_QUERY_OF_ADDRESS.sub("", _HOST.sub("", address)) or "/" for address in addresses]
    found: dict[EventType, str] = {}
    for kind, firsts, rest in words.PAGES:
        compiled = re.compile(f"/({'|'.join(firsts)}){rest}")
        known = sorted({match[1] for path in paths if (match := compiled.fullmatch(path))})
        if known:
            first = known[0] if len(known) == 1 else f"(?:{'|'.join(known)})"
            found[kind] = f"/{first}{rest}"
    return found


def _bounded(pattern: str, whole: bool) -> str:
    if not whole or pattern == ".*":
        return pattern
    return f"(?:https?://[^/]+)?{pattern.replace('[^/]', '[^/?#]')}(?:[?#].*)?"


def _rule(kind: str, where: dict[str, str]) -> list[str]:
    conditions = ", ".join(f"{_quoted(path)} = {_literal(pattern)}" for path, pattern in where.items())
    return ["", "[[events]]", f"type = {_quoted(kind)}", f"where = {{ {conditions} }}"]


def _place(fields: Sequence[Field], count: int) -> str:
    """The first field, or a list where it is not filled in every record."""
    if not fields:
        return '""'
    if len(fields) == 1 or (count and fields[0].filled >= _NEARLY_ALL * count):
        return _quoted(fields[0].path)
    return f"[{', '.join(_quoted(field.path) for field in fields[:_MOST_PLACES])}]"


def _quoted(text: Any) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(pattern: str) -> str:
    return f"'{pattern}'" if "'" not in pattern else _quoted(pattern)
