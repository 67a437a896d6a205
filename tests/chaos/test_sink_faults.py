"""One notifier, and beside two receivers that are well four that are not: a certificate of nobody's, a name that nobody knows, one that hangs, one that drips.

None of them holds up the others, nothing is lost of theirs, and what they get once they are well is all of it, in order.
"""

import ssl
import time
from collections import defaultdict

import orjson
import pytest
import trustme
from chaos.test_deliveries import SECRET, events, publish
from conftest import get, wait_for, written_lines
from receiver import Receiver

from deploy.ports import free_port

TAKEN = b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
BAD = ("tls", "dns", "hangs", "drips")


class Police(Receiver):
    """Takes every incident once ``is_well``; until then ``ill(connection)`` is what it does."""

    def __init__(self, ill=None, tls=None):
        self.took, self.is_well, self.ill = [], ill is None, ill
        super().__init__(self.say, tls)

    def say(self, connection, request):
        if not self.is_well:
            self.ill(self, connection)
            raise OSError
        connection.sendall(TAKEN)
        self.took.append(next(line.split(b": ")[1].decode() for line in request.split(b"\r\n") if line.lower().startswith(b"webhook-id")))


def hang(police, _):
    police.closing.wait(60)


def drip(police, connection):
    for byte in TAKEN * 10:
        connection.sendall(bytes([byte]))
        if police.closing.wait(3):
            return


def context_of(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def police(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    made = {"well": Police(), "tls": Police(tls=context_of(trustme.CA())), "hangs": Police(hang), "drips": Police(drip)}
    made["tls"].good = context_of(authority)
    yield made
    for each in made.values():
        each.close()


def routes(folder, police):
    urls = {**{name: each.url for name, each in police.items()}, "dns": "https://police.invalid/incidents"}
    sinks = "".join(f"  {name}: {{kind: webhook, url: '{url}', secret: {SECRET}, ca_file: '{folder / 'authority.pem'}'}}\n" for name, url in urls.items())
    (folder / "routes.yaml").write_text(
        f"sinks:\n  file: {{kind: file, path: '{folder / 'incidents.jsonl'}'}}\n{sinks}routes:\n- name: all\n  to: [file, {', '.join(urls)}]\n  transitions: [opened, updated, closed, retracted]\n"
    )
    return str(folder / "routes.yaml")


def gauge(url, name):
    lines = (line for line in (get(f"{url}/metrics") or "").splitlines() if line.startswith(f"{name}{{"))
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def in_order(names):
    revisions = defaultdict(list)
    for name in names:
        incident, _, revision = name.partition("/")
        revisions[incident].append(int(revision))
    return all(told == sorted(told) for told in revisions.values())


@pytest.mark.long  # it waits out the longest pauses of sinks
def test_receivers_that_are_ill_hold_up_nobody_else_and_lose_nothing(yicheng, kafka, police, tmp_path):
    port = free_port()
    child = yicheng.start(
        "notifier", YICHENG_KAFKA_BOOTSTRAP=kafka, YICHENG_METRICS_PORT=str(port), YICHENG_STATE_DIR=str(tmp_path / "state"), YICHENG_ROUTES=routes(tmp_path, police)
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: f"partitions: {child.log()}", lambda: (get(f"{url}/readyz") or "").startswith("ready") or child.poll() is not None, 60)
    given = list(events(20))
    names = {name for _, name, _ in given}
    publish(kafka, given[:20])
    wait_for("every one that is ill to be found so", lambda: all(gauge(url, "courier_sink_failing").get(name) for name in BAD), 60)
    began_s = time.monotonic()
    publish(kafka, given[20:])
    file = tmp_path / "incidents.jsonl"
    wait_for("those that are well", lambda: names == set(police["well"].took) == {orjson.loads(line)["id"] for line in written_lines(file)}, 30)
    assert time.monotonic() - began_s < 20, "the others are not waited for"
    assert len(police["well"].took) == len(names) and in_order(police["well"].took)
    expected = {"file": 0, **dict.fromkeys(BAD, len(names))}
    wait_for("what waits to be counted", lambda: expected.items() <= gauge(url, "courier_outbox_pending").items(), 60)
    assert not any(police[name].took for name in BAD if name in police)
    police["tls"].tls = police["tls"].good
    for name in ("hangs", "drips"):
        police[name].is_well = True
    for name in ("tls", "hangs", "drips"):
        wait_for(lambda name=name: f"all of it at {name}: {len(police[name].took)} of {len(names)}", lambda name=name: set(police[name].took) == names, 120)
        assert in_order(list(dict.fromkeys(police[name].took))), name
    assert gauge(url, "courier_outbox_pending")["dns"] == len(names) and not any(gauge(url, "courier_sink_off").values())
