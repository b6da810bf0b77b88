"""Choices that several commands of `simpersona llm` share."""

from __future__ import annotations

from typing import Final, get_args

import click

from training.persona_llm.model.config import Schedule
from training.persona_llm.traces.traces import Kind

SCHEDULES: Final = click.Choice(get_args(Schedule))
KINDS: Final = click.Choice(get_args(Kind))
