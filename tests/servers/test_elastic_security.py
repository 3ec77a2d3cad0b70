"""Every way in to a real Elasticsearch with security on, and what is said where it is barred."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enrich.elasticsearch.client import Client, ElasticsearchError
from enrich.elasticsearch.cluster import Cluster
from tests.servers.authority import Authority
from tests.servers.elastic import Elastic, elastic
from tests.servers.listeners import free_ports
from tests.servers.proxies import Proxy, running

OWN, WRONG = "their own", "not theirs"
"""Passwords."""
pytestmark = pytest.mark.elasticsearch


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """A node over TLS that wants to see certificates of ours, has two addresses, and looks at its files often."""
    own: dict[str, Any] = {
        "xpack.security.http.ssl.client_authentication": "required",
        "xpack.security.http.ssl.certificate_authorities": "ca.pem",
        "resource.reload.interval.high": "1s",
        "http.host": ["127.0.0.1", "127.0.0.2"],
        "http.publish_host": "127.0.0.1",
    }
    with elastic(tmp_path_factory.mktemp("mutual"), tls=True, **own) as node:
        yield node


def asked(cluster: Cluster) -> str:
    """Who we are there, by a client of its own."""
    client = Client(cluster)
    try:
        return str(client.ask("GET", "_security/_authenticate")["username"])
    finally:
        client.close()


def refusal(cluster: Cluster) -> ElasticsearchError:
    """Why we are not let in; what to do is said, and no secret."""
    with pytest.raises(ElasticsearchError) as refused:
        asked(cluster)
    told = refused.value
    assert told.words.advice
    assert not [each for each in (cluster.password, cluster.api_key) if each and each in str(told)]
    return told


def fingerprint(certificate: Path) -> str:
    """SHA-256 as openssl shows it."""
    found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest().upper()
    return ":".join(found[at : at + 2] for at in range(0, 64, 2))


def until_asked(cluster: Cluster, words: str) -> None:
    """Wait until nobody new is let in any more, for the reason with these words."""
    until = time.monotonic() + 60
    while True:
        try:
            asked(cluster)
        except ElasticsearchError as error:
            if words in str(error):
                return
        assert time.monotonic() < until, f"never: {words}"
        time.sleep(0.2)


# Who we are


def test_passwords_and_api_keys(es: Elastic) -> None:
    """Both let in, by what is configured and by files; a wrong one says which and what to do."""
    key = es.key([{"names": ["a"], "privileges": ["read"]}])
    assert asked(es.cluster()) == asked(es.cluster(api_key=key)) == "elastic"
    assert "it knows no user elastic with this password" in str(refusal(es.cluster(password=WRONG)))
    for wrong in (base64.b64encode(b"who:what").decode(), base64.b64decode(key).decode(), "no key"):
        assert "it does not take the API key" in str(refusal(replace(es.cluster(), api_key=wrong)))
    nobody = replace(es.cluster(), username="", password="")
    assert "we have none" in str(refusal(nobody))


def test_an_api_key_that_expires(es: Elastic) -> None:
    """It is said that it is the time, not the key."""
    key = es.key([{"names": ["a"], "privileges": ["read"]}], expiration="1s")
    until_asked(es.cluster(api_key=key), "the API key has expired")


def test_rights_are_lost_and_regained(es: Elastic) -> None:
    """A client that lives is told what it lacks; as soon as it has it again it goes on."""
    name, index = f"user-{es.namespace()}", f"index-{es.namespace()}"
    role = {"indices": [{"names": [index], "privileges": ["read"]}]}
    es.ask("PUT", index)
    es.ask("PUT", f"_security/role/{name}", role)
    es.ask("PUT", f"_security/user/{name}", {"password": OWN, "roles": [name]})
    client = Client(es.cluster(username=name, password=OWN))
    count = ("GET", f"{index}/_count")
    assert client.ask(*count)["count"] == 0
    with pytest.raises(ElasticsearchError) as denied:
        client.ask("POST", "another/_search")
    assert f"user [{name}] may not do this in another: it lacks the index privilege read" in str(denied.value)
    es.ask("PUT", f"_security/user/{name}/_disable")
    with pytest.raises(ElasticsearchError, match=f"no user {name} with this password"):
        client.ask(*count)
    es.ask("PUT", f"_security/user/{name}/_enable")
    assert client.ask(*count)["count"] == 0
    es.ask("PUT", f"_security/role/{name}", {"indices": []})
    with pytest.raises(ElasticsearchError, match="lacks the index privilege read"):
        client.ask(*count)
    es.ask("PUT", f"_security/role/{name}", role)
    assert client.ask(*count)["count"] == 0
    client.close()


def test_an_api_key_that_is_invalidated(es: Elastic) -> None:
    """The client that lives says that it needs another one."""
    key = es.key([{"names": ["a"], "privileges": ["read"]}])
    client = Client(es.cluster(api_key=key))
    client.ask("GET", "_security/_authenticate")
    es.invalidate(key)
    with pytest.raises(ElasticsearchError, match="has been invalidated: make a new API key"):
        client.ask("GET", "_security/_authenticate")
    client.close()


# Who they are


def with_certificate(node: Elastic, name: str = "worker", **own: str) -> Cluster:
    """By a certificate of ours that the node accepts."""
    certificate, key = node.authority.sign(name)
    return node.cluster(certificate_file=str(certificate), key_file=str(key), **own)


def test_mutual_tls(mutual: Elastic, tmp_path: Path) -> None:
    """Both sides show certificates; without ours, or with one that others signed, there is no way in."""
    assert asked(with_certificate(mutual)) == "elastic"
    assert "it wants to see a certificate" in str(refusal(mutual.cluster()))
    certificate, key = Authority(tmp_path).sign("stranger")
    stranger = mutual.cluster(certificate_file=str(certificate), key_file=str(key))
    assert f"it does not accept {certificate}" in str(refusal(stranger))


def test_files_that_do_not_do(es: Elastic, tmp_path: Path) -> None:
    """A client is not made: which file, and what is wrong with it."""
    authority = Authority(tmp_path)
    certificate, _ = authority.sign("one")
    _, key = authority.sign("other")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca_file": "/no/such.pem"}, "/no/such.pem: No such file"),
        ({"ca_file": str(key)}, f"{key} can't be used"),
        ({"certificate_file": str(certificate), "key_file": str(key)}, "belong together"),
    ]
    for wrong, words in cases:
        with pytest.raises(ElasticsearchError, match=words):
            Client(replace(es.cluster(), **wrong))


def test_a_certificate_must_be_whom_we_trust(mutual: Elastic, tmp_path: Path) -> None:
    """By its CA or by fingerprint, of the CA or of the node; another CA, another name and plain HTTP are told apart."""
    right = with_certificate(mutual)
    strange = Authority(tmp_path).certificate
    told = str(refusal(replace(right, ca_file=str(strange))))
    assert f"not signed by whom {strange} names" in told
    assert "not signed by whom this machine trusts" in str(refusal(replace(right, ca_file="")))
    other_name = tuple(host.replace("127.0.0.1", "127.0.0.2") for host in right.hosts)
    assert "its certificate is for another name" in str(refusal(replace(right, hosts=other_name)))
    plain = tuple(host.replace("https", "http") for host in right.hosts)
    assert "if it speaks TLS, write https://" in str(refusal(replace(right, hosts=plain)))
    by_print = replace(right, ca_file="", fingerprint=fingerprint(mutual.config / "node.pem"))
    assert asked(by_print) == "elastic"
    wrong = replace(by_print, fingerprint=fingerprint(strange))
    assert "no certificate with this fingerprint" in str(refusal(wrong))


def test_the_fingerprint_of_a_ca_is_trusted_only_for_what_it_signed(mutual: Elastic, tmp_path: Path) -> None:
    """A node shows its CA beside its own certificate. Whoever shows that CA without being signed by it gets nothing."""
    node, ca = mutual.config / "node.pem", mutual.authority.certificate
    own, own_key = node.read_bytes(), (mutual.config / "node.key").read_bytes()
    by_print = with_certificate(mutual, fingerprint=fingerprint(ca))
    try:
        node.write_bytes(own + ca.read_bytes())
        _until_in(by_print)
        # Of the same name as the CA, so that only the signature tells.
        forged, key = Authority(tmp_path).sign("forged")
        shutil.copy(key, mutual.config / "node.key")
        node.write_bytes(forged.read_bytes() + ca.read_bytes())
        until_asked(by_print, "not signed by the one with our fingerprint")
    finally:
        (mutual.config / "node.key").write_bytes(own_key)
        node.write_bytes(own)
        _until_in(with_certificate(mutual))


def test_a_node_changes_its_certificate_while_a_client_lives(mutual: Elastic, tmp_path: Path) -> None:
    """One of the same CA goes unnoticed; another CA bars the way until our file of CAs names it, without a restart."""
    ca = tmp_path / "ca.pem"
    shutil.copy(mutual.authority.certificate, ca)
    cluster = with_certificate(mutual, ca_file=str(ca))
    client = Client(cluster)
    client.ask("GET", "_security/_authenticate")
    other = Authority(tmp_path / "other")
    certificate, key = other.sign("node")
    own = {name: (mutual.config / name).read_bytes() for name in ("node.key", "node.pem")}
    try:
        shutil.copy(key, mutual.config / "node.key")
        shutil.copy(certificate, mutual.config / "node.pem")
        until_asked(cluster, "if it was right before, ask whether it was changed on purpose")
        client._transport.node_pool.get().close()  # as when its connections are cut
        with pytest.raises(ElasticsearchError, match="not signed by whom"):
            client.ask("GET", "_security/_authenticate")
        ca.write_bytes(ca.read_bytes() + other.certificate.read_bytes())
        assert client.ask("GET", "_security/_authenticate")["username"] == "elastic"
    finally:
        for name, data in own.items():
            (mutual.config / name).write_bytes(data)
        client.close()
        _until_in(with_certificate(mutual))


def _until_in(cluster: Cluster) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            asked(cluster)
        except ElasticsearchError:
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            return


# The way there


def test_a_cloud_id(mutual: Elastic) -> None:
    """It says where the deployment is: TLS, compressed; one that is cut off says so."""
    address = mutual.url.removeprefix("https://127.")
    told = f"name:{base64.b64encode(f'{address}$127$'.encode()).decode()}"
    cluster = replace(with_certificate(mutual), hosts=(), cloud_id=told)
    client = Client(cluster)
    assert client.bulk(b'{"create":{"_index":"cloud"}}\n{"a":1}\n') == {"errors": False, "items": [_created()]}
    client.close()
    with pytest.raises(ElasticsearchError, match="copy it as a whole from the deployment's page"):
        Client(replace(cluster, cloud_id=told[:12]))


def _created() -> dict[str, Any]:
    return {"create": {"status": 201}}


def test_several_nodes_of_which_one_is_dead(es: Elastic) -> None:
    """No request fails, whichever is asked first; where all are dead nothing was done, and this is known."""
    dead = [f"http://127.0.0.1:{port}" for port in free_ports(2)]
    client = Client(replace(es.cluster(), hosts=(dead[0], es.url, dead[1])))
    index = f"nodes-{es.namespace()}"
    for _ in range(12):
        assert not client.bulk(b'{"create":{"_index":"%s"}}\n{}\n' % index.encode())["errors"]
    client.close()
    es.ask("POST", f"{index}/_refresh")
    assert es.ask("GET", f"{index}/_count")["count"] == 12
    told = refusal(replace(es.cluster(), hosts=tuple(dead)))
    assert not told.unknown
    assert "Connection refused" in str(told)
    assert dead[1] in str(told)
    nowhere = refusal(replace(es.cluster(), hosts=("http://no-such-host.invalid:9200",)))
    assert "its name is not known" in str(nowhere)


def test_a_node_that_hangs(own_es: Elastic) -> None:
    """It is not known whether it was done; when it goes on, so do we."""
    client = Client(replace(own_es.cluster(), timeout_seconds=1.0))
    own_es.pause()
    with pytest.raises(ElasticsearchError, match="no answer within 1 s") as hung:
        client.bulk(b'{"create":{"_index":"hung","_id":"1"}}\n{}\n')
    assert hung.value.unknown
    own_es.resume()
    answer = client.ask("POST", "_bulk", b'{"create":{"_index":"hung","_id":"2"}}\n{}\n', timeout=60.0)
    assert answer["items"][0]["create"]["status"] == 201
    own_es.kill()
    with pytest.raises(ElasticsearchError):
        client.ask("GET", "_security/_authenticate")
    client.close()


def test_a_proxy_that_forwards(es: Elastic, mutual: Elastic) -> None:
    """Plain and through a tunnel with TLS, by CA and by fingerprint; one that wants a password says so."""
    with running(Proxy(user="us:it's 50%")) as proxy:
        way = proxy.url.replace("//", "//us:it's%2050%25@")
        assert asked(es.cluster(proxy=way)) == "elastic"
        assert proxy.asked == [f"GET {es.url}/_security/_authenticate"]
        assert asked(with_certificate(mutual, proxy=way)) == "elastic"
        by_print = with_certificate(mutual, proxy=way, fingerprint=fingerprint(mutual.config / "node.pem"))
        assert asked(by_print) == "elastic"
        address = mutual.url.removeprefix("https://")
        assert proxy.asked[1:] == [f"CONNECT {address}"] * 3
        for cluster in (es.cluster(proxy=proxy.url), with_certificate(mutual, proxy=proxy.url)):
            assert "put user:password@ into elasticsearch.proxy" in str(refusal(cluster))
    gone = refusal(es.cluster(proxy=proxy.url))
    assert "the proxy does not take us there" in str(gone)
    assert not gone.unknown


def test_a_proxy_that_a_path_leads_to(es: Elastic) -> None:
    """The path goes before each request; what the proxy itself answers is not taken for Elasticsearch's."""
    with running(Proxy(node=es.url, prefix="/search/es")) as proxy:
        cluster = es.cluster(hosts=f"{proxy.url}/search/es")
        assert asked(cluster) == "elastic"
        assert proxy.asked == ["GET /search/es/_security/_authenticate"]
        told = str(refusal(replace(cluster, hosts=(proxy.url,))))
        assert "No such page" in told
        assert "compare the path in elasticsearch.hosts" in told
        proxy.drop = frozenset({"x-elastic-product"})
        assert "what answers is not Elasticsearch" in str(refusal(cluster))
        proxy.drop, proxy.node = frozenset(), "http://127.0.0.1:1"
        bad = refusal(cluster)
        assert "does not reach it" in str(bad)
        assert bad.unknown
