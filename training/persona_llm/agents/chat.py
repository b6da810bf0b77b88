"""An external language model over HTTP: the chat endpoint that OpenAI's API, vLLM, Ollama and more share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import httpx
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_store.settings import Settings
from training.errors import ChatError


class ChatSettings(Settings):
    """How an external language model is asked: `llm prepare --rewrite-url`, `llm simulate --agent-url`."""

    model_config = SettingsConfigDict(env_prefix="SIMPERSONA_CHAT_")

    model: str = Field("default", description="the model's name at its server")
    key: SecretStr | None = Field(None, description="bearer token; unset: none is sent")
    timeout_s: float = Field(60.0, gt=0, description="longest wait for an answer")
    max_tokens: int = Field(64, ge=1, description="longest answer")


class Chat:
    """A chat endpoint under a base URL, for example http://127.0.0.1:8000/v1; use it in a `with` block."""

    def __init__(self, url: str, settings: ChatSettings) -> None:
        self.url, self._settings = url.rstrip("/"), settings
        key = settings.key and settings.key.get_secret_value()
        self._client = httpx.Client(
            timeout=settings.timeout_s, headers={"Authorization": f"Bearer {key}"} if key else {}
        )

    def answer(self, messages: Sequence[tuple[str, str]], *, seed: int = 0, temperature: float = 0.0) -> str:
        """The model's answer to (role, text) messages.

        Raises:
            ChatError: the server does not answer, refuses, or says what is no chat completion.
        """
        asked = {
            "model": self._settings.model,
            "messages": [{"role": role, "content": text} for role, text in messages],
            "max_tokens": self._settings.max_tokens,
            "temperature": temperature,
            "seed": seed,
        }
        try:
            reply = self._client.post(f"{self.url}/chat/completions", json=asked)
            reply.raise_for_status()
            return str(reply.json()["choices"][0]["message"]["content"] or "")
        except httpx.HTTPError as error:
            raise ChatError(f"{self.url} did not answer: {error}") from error
        except (ValueError, LookupError, TypeError) as error:
            raise ChatError(f"{self.url} gave no chat completion") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
