"""Settings: read from the environment, registered by being defined, and named whole when they are wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from feature_store.errors import SettingError


class Settings(BaseSettings):
    """Settings of one part of the system; frozen. `env_prefix` says how their variables begin.

    Raises:
        SettingError: a value is wrong; the error names the variable.
    """

    model_config = SettingsConfigDict(frozen=True)

    registered: ClassVar[list[type[Settings]]] = []
    """Every class of settings that this process has imported; ops.settings imports them all."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except SettingsError as error:  # only its text names the field
            field = re.search(r'field "(\w+)"', str(error))
            name = self._variable(field and field[1])
            raise SettingError(f'the setting {name} is wrong: not JSON, such as ["one", "two"]') from error
        except ValidationError as error:
            raise SettingError(self._wrong(error)) from error

    @classmethod
    def __pydantic_init_subclass__(cls, **_options: Any) -> None:
        Settings.registered.append(cls)

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Environment variable -> its field."""
        return {cls._variable(name): field for name, field in cls.model_fields.items()}

    @classmethod
    def _variable(cls, field: str | None) -> str:
        return f"{cls.model_config.get('env_prefix', '')}{'*' if field is None else field.upper()}"

    @classmethod
    def _wrong(cls, error: ValidationError) -> str:
        """The first bad value in one line: the variable, what is wrong with it, and what it is."""
        first = error.errors()[0]
        if not first["loc"]:
            return f"the settings {cls._variable(None)} do not fit together: {first['msg']}"
        name = str(first["loc"][0])
        line = f"the setting {cls._variable(name)} is wrong: {first['msg']}"
        field = cls.model_fields.get(name)
        secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
        return line if secret else f"{line} (it is {first['input']!r})"


class HomeSettings(Settings):
    """The data folder of this installation."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_")

    home: Path = Field(
        Path(".simpersona"), description="data folder: embedded servers, archive, Feast registry, id key"
    )
