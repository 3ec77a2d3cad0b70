"""The store that is read: local day files, or Elasticsearch (`store.read`, `--store`)."""

from __future__ import annotations

from cgtrail.config import Config
from cgtrail.logs import notice
from enrich.stores import Store
from enrich.stores.sqlite import SqliteStore


def open_store(config: Config) -> Store:
    """The configured store, to be closed by the caller; where nothing is stored in it yet, that is said.

    Raises ConfigError and StoreError.
    """
    store = chosen(config)
    if not store.exists:
        if is_local(store):
            hint = "start `cgtrail up`, or name a folder with --data"
            notice(f"cgtrail: nothing has been recorded in {config.data} yet; {hint}")
        else:
            hint = "does a worker write there (`cgtrail enrich --sink elasticsearch`), and is the namespace the same?"
            notice(f"cgtrail: nothing is stored in {store.name} yet; {hint}")
    return store


def is_local(store: Store) -> bool:
    """Whether it is the one of day files."""
    return isinstance(store, SqliteStore)


def chosen(config: Config) -> Store:
    """The same without a word."""
    if config.store.read == "sqlite":
        return SqliteStore(config.store_folder)
    from cgtrail import clusters  # its client takes a while to load
    from enrich.stores.elasticsearch import ElasticsearchStore

    return ElasticsearchStore(clusters.cluster(config))
