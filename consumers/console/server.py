"""The console's process: a city, its feed, its pages, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import structlog
from aiohttp import web

from consumers.console.city import City
from consumers.console.feed import KafkaFeed
from consumers.console.pages import Feed, Pages, add_headers, only_ours
from streams.errors import BadInput, Unavailable
from streams.logs import configure_logs
from streams.pages import is_loopback
from streams.settings import Settings
from streams.stopping import PROCESS_GRACE_S, stopping

log = structlog.get_logger()


def check_address(settings: Settings) -> None:
    """``BadInput`` where others than this machine could look: there are no users yet who could log in."""
    if not is_loopback(settings.console_host):
        raise BadInput(
            f"YICHENG_CONSOLE_HOST={settings.console_host}: the console shows plates and takes answers without a login, so it listens on this machine only;"
            " leave 127.0.0.1, and reach it from elsewhere through ssh -L 8080:127.0.0.1:8080"
        )


def run_console(settings: Settings, feed_of: Callable[[City], Feed] | None = None, *, say: Callable[[str], None] = print) -> None:
    """Serve until asked to stop; ``feed_of`` makes another feed than Kafka's. ``Unavailable`` where the port is taken."""
    configure_logs(settings.log_level)
    check_address(settings)
    kept = None if feed_of else settings.state_dir / "console" / f"basemap-{_file_name(settings.policy)}.npz"
    city = City(settings.policy, kept)
    feed: Feed = feed_of(city) if feed_of else KafkaFeed(settings, city)
    try:
        asyncio.run(_serve(settings, city, feed, say))
    finally:
        feed.stop()
        city.basemap.save()


async def _serve(settings: Settings, city: City, feed: Feed, say: Callable[[str], None]) -> None:
    pages, loop = Pages(city, feed), asyncio.get_running_loop()
    stopping.when_asked(lambda: loop.call_soon_threadsafe(pages.stopping.set), PROCESS_GRACE_S, late_code=1)
    app = web.Application(middlewares=[only_ours(settings.console_host)], client_max_size=10_000)
    app.on_response_prepare.append(add_headers)
    app.add_routes(pages.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.console_host, settings.console_port).start()
    except OSError as error:
        await runner.cleanup()
        raise Unavailable(f"the console cannot listen on {settings.console_host}:{settings.console_port} ({error.strerror}); YICHENG_CONSOLE_PORT chooses another port") from None
    say(f"console 控制台: http://{_in_url(settings.console_host)}:{runner.addresses[0][1]}")
    feed.start()
    try:
        await pages.run()
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), 3.0)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _file_name(policy: str) -> Path:
    return Path("".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in policy))
