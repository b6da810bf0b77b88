"""A mapping file as an adapter: from the records of a shop's own to events."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from zoneinfo import ZoneInfo

from feature_store.contract.events import Event, EventType
from feature_store.contract.identity import Identity
from feature_store.errors import AdapterError
from feature_store.sources.adapters.common import (
    Adapted,
    Json,
    adapt_items,
    build_event,
    decision,
    other_event,
    refuse_bot,
    refuse_without_consent,
    spelling,
    unmapped,
)
from feature_store.sources.adapters.mapping.checks import check_file
from feature_store.sources.adapters.mapping.language import OTHER, Consent, MappingFile, Rule
from feature_store.sources.adapters.mapping.paths import Path, Scope, parse_each, parse_path
from feature_store.sources.adapters.mapping.patterns import (
    Captured,
    Test,
    as_text,
    compile_condition,
    is_literal,
)
from feature_store.sources.adapters.mapping.places import Spots, compile_place, within
from feature_store.sources.adapters.mapping.rules import (
    CompiledRule,
    compile_optional,
    compile_rule,
    compile_rules,
    compile_shared,
)
from feature_store.sources.skips import invalid
from feature_store.sources.values.context import NO_CONTEXT, Context
from feature_store.sources.values.reader import Reader

_YES: Final = r"(?i)true|1|yes|y|on|granted|given|accepted|allowed|opt(ed)?[ _-]?in"
"""Answers to a consent banner that mean yes, where the file names none."""


class PixelMapping:
    """A loaded mapping file: an adapter for the records of one shop's own pixel.

    file: as written; `store`, `timezone`, `decimal` and `dialect` in it hold where no option says otherwise.
    """

    def __init__(self, file: MappingFile) -> None:
        """Check and compile the file.

        Raises:
            MappingError: what is wrong, and at which key.
        """
        check_file(file)
        self.file = file
        self._zone = None if file.timezone is None else ZoneInfo(file.timezone)
        with within("each"):
            self._each = [] if file.each is None else parse_each(file.each)
        shared = compile_shared(file)
        self._rules = compile_rules(file.events, shared)
        self._names = _compile_names(file)
        named = {kind for kind in self._names.values() if kind is not None}
        self._name_rules = {kind: compile_rule(Rule(type=kind, where={}), shared) for kind in named}
        self._event = compile_optional("event", file.event or _name_path(file))
        self._buyer = _compile_buyer(file)
        with within("time"):
            self._time = compile_place(file.time)
        self._user_agent = compile_optional("user_agent", file.user_agent)
        self._event_id = compile_optional("event_id", file.event_id)
        with within("consent"):
            self._consent = None if file.consent is None else _compile_consent(file.consent)

    @property
    def known_names(self) -> list[str]:
        """The names of events that the file knows."""
        where = self.file.event or _name_path(self.file)
        in_rules = [text for path, text in _literals(self.file) if path == where]
        return [*in_rules, *(name for names in self.file.names.values() for name in names)]

    def adapt(self, payload: Any, *, store: str, hasher: Identity, context: Context = NO_CONTEXT) -> Adapted:
        """Adapt one record (a row, or a line's JSON object); never raises, whatever it is.

        Zone and decimal sign are the context's, else the file's.
        """
        return adapt_items(
            enumerate(self._items(payload)),
            lambda item, read: self._adapt_one(item[0], item[1], read, store, hasher),
            Context(context.decimal or self.file.decimal, context.zone or self._zone, context.received_ms),
            lambda item, read: decision(
                self._given(item[1]), read, store, hasher, self._buyer.named(item[1])
            ),
        )

    def _items(self, payload: Json) -> list[Scope]:
        """What may be an event in a record; a record without the list of `each` is its own item."""
        items = [Scope(payload)]
        for path in self._each:
            inner = [scope.each(path) for scope in items]
            if all(found is None for found in inner):
                return items
            items = [item for found in inner for item in found or ()]
        return items

    def _adapt_one(self, index: int, item: Scope, read: Reader, store: str, hasher: Identity) -> Event:
        if not isinstance(item.value, dict):
            raise invalid("the record is no object")
        if self._each and item.outer is None:
            raise invalid(f"the record has no list at {self.file.each}")
        if self._user_agent is not None:
            refuse_bot(self._user_agent.first(item))
        rule, captured = self._match(item)
        refuse_without_consent(self._given(item))
        time = read.time(self._time.name, self._time.first(item), self.file.time_unit, or_now=True)
        fields = rule.fields(read, item, captured, self.file.currency)
        if self._event_id is not None:
            fields["event_id"] = read.identifier("event_id", *self._event_id.all(item))
        return build_event(
            {**fields, "type": rule.type, "timestamp": time},
            read=read,
            store=store,
            buyers=self._buyer.named(item),
            identity=hasher,
            content=[time, index, item.value] if self._each else item.value,
            order=None if rule.order is None else read.identifier("order", *rule.order.all(item)),
            line=None if rule.line is None else read.identifier("line", *rule.line.all(item)),
        )

    def _match(self, item: Scope) -> tuple[CompiledRule, Captured]:
        known: dict[str, Json] = {}
        for rule in self._rules:
            captured = rule.match(item, known)
            if captured is not None:
                return rule, captured
        name = None if self._event is None else as_text(self._event.first(item))
        if name is None or (spelt := spelling(name)) not in self._names:
            raise unmapped(name)
        kind = self._names[spelt]
        if kind is None:
            raise other_event()
        return self._name_rules[kind], {}

    def _given(self, item: Scope) -> bool | None:
        """What a record states of consent; None: nothing."""
        if self._consent is None or not isinstance(item.value, dict):
            return None
        path, given = self._consent
        answer = item.at(path)
        if answer in (None, ""):
            return None
        answers = answer if isinstance(answer, list) else [answer]
        return any(given(one) is not None for one in answers)


def _literals(file: MappingFile) -> list[tuple[str, str]]:
    """(path, text) of every condition that is one text."""
    return [
        (path, wanted)
        for rule in file.events
        for path, condition in rule.where.items()
        for wanted in (condition if isinstance(condition, list) else [condition])
        if isinstance(wanted, str) and is_literal(wanted)
    ]


def _name_path(file: MappingFile) -> str | None:
    """Where a file without `event` most likely has the event's name: what most rules have a text for."""
    paths = Counter(path for path, _ in _literals(file))
    return max(paths, key=lambda path: paths[path], default=None)


def _compile_names(file: MappingFile) -> dict[str, EventType | None]:
    names: dict[str, EventType | None] = {}
    for kind, theirs in file.names.items():
        for name in theirs:
            ours = None if kind == OTHER else kind
            if names.setdefault(spelling(name), ours) != ours:
                with within("names", kind):
                    raise AdapterError(f"the name {name!r} stands under two event types")
    return names


def _compile_buyer(file: MappingFile) -> Spots:
    """The browser's id before the account's, so that a shopper who logs in halfway stays one buyer."""
    if file.buyer is not None:
        with within("buyer"):
            return compile_place(file.buyer)
    ids = {"anonymous_id": file.anonymous_id, "user_id": file.user_id}
    spots = [compile_optional(key, place) or () for key, place in ids.items()]
    return Spots(spot for found in spots for spot in found)


def _compile_consent(consent: str | Consent) -> tuple[Path, Test]:
    if isinstance(consent, str):
        return parse_path(consent), compile_condition(_YES)
    with within("path"):
        path = parse_path(consent.path)
    with within("given"):
        return path, compile_condition(consent.given)
