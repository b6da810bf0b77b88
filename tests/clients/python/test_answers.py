"""The client's structs are the API's answers, field by field."""

from __future__ import annotations

import msgspec
import pytest
from pydantic import BaseModel

from feature_store.online import assignment
from inference.api.routes import collector, erasing, personas, populations
from inference.bundles import catalogue, facts
from inference.bundles.bundle import load_bundle, starter_bundle_path
from simpersona_client import _answers as answers
from simpersona_client import _catalogue as cards
from simpersona_client import _stream as stream


@pytest.mark.parametrize(
    ("struct", "model"),
    [
        (answers.Persona, personas.PersonaAnswer),
        (answers.Facts, personas.Facts),
        (answers.Personas, personas.Personas),
        (answers.Absent, personas.Absent),
        (answers.Receipt, collector.Receipt),
        (answers.Refusal, collector.Refusal),
        (answers.Tally, collector.Tally),
        (answers.Distribution, populations.Distribution),
        (answers.TypeShare, populations.TypeShare),
        (answers.Sample, populations.Sample),
        (cards.Catalogue, populations.Catalogue),
        (answers.ErasureStatus, erasing.ErasureStatus),
        (answers.Remaining, erasing.Remaining),
    ],
)
def test_fields_are_those_of_the_api(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    assert set(struct.__struct_fields__) == set(model.model_fields)


@pytest.mark.parametrize(
    ("struct", "served"),
    [
        (cards.CodeCard, catalogue.CodeCard),
        (cards.PersonaType, catalogue.PersonaType),
        (cards.SessionShape, catalogue.SessionShape),
        (cards.Step, catalogue.SessionStep),
        (cards.Estimate, catalogue.Estimate),
        (cards.TypeFacts, facts.Facts),
        (stream.Assignment, assignment.Assignment),
    ],
)
def test_fields_and_defaults_are_those_of_the_server(
    struct: type[msgspec.Struct], served: type[msgspec.Struct]
) -> None:
    ours, theirs = (
        [(field.encode_name, field.default, field.default_factory) for field in msgspec.structs.fields(kind)]
        for kind in (struct, served)
    )
    assert ours == theirs
    assert struct.__struct_config__.array_like == served.__struct_config__.array_like


def test_a_card_is_read_as_it_was_written() -> None:
    starter = load_bundle(starter_bundle_path()).catalogue
    assert starter is not None
    for card in starter.codes:
        read = msgspec.json.decode(msgspec.json.encode(card), type=cards.CodeCard)
        assert (read.code, read.token, read.funnel.keys()) == (card.code, card.token, card.funnel.keys())
        assert (str(read.typical), str(read.prototype)) == (str(card.typical), str(card.prototype))
    assert any(card.typical is not None and card.funnel for card in starter.codes)


def test_answers_and_reasons_come_in_the_order_asked() -> None:
    gone = answers.Absent(index=1, reason="expired")
    body = answers.Personas(personas=(None, None), absent=(answers.Absent(index=0, reason="unknown"), gone))
    assert [found.reason for found in body.in_order() if isinstance(found, answers.Absent)] == [
        "unknown",
        "expired",
    ]
