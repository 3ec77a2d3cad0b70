"""What is said when Elasticsearch refuses or is not reached: what happened, and what to do."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import urllib3.exceptions as net

from enrich.elasticsearch import refused, unreached
from enrich.elasticsearch.client import Client, ElasticsearchError, place
from enrich.elasticsearch.cluster import Cluster

TLS = Cluster(hosts=("https://es-1.example.org:9200",), ca_file="/etc/ca.pem")

# Types and reasons as Elasticsearch 9.5.3 answered them.
ANSWERS = [
    (
        "security_exception",
        (
            "action [indices:data/write/bulk[s]] is unauthorized for API key id [N5cM] of user [elastic] on indices"
            " [logs-cgtrail.process-default], this action is granted by the index privileges [create_doc,write,all]"
        ),
        (
            "API key id [N5cM] of user [elastic] may not do this in logs-cgtrail.process-default:"
            " it lacks the index privilege create_doc"
        ),
    ),
    (
        "security_exception",
        (
            "action [cluster:monitor/settings] is unauthorized for user [x] with effective roles [y], this action is"
            " granted by the cluster privileges [monitor,manage,all]"
        ),
        "user [x] may not do this: it lacks the cluster privilege monitor",
    ),
    (
        "security_exception",
        "current license is non-compliant for [field and document level security]",
        "licence does not include field and document level security",
    ),
    (
        "cluster_block_exception",
        (
            "index [.ds-a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has"
            " read-only-allow-delete block; for more information, see https://www.elastic.co];"
        ),
        "the disks of its nodes are too full",
    ),
    (
        "cluster_block_exception",
        "index [blk] blocked by: [FORBIDDEN/8/index write (api)];",
        "somebody blocked blk: index write (api): take the block away when it may be: PUT /blk/_settings",
    ),
    ("cluster_block_exception", "blocked by: [FORBIDDEN/6/cluster read-only (api)];", "whole cluster read-only"),
    (
        "cluster_block_exception",
        "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
        "the cluster is not ready yet",
    ),
    (
        "index_not_found_exception",
        (
            "no such index [logs-a-b] and the index creation request requires a data stream, but no matching index"
            " template with data stream template was found for it"
        ),
        "there is no template for the data stream logs-a-b: run `cgtrail setup elasticsearch`",
    ),
    (
        "resource_not_found_exception",
        "[require_data_stream] request flag is [true] and [foo] is not a data stream",
        "foo is there and is no data stream",
    ),
    ("es_rejected_execution_exception", "rejected execution of coordinating operation", "it has too much to do"),
    ("unavailable_shards_exception", "[a][0] primary shard is not active", "a node that holds some of the documents"),
]


@pytest.mark.parametrize(("kind", "reason", "said"), ANSWERS)
def test_answers_in_words(kind: str, reason: str, said: str) -> None:
    """By type and reason, whether of a whole answer or of one document in a bulk."""
    told = refused.words(kind, reason)
    assert said in str(told)
    assert told.advice


def test_a_search_that_failed_tells_why() -> None:
    """Not that a node does not answer, where one has answered; where none has, there is nothing else to say."""
    text = {
        "type": "illegal_argument_exception",
        "reason": "Fielddata is disabled on [event.id] in [.ds-logs-cgtrail.session-own-1]. Text fields are not …",
    }
    failed = {"type": "search_phase_execution_exception", "reason": "all shards failed", "root_cause": [text]}
    told = refused.words(*refused.error({"error": failed}, b""), 400)
    assert ".ds-logs-cgtrail.session-own-1 was not made by cgtrail's templates: it has event.id as text" in str(told)
    assert "delete it" in told.advice
    odd: list[Any] = [[], None, ["?"], [{}]]
    for roots in odd:
        told = refused.words(*refused.error({"error": failed | {"root_cause": roots}}, b""), 503)
        assert "does not answer" in str(told)


@pytest.mark.parametrize(
    ("causes", "said"),
    [
        ([{"type": "query_shard_exception", "reason": "more than 10000 effort"}], "more than 10000 effort"),
        ([{"type": "index_closed_exception", "reason": "closed", "index": ".ds-a-1"}], "POST /.ds-a-1/_open"),
        ([], "a node that holds some of the documents does not answer"),
        (["?"], "a node that holds some of the documents does not answer"),
        ({}, "a node that holds some of the documents does not answer"),
    ],
    ids=str,
)
def test_what_shards_say(causes: object, said: str) -> None:
    """Of a search that failed on all shards it is told why, as far as they said."""
    answer = {"type": "search_phase_execution_exception", "reason": "all shards failed", "root_cause": causes}
    assert said in str(refused.words(*refused.error({"error": answer}, b""), 503))


@pytest.mark.parametrize(
    ("status", "page", "said"),
    [
        (502, b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>", "502 Bad Gateway"),
        (413, b"<html>Too\n large</html>", "lower elasticsearch.bulk_bytes"),
        (407, b"", "no more is said"),
        (302, b"<html><title>Log in</title></html>", "name the address of Elasticsearch itself"),
        (418, b"\x1b[2J\xffteapot", "teapot"),
    ],
)
def test_what_stands_before_it(status: int, page: bytes, said: str) -> None:
    """A proxy's page is shown as what it says, and never raw."""
    told = str(refused.words(*refused.error(None, page), status))
    assert said in told
    assert str(status) in told
    assert "\x1b" not in told


def raised(cause: Exception, outer: type[Exception] = Exception) -> Exception:
    """An error of the official client's: what the network said is its cause."""
    error = outer("Connection error")
    error.__cause__ = cause
    return error


def unverified(code: int, said: str) -> Exception:
    """As Python's ssl tells of a certificate, within urllib3's error."""
    inner = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {said}")
    inner.verify_code, inner.verify_message = code, said
    return raised(net.SSLError(inner))


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (10, "certificate has expired", "this machine's clock corrected"),
        (62, "Hostname mismatch", "is for another name"),
        (20, "unable to get local issuer certificate", "is not signed by whom /etc/ca.pem names"),
    ],
)
def test_certificates_in_words(code: int, said: str, told: str) -> None:
    """Expired, for another name, of somebody else; nothing was sent."""
    error = unverified(code, said)
    assert told in str(unreached.words(error, TLS, 30))
    assert said in str(unreached.words(error, TLS, 30))
    assert unreached.is_unsent(error)


def test_what_is_known_of_a_request_without_an_answer() -> None:
    """It is said whether it can have been carried out: only where there was a connection."""
    pool = object()
    cut = raised(net.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer")))
    slow = raised(net.ReadTimeoutError(pool, "/_bulk", "Read timed out."))  # type: ignore[arg-type]
    far = raised(net.ConnectTimeoutError("timed out"))
    assert [unreached.is_unsent(each) for each in (cut, slow, far)] == [False, False, True]
    assert "no answer within 30 s, so that it may have been done or not" in str(unreached.words(slow, TLS, 30))
    assert "the connection was cut before an answer came" in str(unreached.words(cut, TLS, 30))
    assert "nobody takes the connection" in str(unreached.words(far, TLS, 30))


def test_no_secret_is_shown() -> None:
    """Neither of the configuration nor of URLs."""
    cluster = Cluster(hosts=("http://us:hidden@127.0.0.1:1",), api_key="concealed", password="veiled")  # noqa: S106
    assert place(cluster) == "http://127.0.0.1:1"
    with pytest.raises(ElasticsearchError) as away:
        Client(cluster).ask("GET", "/")
    told = f"{away.value} {away.value.reason}"
    assert not [each for each in ("hidden", "concealed", "veiled") if each in told]
    assert not away.value.unknown
