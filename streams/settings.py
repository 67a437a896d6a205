"""Configuration: ``YICHENG_*`` in the environment, or the same keys in lower case in a YAML file (``--config``)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import BadInput, closest, nearest
from streams.files.plain_yaml import compose_plain, is_absent
from streams.files.small_files import read_small
from streams.words.shown import shown

GC_THRESHOLDS = (50_000, 5, 1_000)
"""State has no cycles, and looking through all of it for some takes hundreds of ms."""

Addresses = Annotated[str, Field(pattern=r"^[^\s@/,:]+:\d{1,5}(,[^\s@/,:]+:\d{1,5})*$|^\[[0-9a-fA-F:]+\]:\d{1,5}$")]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda given: given.upper() if isinstance(given, str) else given)]


class Settings(BaseSettings):
    """Every setting of every process; ``yicheng doctor`` prints them."""

    model_config = SettingsConfigDict(env_prefix="YICHENG_", extra="forbid", hide_input_in_errors=True)

    kafka_bootstrap: Addresses = Field("127.0.0.1:9092", description="host:port of the Kafka brokers, comma separated")
    kafka_tls: bool = Field(False, description="Kafka is spoken to over TLS")
    kafka_ca: Path | None = Field(None, description="PEM file of the authority that vouches for the brokers; without one the system's authorities do")
    kafka_user: str | None = Field(None, min_length=1, max_length=255, description="as whom to log in to Kafka (SCRAM-SHA-512), over TLS alone; ./yicheng topics access lists what each process must be allowed")
    kafka_password: SecretStr | None = Field(None, description="that user's password, or @FILE for a file that holds it and is its owner's alone")
    policy: str = Field("hohhot-2019", description="name of the published policy pack that the worker judges by")
    group: str = Field("yicheng", description="consumer group and changelog prefix of the workers")
    partitions: int = Field(12, ge=1, description="partitions of the input topics and changelogs")
    identity_key: SecretStr | None = Field(None, description="key of the HMAC that names incidents, one for a whole group; ./yicheng secrets new makes one")
    rehearsal: bool = Field(False, description="a worker for test traffic: all it says is marked synthetic; others refuse synthetic records")
    metrics_host: str = Field("127.0.0.1", description="address that /metrics, /healthz and /readyz listen on")
    metrics_port: int = Field(0, ge=0, le=65535, description="their port; 0: the process's own default (worker 9108, notifier 9109, console 9110)")
    console_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:-]{1,253}$", description="address that the console listens on; another than this machine's wants users")
    console_port: int = Field(8080, ge=0, le=65535, description="its port; 0: any free one, which it prints")
    console_users: Path | None = Field(None, description="the console's users, a YAML file that is its owner's alone and that ./yicheng console user writes: with it everybody logs in, on this machine, too")
    console_url: str | None = Field(None, pattern=r"^https?://[^\s/@]+/?$", description="address at which browsers reach the console where that is another, as https://console.example.org of a proxy: no other is answered then, and with https cookies are Secure")
    console_proxy: str | None = Field(None, pattern=r"^[0-9a-fA-F.:]+$", description="IP address of that proxy, whose X-Forwarded-For says where a request came from; that of others is not believed")
    console_oidc_issuer: str | None = Field(None, pattern=r"^https?://[^\s@]+$", description="the organisation's OpenID Connect provider, by which users of the console log in, too; needs YICHENG_CONSOLE_URL")
    console_oidc_client_id: str | None = Field(None, description="what the console is called there")
    console_oidc_client_secret_file: Path | None = Field(None, description="file with its secret there, its owner's alone; none for a public client")
    console_oidc_role_claim: str = Field("roles", description="claim of the id token that names the role: viewer, officer or admin, or a list with one of them")
    console_tiles: str | None = Field(None, max_length=500, description="a base map below the fleet's tracks: a PMTiles file, or the address of a tile server such as https://tiles.example/{z}/{x}/{y}.png")
    console_gcj02: bool = Field(False, description="those tiles are images in GCJ-02 (as of Amap and Tencent); they are moved to where they belong")
    checkpoint_interval_s: float = Field(1.0, gt=0, description="seconds between checkpoints of a worker")
    chunk_records: int = Field(2_000, ge=1, description="most records delivered to an agent at once")
    refused_share: float = Field(0.5, gt=0, le=1, description="share of an input's records, from 0 to 1: where more are refused, the worker's log says so; 1: never")
    refused_share_records: int = Field(1_000, ge=1, description="over how many records of an input that share is taken")
    refused_share_stops: bool = Field(False, description="a worker ends, and does not start again, where more are refused; off: it only says so")
    isolation_level: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed", description="read_committed: records of aborted transactions are never judged, those of open ones when they are committed; read_uncommitted: all are, at once"
    )
    state_dir: Path = Field(Path(".yicheng"), description="directory for what a process keeps on disk")
    sink_file: Path | None = Field(None, description="the notifier appends incidents to this JSONL file")
    routes: Path | None = Field(None, description="the notifier's routes.yaml: which incident goes to which sink, when, in which words; instead of YICHENG_SINK_FILE and YICHENG_WEBHOOK_*")
    webhook_url: SecretStr | None = Field(None, description="the notifier posts incidents to this address: https, or http to this machine")
    webhook_secret: SecretStr | None = Field(None, description="secret that signs webhooks (Standard Webhooks, whsec_…)")
    webhook_real: bool = Field(False, description="the webhook reaches real police: synthetic incidents are never sent there")
    webhook_private: bool = Field(False, description="the webhook's address may be a private one (10.x, 172.16.x, 192.168.x, fc00::)")
    alerts_token: SecretStr | None = Field(None, description="what Alertmanager has to show (bearer token) to hand alerts to the notifier; needed where that listens on more than this machine")
    answers_url: str | None = Field(None, pattern=r"^https?://\S+$", description="address at which police reach this notifier's pages: messages carry links to the page of their incident; https, or http to this machine")
    answers_key: SecretStr | None = Field(None, description="key that signs these links, from ./yicheng secrets new, or @FILE for a file that holds it and is its owner's alone; whoever has it can answer")
    feedback_token: SecretStr | None = Field(None, description="what another system has to show (bearer token) to answer incidents by POST /v1/feedback; without one nobody can")
    deliveries_token: SecretStr | None = Field(None, description="what the console has to show (bearer token) to see who was notified, by GET /v1/deliveries of the notifier; both need it, without one nobody sees it there")
    notifier_url: str | None = Field(None, pattern=r"^https?://[^\s/@]+/?$", description="address of the notifier, such as http://notifier:9109, where the console asks who was notified; without one it looks for the notifier's log on its own machine")
    objection_days: int = Field(15, ge=0, le=365, description="so many days after an incident was last seen its enterprise may object to it (申诉)")
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")

    def as_shown(self, name: str) -> str:
        """A setting's value for people: of secrets whether they are set, of an address of which a part may be one only the host."""
        value = getattr(self, name)
        if name == "webhook_url" and value is not None:
            return address_shown(value.get_secret_value())
        return str(value)


def address_shown(url: str) -> str:
    """Scheme, host and port of a URL: its path, its query and what stands before an @ are often secrets."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}/…" if parts.scheme and parts.hostname else "(no address)"
    except ValueError:
        return "(no address)"


def load_settings(config: Path | None = None) -> Settings:
    """Settings from the environment over those of a file; ``BadInput`` names the key that is wrong, and never the value of a secret.

    Variables that resemble a setting are misspelt ones; others may be anybody's (a cluster sets ``YICHENG_SERVICE_HOST`` of its own).
    """
    for name in os.environ:
        prefix, _, key = name.partition("_")
        if prefix == "YICHENG" and key.lower() not in Settings.model_fields and (meant := closest(key.lower(), Settings.model_fields, 0.8)):
            raise BadInput(f"{name} in the environment is no setting; did you mean YICHENG_{meant.upper()}?")
    given = _read(config) if config is not None else {}
    try:
        from_env = Settings().model_dump(exclude_unset=True)
        return Settings(**{**given, **from_env}) if given else Settings()
    except ValidationError as error:
        raise _explained(error) from None


def _read(config: Path) -> dict[str, Any]:
    """The keys of a file and their values as text, just as the environment would give them.

    What is wrong is told by its line alone: a line may hold a secret, and so may YAML's own words about it.
    """
    try:
        root = compose_plain(read_small(config))
    except ValueError as error:
        raise BadInput(f"config {config}: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"config {config}:{line}: not YAML; write key: value, and the value in quotes where it has special characters") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise BadInput(f"config {config}:{root.start_mark.line + 1}: not a mapping; write key: value, with a space after the colon")
    given: dict[str, Any] = {}
    for key_node, value in root.value:
        key, where = key_node.value, f"config {config}:{key_node.start_mark.line + 1}"
        if key not in Settings.model_fields:
            named = f" {key!r}" if re.fullmatch("[a-z_]{1,40}", key) else ""
            raise BadInput(f"{where}: unknown key{named}{nearest(key, Settings.model_fields)}")
        if key in given:
            raise BadInput(f"{where}: key {key!r} is given twice")
        if not isinstance(value, yaml.ScalarNode):
            raise BadInput(f"{where}: {key}: one value is expected, not a list or a mapping")
        if not is_absent(value):
            given[key] = value.value
    return given


def _explained(error: ValidationError) -> BadInput:
    """The first problem in one line; what was given is repeated only where it should have been a number or a word of a few."""
    problem = error.errors(include_url=False)[0]
    name = str(problem["loc"][0]) if problem["loc"] else "?"
    field = Settings.model_fields.get(name)
    if field is None or "Secret" in str(field.annotation):
        return BadInput(f"setting YICHENG_{name.upper()}: not what it should be: {field.description if field else 'unknown'} (what was given is not shown)")
    if problem["type"] == "string_pattern_mismatch":
        return BadInput(f"setting YICHENG_{name.upper()}: not {field.description}")
    text = shown(problem.get("input"))
    repeated = f", not {text!r}" if len(text) <= 20 and "whsec" not in text else ""
    return BadInput(f"setting YICHENG_{name.upper()}: {problem['msg'][:1].lower()}{problem['msg'][1:]}{repeated}")
