"""`simpersona webhook`: post assignments to a URL."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--once", is_flag=True, help="Deliver what is there, then stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def webhook(once: bool, as_json: bool) -> None:
    """Post assignments to a URL, signed, at least once each; or to Segment as identify calls.

    Settings come from the environment (SIMPERSONA_WEBHOOK_*, docs/settings.md); docs/feeds.md shows what
    is posted and how a signature is checked. A URL that is away is tried until it is back, and nothing
    is lost meanwhile. Start several to share the work; SIGTERM ends after the request under way.
    """
    import signal

    import msgspec

    from ops.webhook import open_sink

    with open_sink() as sink:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: sink.stop())
        delivered = sink.run(until_end=once)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(delivered)))
    else:
        click.echo(
            f"{delivered.assignments} assignments delivered in {delivered.requests} requests "
            f"({delivered.failed_requests} failed), {delivered.dead_letters} dead letters, "
            f"{delivered.skipped} skipped"
        )
