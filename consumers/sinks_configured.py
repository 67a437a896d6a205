"""Which sinks and routes the settings ask for: a file of routes, or the simplest configuration, a file and a webhook that get everything."""

from __future__ import annotations

from collections.abc import Callable

from consumers.message import Sink
from consumers.routes import Routing, SinkConfig, simple_routing
from consumers.sinks import open_sink
from streams.errors import BadInput
from streams.settings import Settings


def routing_in_force(settings: Settings) -> Callable[[], Routing]:
    """Gives the routing that counts now. ``BadInput`` where there is no sink, or one is configured badly."""
    routing = simple_routing(_simple_sinks(settings))
    return lambda: routing


def _simple_sinks(settings: Settings) -> dict[str, SinkConfig]:
    sinks: dict[str, SinkConfig] = {}
    if settings.sink_file:
        sinks["file"] = SinkConfig("file", {"path": str(settings.sink_file)})
    if settings.webhook_url:
        if settings.webhook_secret is None:
            raise BadInput("YICHENG_WEBHOOK_URL is set without YICHENG_WEBHOOK_SECRET; webhooks are always signed")
        url, secret = settings.webhook_url.get_secret_value(), settings.webhook_secret.get_secret_value()
        sinks["webhook"] = SinkConfig("webhook", {"url": url, "secret": secret, "real": settings.webhook_real, "private": settings.webhook_private})
    if not sinks:
        raise BadInput("no sink is configured; set YICHENG_SINK_FILE, or YICHENG_WEBHOOK_URL and YICHENG_WEBHOOK_SECRET")
    return sinks


_SETTINGS = {"file: path": "YICHENG_SINK_FILE", "webhook: url": "YICHENG_WEBHOOK_URL", "webhook: secret": "YICHENG_WEBHOOK_SECRET"}


def simple_sink(name: str, config: SinkConfig) -> Sink:
    """A sink of the settings, opened; ``BadInput`` names the setting that is wrong."""
    try:
        return open_sink(config.kind, name, config.options)
    except BadInput as error:
        setting = next((setting for option, setting in _SETTINGS.items() if f"sink {option} " in str(error)), "YICHENG_WEBHOOK_URL")
        raise BadInput(f"{setting}: {error}") from None


def configured_sink(name: str, config: SinkConfig) -> Sink:
    """A sink of a file of routes, opened."""
    return open_sink(config.kind, name, config.options)
