"""The `simpersona` command: one file a noun, loaded when it is called, errors turned into one line."""

from __future__ import annotations

import sys
from typing import Final

import click
from pydantic import ValidationError

from feature_store.errors import SimpersonaError
from feature_store.logs import configure_logging
from ops.cli.lazy import LazyGroup

COMMANDS: Final[dict[str, str]] = {
    # command -> module:attribute, so that `simpersona --help` imports neither Feast nor Faust
    "api": "ops.cli.api:api",
    "archive": "ops.cli.archive:archive",
    "backfill": "ops.cli.backfill:backfill",
    "demo": "ops.cli.demo:demo",
    "drift": "ops.cli.drift:drift",
    "encode": "ops.cli.encode:encode",
    "erase": "ops.cli.erase:erase",
    "evaluate": "ops.cli.evaluate:evaluate",
    "events": "ops.cli.events:events",
    "fold": "ops.cli.fold:fold",
    "keys": "ops.cli.keys:keys",
    "llm": "ops.cli.llm.group:llm",
    "models": "ops.cli.models:models",
    "personas": "ops.cli.personas:personas",
    "sample": "ops.cli.sample:sample",
    "retrain": "ops.cli.retrain:retrain",
    "stack": "ops.cli.stack:stack",
    "study": "ops.cli.study:study",
    "train": "ops.cli.train:train",
    "verify": "ops.cli.verify:verify",
    "webhook": "ops.cli.webhook:webhook",
    "worker": "ops.cli.worker:worker",
}

# Settings class -> prefix of its variables, so that an error can name the variable.
_PREFIXES: Final[dict[str, str]] = {
    "ApiSettings": "SIMPERSONA_API_",
    "HomeSettings": "SIMPERSONA_",
    "IdentitySettings": "SIMPERSONA_",
    "WorkerSettings": "SIMPERSONA_",
    "KafkaSettings": "SIMPERSONA_KAFKA_",
    "EncoderSettings": "SIMPERSONA_ENCODER_",
    "GateSettings": "SIMPERSONA_GATE_",
    "RetrainSettings": "SIMPERSONA_RETRAIN_",
    "LlmGateSettings": "SIMPERSONA_LLM_GATE_",
    "ChatSettings": "SIMPERSONA_CHAT_",
    "WindowSettings": "SIMPERSONA_",
    "DriftSettings": "SIMPERSONA_DRIFT_",
    "WebhookSettings": "SIMPERSONA_WEBHOOK_",
}


@click.group(cls=LazyGroup, modules=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="simpersona")
def simpersona() -> None:
    """Know, live, what kind of buyer is on a storefront."""
    from feature_store.settings import HomeSettings
    from ops.stack.local import use_local_stack

    configure_logging()
    use_local_stack(HomeSettings().home)  # after `simpersona stack up` every command finds it


def main() -> None:
    """Run the command; exit 0 on success, 2 on bad usage, 1 on failure with one line on stderr."""
    try:
        simpersona(prog_name="simpersona")
    except SimpersonaError as error:
        print(f"simpersona: {error}", file=sys.stderr)
        sys.exit(1)
    except ValidationError as error:
        print(f"simpersona: {_settings_error(error)}", file=sys.stderr)
        sys.exit(1)


def _settings_error(error: ValidationError) -> str:
    """A bad setting in one line: the variable's name, what is wrong with it, and what it was."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else error.title
    prefix = _PREFIXES.get(error.title, "")
    return f"the setting {prefix}{name.upper()} is wrong: {first['msg']} (it is {first['input']!r})"


if __name__ == "__main__":
    main()
