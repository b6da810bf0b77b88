"""`simpersona stack`: Kafka, the online store and Triton on this machine, without root and without Docker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ops.stack.local import LocalStack, ServerStatus, StackInfo

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")


@click.group()
def stack() -> None:
    """Start, stop and inspect the local servers.

    Their data, ports and logs lie in the data folder: SIMPERSONA_HOME, or .simpersona here.
    """


@stack.command()
@click.option("--triton", is_flag=True, help="Also start Triton with the encoder (own environment, 380 MB).")
@json_option
def up(triton: bool, as_json: bool) -> None:
    """Start what does not run yet; make the topics; apply the Feast definitions."""
    started = _stack(_encoder_repository(_home()) if triton else None)
    started.up(on_ready=_apply_feature_definitions)
    _report(started.status(), as_json)


@stack.command()
@json_option
def down(as_json: bool) -> None:
    """Stop the servers cleanly; their data stays."""
    stopped = _stack()
    if not stopped.down():
        _say("nothing was running")
    _report(stopped.status(), as_json)


@stack.command()
@json_option
def status(as_json: bool) -> None:
    """Say of each server whether it runs and answers, and where."""
    _report(_stack().status(), as_json)


def _home() -> Path:
    from feature_store.settings import HomeSettings

    return HomeSettings().home


def _stack(model_repository: Path | None = None) -> LocalStack:
    from ops.stack.local import LocalStack

    return LocalStack(_home(), model_repository=model_repository, say=_say)


def _encoder_repository(home: Path) -> Path:
    """The encoder's bundle as a model repository in the data folder."""
    from inference.bundle import load_bundle, starter_bundle_path
    from inference.settings import EncoderSettings
    from inference.triton_repository import build_repository

    bundle = load_bundle(EncoderSettings().bundle or starter_bundle_path())
    return build_repository(bundle, home / "triton" / "models")


def _apply_feature_definitions(info: StackInfo) -> None:
    from feature_store.feast_repo import apply
    from streams.settings import WorkerSettings

    _say("applying the Feast definitions")
    apply(info.redis_url, WorkerSettings().topic, _home())


def _say(line: str) -> None:
    click.echo(line, err=True)


def _report(servers: list[ServerStatus], as_json: bool) -> None:
    import msgspec

    if as_json:
        click.echo(msgspec.json.encode({"servers": servers}))
        return
    for server in servers:
        if server.state == "down":
            click.echo(f"{server.name:<8} down")
        else:
            memory = (server.rss_bytes or 0) >> 20
            click.echo(f"{server.name:<8} {server.state:<10} {server.address}  pid {server.pid}  {memory} MB")
