"""A Kafka that speaks TLS and knows its users: each process runs as one that may do the least, and what it may not do is refused."""

import re
import ssl
import time
from datetime import datetime

import pytest
import trustme
from conftest import get, wait_for
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion
from kafka.errors import TopicAuthorizationFailedError

from consumers.console.city.city import City
from consumers.console.sources.feed import LOST, KafkaFeed
from consumers.console.sources.kafka_words import NO_LOGIN, NO_RIGHTS
from deploy.admin import unreachable
from deploy.broker import EmbeddedKafka
from deploy.kafka_roles import PREFIX, ROLES
from deploy.ports import free_port
from streams.errors import BadInput, Unavailable
from streams.process.kafka_login import log_in, options_of
from streams.settings import Settings

PASSWORD = "correct horse"
SECURED = """
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}},SECURED://127.0.0.1:{secured}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},SECURED://127.0.0.1:{secured}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:SASL_SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secured.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secured.ssl.keystore.type=PEM
listener.name.secured.ssl.keystore.location={keys}
"""


class Cluster:
    """A broker: in the open for whoever made it, over TLS and by name for all others."""

    def __init__(self, folder):
        self.folder, secured = folder, free_port()
        authority = trustme.CA()
        self.ca = folder / "authority.pem"
        authority.cert_pem.write_to_path(self.ca)
        issued = authority.issue_cert("127.0.0.1")
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
        keys = folder / "broker.pem"
        keys.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        self.broker = EmbeddedKafka(folder / "kafka", port=free_port(), more=SECURED.format(secured=secured, keys=keys))
        self.open, self.bootstrap = self.broker.start(), f"127.0.0.1:{secured}"
        admin = KafkaAdminClient(bootstrap_servers=self.open)
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(PREFIX + role, ScramMechanism.SCRAM_SHA_512, PASSWORD) for role in ROLES])
        admin.close()
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o600)

    def environment(self, role, **more):
        return {
            "YICHENG_KAFKA_BOOTSTRAP": self.bootstrap, "YICHENG_KAFKA_TLS": "1", "YICHENG_KAFKA_CA": str(self.ca), "YICHENG_KAFKA_USER": PREFIX + role,
            "YICHENG_KAFKA_PASSWORD": f"@{self.folder / 'password'}", **more,
        }  # fmt: skip

    def client(self, kind, role, **more):
        settings = Settings(kafka_tls=True, kafka_ca=self.ca, kafka_user=PREFIX + role, kafka_password=PASSWORD)
        return kind(bootstrap_servers=self.bootstrap, **options_of(settings), **more)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("secured"))
    yield made
    made.broker.stop()


@pytest.fixture
def allowed(cluster, yicheng):
    done = yicheng.run("topics", "access", "--enter", YICHENG_KAFKA_BOOTSTRAP=cluster.open)
    assert done.returncode == 0 and f"{PREFIX}worker: reads and sees the settings of courier.gps.v1" in done.stdout, done.stderr
    done = yicheng.run("topics", "create", **cluster.environment("operator", YICHENG_PARTITIONS="3"))
    assert done.returncode == 0, done.stderr


def test_each_process_does_its_work_as_a_user_who_may_do_no_more(cluster, allowed, yicheng, tmp_path):
    registry = tmp_path / "registry.jsonl"
    for command in (
        ["registry", "sample", "--vehicles", "20", "--out", str(registry)], ["registry", "import", str(registry)], ["policy", "publish", "hohhot-2019"], ["doctor"],
    ):  # fmt: skip
        done = yicheng.run(*command, **cluster.environment("operator"))
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    sink, ports = tmp_path / "incidents.jsonl", {role: free_port() for role in ("worker", "notifier", "console")}
    children = {}
    for role, port in ports.items():
        more = {"YICHENG_METRICS_PORT": str(port), "YICHENG_STATE_DIR": str(tmp_path / role), "YICHENG_SINK_FILE": str(sink), "YICHENG_CONSOLE_PORT": str(free_port())}
        children[role] = yicheng.start(role, **cluster.environment(role, **more))
    for role, child in children.items():
        wait_for(lambda child=child: f"it to be ready: {child.log()[-2000:]}", lambda port=ports[role], child=child: get(f"http://127.0.0.1:{port}/readyz") or child.poll() is not None, 90)
    done = yicheng.run("produce", "synthetic", "--city", "hohhot", "--registry", str(registry), "--rate", "200", "--duration", "15s", "--quiet", **cluster.environment("gateway"))
    assert done.returncode == 0, done.stderr
    wait_for(lambda: f"incidents in the file: {children['worker'].log()[-1500:]} {children['notifier'].log()[-1500:]}", lambda: sink.exists() and sink.read_bytes().count(b"\n") > 2, 90)
    done = yicheng.run("incidents", "list", **cluster.environment("operator"))
    assert done.returncode == 0 and done.stdout, done.stderr
    for role, child in children.items():
        assert child.poll() is None and "Authorization" not in child.log() and "Traceback" not in child.log(), (role, child.log()[-3000:])


FORBIDDEN_WRITES = {"gateway": "courier.incidents.v1", "worker": "courier.feedback.v1", "notifier": "courier.incidents.v1", "console": "courier.incidents.v1", "operator": "elsewhere"}
FORBIDDEN_READS = {"gateway": "courier.gps.v1", "notifier": "courier.gps.v1", "console": "courier.vehicle-state.v1"}


@pytest.mark.parametrize(("role", "topic"), FORBIDDEN_WRITES.items())
def test_a_role_writes_nothing_that_is_not_its_own(cluster, allowed, role, topic):
    producer = cluster.client(KafkaProducer, role, max_block_ms=10_000)
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            producer.send(topic, b"{}", b"k").get(15)
    finally:
        producer.close()


@pytest.mark.parametrize(("role", "topic"), FORBIDDEN_READS.items())
def test_a_role_reads_nothing_that_it_does_not_need(cluster, allowed, role, topic):
    consumer = cluster.client(KafkaConsumer, role, group_id=None)
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            read(consumer, TopicPartition(topic, 0))
    finally:
        consumer.close()


def read(consumer, partition, within_s=15):
    consumer.end_offsets([partition])
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        consumer.poll(500)


def test_a_wrong_password_is_one_line(cluster, allowed, yicheng):
    done = yicheng.run("incidents", "list", **cluster.environment("operator", YICHENG_KAFKA_PASSWORD="guessed"))
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1 and "does not let us in; check YICHENG_KAFKA_USER" in done.stderr and "guessed" not in done.stderr, done.stderr


@pytest.mark.parametrize(("role", "password", "said"), [("console", "guessed", NO_LOGIN), ("gateway", PASSWORD, NO_RIGHTS)])
def test_a_console_that_kafka_refuses_says_what_it_refuses(cluster, allowed, tmp_path, role, password, said):
    city, told = City("hohhot-2019"), []
    city.say = told.append
    settings = Settings(kafka_bootstrap=cluster.bootstrap, kafka_tls=True, kafka_ca=cluster.ca, kafka_user=PREFIX + role, kafka_password=password, state_dir=tmp_path)
    log_in(settings)
    feed = KafkaFeed(settings, city)
    try:
        feed.start()
        wait_for(lambda: f"a sentence on it: {told}", lambda: said in told, 60)
        wait_for(lambda: f"that nobody counts: {city.signs.unknown}", lambda: city.signs.unknown == said, 60)
        if said is NO_LOGIN:  # where nothing was sent yet there is nothing that may not be read
            with pytest.raises(Unavailable, match=re.escape(said["en"])):
                feed.past(0, 1)
        assert LOST not in told
    finally:
        feed.stop()
        log_in(Settings())


def test_why_kafka_cannot_be_reached_is_said(cluster, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    try:
        for bootstrap, settings, said in (
            (cluster.bootstrap, {"kafka_tls": True, "kafka_ca": other}, "is not trusted"), (cluster.bootstrap, {}, "set YICHENG_KAFKA_TLS=1"),
            (cluster.open, {"kafka_tls": True, "kafka_ca": cluster.ca}, "does not speak TLS"), (f"127.0.0.1:{free_port()}", {}, "does not answer"),
        ):  # fmt: skip
            log_in(Settings(**settings))
            assert said in str(unreachable(bootstrap))
    finally:
        log_in(Settings())


def test_a_user_who_may_see_nothing_is_told_so(cluster, allowed, yicheng, tmp_path):
    done = yicheng.run("worker", **cluster.environment("gateway", YICHENG_STATE_DIR=str(tmp_path)))
    assert done.returncode == 1 and "./yicheng topics access" in done.stderr + done.stdout and "Traceback" not in done.stderr, done.stderr


def test_a_kafka_of_our_own_is_in_the_open(tmp_path):
    log_in(Settings(kafka_tls=True))
    try:
        with pytest.raises(BadInput, match="unset YICHENG_KAFKA_TLS"):
            EmbeddedKafka(tmp_path / "kafka", port=free_port()).start()
    finally:
        log_in(Settings())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kafka_user": "a"}, "YICHENG_KAFKA_USER is set without YICHENG_KAFKA_TLS=1"), ({"kafka_password": "a"}, "YICHENG_KAFKA_PASSWORD is set without"), ({"kafka_tls": True, "kafka_user": "a"}, "go together"),
        ({"kafka_tls": True, "kafka_password": "a"}, "go together"), ({"kafka_tls": True, "kafka_ca": "/nowhere.pem"}, "YICHENG_KAFKA_CA: /nowhere.pem"), ({"kafka_tls": True, "kafka_ca": __file__}, "no certificate"),
        ({"kafka_tls": True, "kafka_user": "a", "kafka_password": "@/nowhere"}, "YICHENG_KAFKA_PASSWORD: /nowhere"),
    ],
)  # fmt: skip
def test_half_a_login_is_refused_in_one_line(given, said):
    with pytest.raises(BadInput, match=said):
        options_of(Settings(**given))


def test_without_settings_kafka_is_spoken_to_in_the_open_and_tls_alone_checks_the_broker():
    assert options_of(Settings()) == {}
    made = options_of(Settings(kafka_tls=True))
    assert made["security_protocol"] == "SSL" and made["ssl_context"].verify_mode is ssl.CERT_REQUIRED and made["ssl_context"].check_hostname


@pytest.mark.parametrize(("begins", "ends", "says"), [("2019-01-01", "2020-01-31", "expired on 2020-01-31"), ("2990-01-01", "2999-01-01", "not valid before 2990-01-01")])
def test_an_authority_that_is_not_valid_now_is_one_line_at_start_and_of_the_doctor(yicheng, tmp_path, begins, ends, says):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime.fromisoformat(begins), datetime.fromisoformat(ends)).sign(key, hashes.SHA256())
    (tmp_path / "authority.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    for command in ("doctor", "notifier"):
        done = yicheng.run(command, YICHENG_KAFKA_TLS="1", YICHENG_KAFKA_CA=str(tmp_path / "authority.pem"), YICHENG_STATE_DIR=str(tmp_path))
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert f"YICHENG_KAFKA_CA: {tmp_path / 'authority.pem'}: {says}, or this machine's clock is wrong" in done.stderr
