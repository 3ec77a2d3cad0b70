"""From [elasticsearch] to what a client needs: secrets are read from their files here, and named nowhere."""

from __future__ import annotations

from cgtrail import settings_elasticsearch
from cgtrail.config import Config, ConfigError
from cgtrail.secret_file import held
from enrich.elasticsearch.cluster import Cluster


def cluster(config: Config) -> Cluster:
    """The cluster that is configured. Raises ConfigError: there is none, a file can't be read, keys disagree."""
    own = config.elasticsearch
    if not own.hosts and not own.cloud_id:
        raise ConfigError(
            "elasticsearch.hosts is empty: name the URL of a node, as https://es-1.example.org:9200"
            " (CGTRAIL_ELASTICSEARCH_HOSTS)"
        )
    if wrong := settings_elasticsearch.disagreement(own):
        raise ConfigError(wrong)
    for key in ("ca_file", "certificate_file", "key_file"):
        held(f"elasticsearch.{key}", getattr(own, key))  # OpenSSL's words would not say which
    api_key = held("elasticsearch.api_key_file", own.api_key_file)
    password = held("elasticsearch.password_file", own.password_file)
    for key, why in settings_elasticsearch.wrong_secrets(api_key, password):
        raise ConfigError(f"elasticsearch.{key}_file: what {getattr(own, f'{key}_file')} holds {why}")
    return Cluster(
        hosts=tuple(own.hosts),
        cloud_id=own.cloud_id,
        api_key=api_key or own.api_key,
        username=own.username,
        password=password or own.password,
        ca_file=own.ca_file,
        fingerprint=own.fingerprint,
        certificate_file=own.certificate_file,
        key_file=own.key_file,
        proxy=own.proxy,
        namespace=own.namespace,
        timeout_seconds=own.timeout_seconds,
    )
