"""Which settings the values `env` may hold: those that no other value sets, and that are no secret."""

from __future__ import annotations

from typing import get_args

from pydantic import SecretStr

from ops.settings import SETTINGS
from tests.ops.chart.rendering import LEAST, MOST, containers, render, settings_of

ONE_EACH = {
    "SIMPERSONA_INSTANCE_ID",  # two workers with one id fence each other
    "SIMPERSONA_API_TLS_CERTIFICATE",  # probes, page and Service speak HTTP; the ingress has the certificate
    "SIMPERSONA_API_TLS_KEY",
    "SIMPERSONA_ENCODER_BUNDLE",  # bundles are promoted, not mounted
}
TEACHING = ("SIMPERSONA_LLM_", "SIMPERSONA_CHAT_")
"""Of commands that the chart does not run."""


def settable() -> list[str]:
    set_by_chart = {
        name
        for values in (LEAST, _PLAIN)
        for it in containers(render(values)).values()
        for name in settings_of(it)
    }
    fields = {name: field for settings in SETTINGS for name, field in settings.variables().items()}
    return sorted(
        name
        for name, field in fields.items()
        if name not in set_by_chart | ONE_EACH
        and not name.startswith(TEACHING)
        and not name.startswith("SIMPERSONA_KAFKA_")
        and SecretStr not in (field.annotation, *get_args(field.annotation))
    )


_PLAIN = {**MOST, "env": {}, "worker": {"autoscaling": {"enabled": True}}}
"""MOST without settings of `env`."""
