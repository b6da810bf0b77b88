"""The webhook sink: items become a letter of the form that the settings ask for, posted to one URL."""

from __future__ import annotations

from collections.abc import Sequence

from streams.errors import SinkError
from streams.sinks.sink import Answer, Item, SinkKind, Untold, register
from streams.sinks.telling import Erased
from streams.sinks.webhook.letters import make_form
from streams.sinks.webhook.post import Post
from streams.sinks.webhook.settings import WebhookSettings


class WebhookSink:
    """Posts each batch as one request."""

    def __init__(self, settings: WebhookSettings) -> None:
        """As the settings say.

        Raises:
            SinkError: no URL, or no secret that fits.
        """
        if settings.url is None:
            raise SinkError("set SIMPERSONA_WEBHOOK_URL: where to post assignments")
        self._form = make_form(settings)
        self._post = Post(settings.url, settings.timeout_s, settings.private_addresses, settings.redirects)

    def deliver(self, items: Sequence[Item]) -> Answer:
        """See Sink."""
        return self._post.send(self._form.write(items))

    def erase(self, erased: Sequence[Erased]) -> Answer | Untold:
        """See Sink."""
        letter = self._form.tell(erased)
        return Untold() if letter is None else self._post.send(letter)

    def close(self) -> None:
        """See Sink."""
        self._post.close()


register(SinkKind("webhook", "Post assignments to a URL, or to Segment.", WebhookSettings, WebhookSink))
