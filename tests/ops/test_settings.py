"""Settings: every class is on one list, and a bad value is named by its whole environment variable."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.errors import SettingError
from feature_store.settings import Settings
from inference.api.settings import ApiSettings
from ops.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("feature_store", "inference", "streams", "training", "ops", "studies")


def test_every_settings_class_of_the_sources_is_on_the_list() -> None:
    defined = {
        name
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in re.findall(r"(?m)^class (\w+)\((?:\w+, )?(?:Base)?Settings\)", path.read_text())
    }
    assert defined - {"Settings"} == {settings.__name__ for settings in SETTINGS}


def test_no_two_settings_share_a_variable() -> None:
    variables = [name for settings in SETTINGS for name in settings.variables()]
    assert len(variables) == len(set(variables))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_a_value_of_the_wrong_kind_is_named_by_its_variable(
    settings: type[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word stands for no number, no list, no choice; text takes anything and is passed over."""
    for variable, field in settings.variables().items():
        if field.annotation in (str, SecretStr, Path) or "None" in str(field.annotation):
            continue
        monkeypatch.setenv(variable, "not\x7fthis")
        with pytest.raises(SettingError) as raised:
            settings()
        monkeypatch.delenv(variable)
        assert f"the setting {variable} is wrong" in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "value", ["https://worker:9400/metrics", '["https://worker:9400/metrics"]'], ids=["no JSON", "no http"]
)
def test_the_command_line_names_a_bad_setting_of_the_dashboard(value: str, tmp_path: Path) -> None:
    variables = {"SIMPERSONA_HOME": str(tmp_path), "SIMPERSONA_DASHBOARD_WORKERS": value}
    command = [sys.executable, "-m", "ops.cli.main", "api"]
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("simpersona: the setting SIMPERSONA_DASHBOARD_WORKERS is wrong: ")
    assert done.stderr.count("\n") == 1


class _Secretive(Settings):
    model_config = SettingsConfigDict(env_prefix="SECRETIVE_")

    password: SecretStr = Field(SecretStr("none given"), min_length=20)


def test_an_error_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETIVE_PASSWORD", "hunter2")
    with pytest.raises(SettingError, match="SECRETIVE_PASSWORD") as raised:
        _Secretive()
    assert "hunter2" not in str(raised.value)


def test_settings_that_contradict_each_other_are_named_by_their_prefix() -> None:
    with pytest.raises(SettingError, match=r"SIMPERSONA_API_\* .*SIMPERSONA_API_TLS_KEY"):
        ApiSettings(tls_certificate=Path("cert.pem"))


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    assert all(settings.model_config.get("frozen") for settings in SETTINGS)
