"""The console's process: a city, its feed, its pages, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from consumers.console.accounts import audit_view
from consumers.console.accounts.access import ACCESS, Access, check_access, log_in_first, only_ours, refuse_streams
from consumers.console.accounts.login import LogIn, Unmask
from consumers.console.accounts.oidc import OidcLogIn, check_oidc
from consumers.console.city.city import City
from consumers.console.city.places import Sentences
from consumers.console.fleet.tiles import Tiles, read_tiles
from consumers.console.replies import in_sentences
from consumers.console.sources.feed import KafkaFeed
from consumers.console.web.live_pages import LivePages
from consumers.console.web.measured import measured
from consumers.console.web.pages import Feed, Pages, add_headers
from consumers.console.web.policy_pages import PolicyPages
from consumers.console.web.process_pages import process_routes
from consumers.console.web.replay_pages import ReplayPages
from streams import metrics
from streams.errors import Unavailable
from streams.process.logs import configure_logs
from streams.process.stopping import PROCESS_GRACE_S, stopping
from streams.settings import Settings

log = structlog.get_logger()


def run_console(settings: Settings, sentences: Sentences, feed_of: Callable[[City], Feed] | None = None, *, say: Callable[[str], None] = print) -> None:
    """Serve until asked to stop; ``feed_of`` makes another feed than Kafka's, ``sentences`` say what applies. ``Unavailable`` where the port is taken."""
    configure_logs(settings.log_level)
    logging.getLogger("aiohttp.server").addFilter(_is_ours)
    check_access(settings)
    check_oidc(settings)
    access, tiles = Access(settings), read_tiles(settings)
    kept = None if feed_of else settings.state_dir / "console" / f"basemap-{_file_name(settings.policy)}.npz"
    city = City(settings.policy, kept)
    feed: Feed = feed_of(city) if feed_of else KafkaFeed(settings, city)
    try:
        pages = Pages(city, feed)
        asyncio.run(_serve(settings, app_of(settings, access, pages, sentences, tiles), pages, say, with_metrics=feed_of is None))
    finally:
        feed.stop()
        city.basemap.save()


def app_of(settings: Settings, access: Access, pages: Pages, sentences: Sentences, tiles: Tiles) -> web.Application:
    """All that is asked of the console, behind the login."""
    app = web.Application(middlewares=[measured, in_sentences, only_ours(settings), log_in_first], client_max_size=10_000)
    app[ACCESS] = access
    app.on_response_prepare.extend([refuse_streams, add_headers, tiles.allow()])
    log_in, city, feed = LogIn(access), pages.city, pages.feed
    replay, policy = ReplayPages(city, feed, pages.stopping.is_set), PolicyPages(city, feed, sentences)
    app.add_routes([*pages.routes(), *process_routes(lambda: not city.reading_history), *LivePages(city, settings).routes(), *replay.routes(), *policy.routes(), *tiles.routes(), *log_in.routes(), *Unmask(city).routes(), *audit_view.routes()])
    if access.has_provider:
        app.add_routes(OidcLogIn(settings, access, log_in).routes())
    return app


async def _serve(settings: Settings, app: web.Application, pages: Pages, say: Callable[[str], None], *, with_metrics: bool) -> None:
    loop, feed = asyncio.get_running_loop(), pages.feed
    stopping.when_asked(lambda: loop.call_soon_threadsafe(pages.stopping.set), PROCESS_GRACE_S, late_code=1)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.console_host, settings.console_port).start()
    except OSError as error:
        await runner.cleanup()
        raise Unavailable(f"the console cannot listen on {settings.console_host}:{settings.console_port} ({error.strerror}); YICHENG_CONSOLE_PORT chooses another port") from None
    if with_metrics:
        metrics.serve(settings.metrics_host, settings.metrics_port or metrics.CONSOLE_PORT, lambda: not pages.city.reading_history, metrics.OF_CONSOLE)
    address = f"http://{_in_url(settings.console_host)}:{runner.addresses[0][1]}"
    say(f"console 控制台: {settings.console_url or address}")
    feed.start()
    try:
        await pages.run()
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.cleanup(), 3.0)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an error of the web server is this program's; who sends what is no request is told so, and fills no log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _file_name(policy: str) -> Path:
    return Path("".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in policy))
