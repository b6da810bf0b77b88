"""How every client of this project reaches Kafka: one set of settings, SASL and TLS included."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.errors import KafkaConnectionError
from feature_store.settings import Settings


class KafkaSettings(Settings):
    """Connection to Kafka (environment: SIMPERSONA_KAFKA_*)."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_KAFKA_")

    bootstrap_servers: str = Field("127.0.0.1:9092", description="host:port, several with commas")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-256", description="with SASL_*: the mechanism"
    )
    sasl_username: str | None = Field(None, description="with SASL_*: the user")
    sasl_password: SecretStr | None = Field(None, description="with SASL_*: the password")
    ssl_ca_location: str | None = Field(None, description="with *SSL: PEM file of the authority to trust")
    ssl_certificate_location: str | None = Field(None, description="mutual TLS: PEM file of our certificate")
    ssl_key_location: str | None = Field(None, description="mutual TLS: PEM file of our key")


def librdkafka_config(settings: KafkaSettings) -> dict[str, Any]:
    """The settings as confluent-kafka clients take them; what is unset is left out."""
    config: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "ssl.ca.location": settings.ssl_ca_location,
        "ssl.certificate.location": settings.ssl_certificate_location,
        "ssl.key.location": settings.ssl_key_location,
    }
    if settings.security_protocol.startswith("SASL"):
        config["sasl.mechanism"] = settings.sasl_mechanism
        config["sasl.username"] = settings.sasl_username
        config["sasl.password"] = settings.sasl_password and settings.sasl_password.get_secret_value()
    return {name: value for name, value in config.items() if value is not None}


def check_connection(config: Mapping[str, Any], timeout_s: float = 15) -> None:
    """Ask the brokers for their metadata once, and say why where that fails.

    librdkafka takes a wrong password for a passing fault: it retries for ever and its calls only time out.

    config: as `librdkafka_config` returns it.

    Raises:
        KafkaConnectionError: refused, at once; or no answer in `timeout_s`.
    """
    from confluent_kafka import KafkaError, KafkaException

    from feature_store.log.clients import admin_client

    errors: list[KafkaError] = []
    admin = admin_client({**config, "error_cb": errors.append, "log_level": 0})
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            admin.list_topics(timeout=1)
            return
        except KafkaException as error:
            last = error.args[0]
        admin.poll(0)  # serves error_cb
        servers = config["bootstrap.servers"]
        for refused in errors:
            # An unknown authority is _SSL; a plain client on a TLS port only sees broken connections.
            if refused.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
                raise KafkaConnectionError(
                    f"Kafka at {servers} and this client do not accept each other: {refused.str()}; "
                    "check SIMPERSONA_KAFKA_SASL_* and SIMPERSONA_KAFKA_SSL_*"
                )
        if time.monotonic() > deadline:
            why = (errors[-1] if errors else last).str()
            protocol = config.get("security.protocol", "PLAINTEXT")
            raise KafkaConnectionError(
                f"Kafka at {servers} does not answer: {why}; is it up, and is {protocol} "
                "(SIMPERSONA_KAFKA_SECURITY_PROTOCOL) what it speaks?"
            )


def brokers_alive(config: Mapping[str, Any], timeout_s: float = 5) -> set[int]:
    """Ids of the brokers in the cluster's metadata now, quietly; empty where nobody answers.

    config: as `librdkafka_config` returns it.
    """
    from confluent_kafka import KafkaException

    from feature_store.log.clients import admin_client

    try:
        return set(admin_client({**config, "log_level": 0}).list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return set()


def faust_credentials(settings: KafkaSettings) -> Any:
    """The same as Faust's broker_credentials; None where there is nothing to say."""
    import ssl

    import faust

    context = None
    if settings.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.ssl_ca_location)
        if settings.ssl_certificate_location:
            context.load_cert_chain(settings.ssl_certificate_location, settings.ssl_key_location)
    if settings.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password and settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
