"""The client's structs are the API's answers, field by field."""

from __future__ import annotations

import msgspec
import pytest
from pydantic import BaseModel

from inference.api.routes import collector, erasing, personas, populations
from inference.client import answers


@pytest.mark.parametrize(
    ("struct", "model"),
    [
        (answers.Persona, personas.PersonaAnswer),
        (answers.Personas, personas.Personas),
        (answers.Absent, personas.Absent),
        (answers.Receipt, collector.Receipt),
        (answers.Refusal, collector.Refusal),
        (answers.Distribution, populations.Distribution),
        (answers.TypeShare, populations.TypeShare),
        (answers.Sample, populations.Sample),
        (answers.Catalogue, populations.Catalogue),
        (answers.ErasureStatus, erasing.ErasureStatus),
    ],
)
def test_fields_are_those_of_the_api(struct: type[msgspec.Struct], model: type[BaseModel]) -> None:
    assert set(struct.__struct_fields__) == set(model.model_fields)


def test_answers_and_reasons_come_in_the_order_asked() -> None:
    gone = answers.Absent(index=1, reason="expired")
    body = answers.Personas(personas=(None, None), absent=(answers.Absent(index=0, reason="unknown"), gone))
    assert [found.reason for found in body.in_order() if isinstance(found, answers.Absent)] == [
        "unknown",
        "expired",
    ]
