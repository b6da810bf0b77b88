"""MLflow, opened quietly: no telemetry, no progress bars, no table-making log, and a database that is whole.

MLflow imports in seconds and speaks on import, so nothing else imports it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from training.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # A server that is away is said within seconds; its default retries for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_DATABASE: Final = "registry.db"


class RegistrySettings(Settings):
    """Where MLflow keeps runs and versions; the variable is MLflow's own."""

    model_config = SettingsConfigDict(frozen=True)

    mlflow_tracking_uri: str | None = Field(
        None, description="an MLflow server; unset: a SQLite file under SIMPERSONA_HOME/registry"
    )


def open_mlflow(folder: Path, uri: str | None) -> tuple[MlflowClient, str | None]:
    """A client of the server `uri`, or of the SQLite file in `folder`, which is made where it is missing.

    Returns the client and where a new experiment keeps its files (None: where the server says).

    Raises:
        RegistryError: the server or the file cannot be used.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for logger in ("alembic", "mlflow"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    with registry_errors(uri or str(folder)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SQLAlchemy's notes to MLflow's authors, at import and at connect
        from mlflow import MlflowClient

        if uri is not None:
            # MLflow imports every package that offers request headers. Feast is one, and must not be imported
            # bare: it switches the process's metrics to files.
            import feature_store.online.feast.light_import  # noqa: F401

            return MlflowClient(uri, uri), None
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / _DATABASE
        if not database.exists():
            # Tables are made in many steps. Killed between two, the file would be of no use to anybody.
            beside = folder / f".{_DATABASE}.{os.getpid()}"
            _connect(f"sqlite:///{beside}")
            beside.rename(database)
        return _connect(f"sqlite:///{database}"), (folder / "artifacts").as_uri()


def _connect(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    client = MlflowClient(uri, uri)
    client.search_registered_models(max_results=1)
    return client


@contextlib.contextmanager
def registry_errors(where: str) -> Iterator[None]:
    """Say in one line what MLflow, its database or its server could not do.

    Raises:
        RegistryError: for any error of MLflow, SQLAlchemy or the network, and for a full disk.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        first_line = str(error).partition("\n")[0]
        raise RegistryError(f"the model registry at {where} failed: {first_line}") from error
