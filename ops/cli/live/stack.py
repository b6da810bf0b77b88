"""`simpersona stack`: Kafka, the online store and Triton on this machine, without root and without Docker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click
import msgspec

from feature_store.contract.identity import load_id_keys
from feature_store.log.config import KafkaSettings, check_connection, librdkafka_config
from feature_store.log.topics import Replication
from feature_store.online.feast.repo import apply
from feature_store.settings import HomeSettings
from inference.bundles.active import active_bundle
from inference.bundles.bundle import load_bundle
from inference.encoders.triton_repository import Variant, build_repository
from ops.cli.options import json_option
from ops.stack.local import LocalStack, ServerStatus, StackInfo
from ops.stack.topics import create_topics
from ops.stack.valkey_cluster import FEWEST_NODES, FEWEST_WITH_REPLICAS
from streams.settings import WorkerSettings


@click.group()
def stack() -> None:
    """Start, stop and inspect the local servers.

    Their data, ports and logs lie in the data folder: SIMPERSONA_HOME, or .simpersona here.
    """


def _store_nodes(_context: click.Context, _option: click.Parameter, nodes: int | None) -> int | None:
    if nodes is None or nodes == 1:
        return nodes
    if nodes < FEWEST_NODES:
        raise click.BadParameter(f"a cluster has {FEWEST_NODES} masters at least")
    if nodes >= FEWEST_WITH_REPLICAS and nodes % 2:
        raise click.BadParameter(
            f"from {FEWEST_WITH_REPLICAS} on a master has a replica: give an even number"
        )
    return nodes


@stack.command()
@click.option("--triton", is_flag=True, help="Also start Triton with the encoder (own environment, 380 MB).")
@click.option(
    "--brokers",
    type=click.IntRange(min=1, max=9),
    help="Of Kafka, 350 MB each; a data folder keeps its number. Default: 1.",
)
@click.option(
    "--store-nodes",
    type=click.IntRange(min=1, max=16),
    callback=_store_nodes,
    help="Of the online store: 1, or a cluster of 3 or more; from 6 on half of them are replicas. A data "
    "folder keeps its number. Default: 1.",
)
@json_option
def up(triton: bool, brokers: int | None, store_nodes: int | None, as_json: bool) -> None:
    """Start what does not run yet; make the topics, the key of buyer ids, and the Feast definitions."""
    load_id_keys(_home(), create=True)
    models = _lay_out_encoder(_home() / "triton" / "models") if triton else None
    started = LocalStack(_home(), model_repository=models, brokers=brokers, store_nodes=store_nodes, say=_say)
    started.up(on_ready=_apply_feature_definitions)
    _report(started.status(), as_json)


@stack.command()
@click.option("--partitions", default=8, show_default=True, help="Of the clickstream, for good.")
@click.option(
    "--replication",
    type=click.IntRange(min=1),
    help="Brokers that hold each topic. Default: three, or as many as there are.",
)
@click.option(
    "--min-insync",
    type=click.IntRange(min=1),
    help="Of these, how many must have a record before it counts as written. Default: all but one.",
)
@click.option(
    "--triton-models",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also lay the encoder's bundle out here, as a model repository of Triton.",
)
@click.option(
    "--triton-backend",
    type=click.Choice(get_args(Variant)),
    default="onnxruntime-cpu",
    show_default=True,
    help="What runs the graph there: onnxruntime in NVIDIA's container, python in the wheel's server.",
)
@json_option
def init(
    partitions: int,
    replication: int | None,
    min_insync: int | None,
    triton_models: Path | None,
    triton_backend: Variant,
    as_json: bool,
) -> None:
    """Make what workers need on servers that run already: topics, Feast definitions, Triton models.

    What is there already stays as it is, so that it may run before every start. Topics that are there with
    another number of partitions, or not with the copies asked for, are an error.
    """
    kafka, settings = librdkafka_config(KafkaSettings()), WorkerSettings()
    check_connection(kafka)
    made = create_topics(kafka, partitions, Replication(replication, min_insync))
    _say("applying the Feast definitions")
    apply(settings.store_url, settings.topic, _home())
    if triton_models is not None:
        _lay_out_encoder(triton_models, triton_backend)
    if as_json:
        click.echo(json.dumps({"topics_made": made}))
    else:
        click.echo(f"topics made: {', '.join(made) or 'none, all are there'}")


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
    return HomeSettings().home


def _stack() -> LocalStack:
    return LocalStack(_home(), say=_say)


def _lay_out_encoder(folder: Path, backend: Variant = "python") -> Path:
    """Lay the encoder's bundle out as a model repository in a folder; returns the folder."""
    bundle = load_bundle(active_bundle())
    return build_repository(bundle, folder, backend)


def _apply_feature_definitions(info: StackInfo) -> None:
    _say("applying the Feast definitions")
    apply(info.redis_url, WorkerSettings().topic, _home())


def _say(line: str) -> None:
    click.echo(line, err=True)


def _report(servers: list[ServerStatus], as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({"servers": servers}))
        return
    for server in servers:
        if server.state == "down":
            click.echo(f"{server.name:<8} down")
        else:
            memory = (server.rss_bytes or 0) >> 20
            click.echo(f"{server.name:<8} {server.state:<10} {server.address}  pid {server.pid}  {memory} MB")
