"""The store that is read: local day files, or Elasticsearch (`store.read`, `--store`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cgtrail.config import Config
from cgtrail.logs import notice
from enrich.stores import Store
from enrich.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from enrich.stores.elasticsearch import ElasticsearchStore


LOCAL_SECONDS = 0.1
SERVER_SECONDS = 0.5


def open_store(config: Config) -> Store:
    """The configured store, to be closed by the caller; what it lacks from the start is said.

    That is all, where nothing was stored yet, or kinds of documents that we may not read. Raises ConfigError and
    StoreError.
    """
    store = quiet(config)
    if isinstance(store, SqliteStore):
        if not store.exists:
            hint = "start `cgtrail up`, or name a folder with --data"
            notice(f"cgtrail: nothing has been recorded in {config.data} yet; {hint}")
        return store
    if unreadable := store.unreadable():
        kinds = ", ".join(unreadable)
        notice(f"cgtrail: this user may not read documents of the kinds {kinds}: they are left out")
    if not store.exists:
        hint = "does a worker write there (--sink elasticsearch), and is the namespace the same?"
        notice(f"cgtrail: nothing is stored in {store.name} yet; {hint}")
    return store


def is_local(store: Store) -> bool:
    """Whether it is the one of day files."""
    return isinstance(store, SqliteStore)


def wait(store: Store) -> None:
    """Until a follower that has come to the end asks again: a server shows what is new once a second."""
    time.sleep(LOCAL_SECONDS if is_local(store) else SERVER_SECONDS)


def quiet(config: Config) -> SqliteStore | ElasticsearchStore:
    """As `open_store`, without a word and without asking anything."""
    if config.store.read == "sqlite":
        return SqliteStore(config.store_folder)
    from cgtrail import clusters
    from enrich.stores.elasticsearch import ElasticsearchStore  # its client takes a while to load

    return ElasticsearchStore(clusters.cluster(config))
