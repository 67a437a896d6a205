"""The webhook sink: each CloudEvent posted and signed as Standard Webhooks asks (HMAC-SHA-256 over id, time and body)."""

from __future__ import annotations

from datetime import UTC, datetime

import requests
from standardwebhooks.webhooks import Webhook

from streams.errors import BadInput, Unavailable

TIMEOUT_S = 10.0


class WebhookSink:
    """Posts incidents; the receiver de-duplicates on ``webhook-id``, which is the CloudEvent's id."""

    name = "webhook"

    def __init__(self, url: str, secret: str, *, real: bool = False) -> None:
        self.real = real
        try:
            self._webhook = Webhook(secret)
        except Exception as error:  # noqa: BLE001 - the library raises several kinds for a secret it cannot decode
            raise BadInput(f"YICHENG_WEBHOOK_SECRET is no Standard Webhooks secret (whsec_ and base64): {error}") from None
        self.url = url
        self._session = requests.Session()

    def deliver(self, event_id: str, body: bytes) -> None:
        """Post one event. ``Unavailable`` (to be tried again) for no answer, 429 and 5xx; ``BadInput`` for other refusals."""
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(event_id, now, body.decode()),
        }
        try:
            answer = self._session.post(self.url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            raise Unavailable(f"webhook {self.url} does not answer: {type(error).__name__}") from None
        if answer.status_code == 429 or answer.status_code >= 500:
            raise Unavailable(f"webhook {self.url} answered {answer.status_code}")
        if answer.status_code >= 300:
            raise BadInput(f"webhook {self.url} refused the event with {answer.status_code}")

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()
