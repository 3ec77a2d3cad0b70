"""Why no answer came from Elasticsearch, or none that can be trusted, and what to do about it, in words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import urllib3.exceptions as net

from enrich.elasticsearch.cluster import Cluster
from enrich.elasticsearch.refused import Words
from enrich.printable import message as printable

# x509_vfy.h of OpenSSL.
_EXPIRED = {9, 10}
_OTHER_NAME = {62, 64}
_MUTUAL = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
"""In the alerts of TLS by which a server refuses ours (RFC 8446, section 6.2)."""
NO_FINGERPRINT = "no certificate with this fingerprint"
"""How the error begins when nothing that a node shows has the fingerprint."""


def is_unsent(error: BaseException) -> bool:
    """There was no connection yet, so that nothing can have been done."""
    first = error.__cause__
    if isinstance(first, (net.NewConnectionError, net.ConnectTimeoutError, net.ProxyError)):
        return True
    return any(isinstance(each, ssl.SSLCertVerificationError) for each in _causes(error))


def cause(error: BaseException) -> str:
    """What the network said."""
    return printable(str(error.__cause__ or error))[:1000]


def words(error: BaseException, cluster: Cluster, timeout: float) -> Words:
    """For an error of the official client's: nobody answered, or it is not who it should be."""
    first, chain = error.__cause__, list(_causes(error))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return _untrusted(each, cluster)
    for each in chain:
        if isinstance(each, (ssl.SSLError, net.SSLError)):
            return _tls(str(each), cluster)
    if isinstance(first, net.ProxyError):
        return _proxy(chain)
    if isinstance(first, net.NameResolutionError):
        return Words("its name is not known", "correct elasticsearch.hosts, or see why DNS does not answer")
    if isinstance(first, net.ReadTimeoutError):
        advice = "look at the node's load; elasticsearch.timeout_seconds says how long is waited"
        return Words(f"no answer within {timeout:g} s, so that it may have been done or not", advice)
    if isinstance(first, net.NewConnectionError):
        said = next((each.strerror for each in chain if isinstance(each, OSError) and each.strerror), cause(error))
        return Words(f"it can't be connected to: {said}", "look whether the node runs, and listens at this address")
    if isinstance(first, net.ConnectTimeoutError):
        advice = "look whether the node runs, and whether a firewall stands between"
        return Words("nobody takes the connection", advice)
    advice = "look whether the node went down" + ("" if _is_tls(cluster) else "; if it speaks TLS, write https://")
    return Words(f"the connection was cut before an answer came ({cause(error)})", advice)


def unusable(error: Exception, cluster: Cluster) -> Words:
    """What is configured can't be used: files, URLs, the cloud id."""
    if isinstance(error, ssl.SSLError):
        files = ", ".join(name for name in (cluster.ca_file, cluster.certificate_file, cluster.key_file) if name)
        advice = "certificates and keys are PEM files, and certificate_file and key_file belong together"
        return Words(f"{files} can't be used: {printable(str(error))}", advice)
    if isinstance(error, OSError) and error.filename is None:
        files = ", ".join(name for name in (cluster.ca_file, cluster.certificate_file, cluster.key_file) if name)
        return Words(f"{files}: {error.strerror}", "correct elasticsearch.ca_file, certificate_file or key_file")
    if cluster.cloud_id and not cluster.hosts:
        return Words(f"elasticsearch.cloud_id: {error}", "copy it as a whole from the deployment's page: NAME:BASE64")
    return Words(printable(str(error)), "elasticsearch.hosts are URLs with a port, as https://es-1.example.org:9200")


def _untrusted(error: ssl.SSLCertVerificationError, cluster: Cluster) -> Words:
    if error.verify_code in _EXPIRED:
        advice = "have the certificate renewed, or this machine's clock corrected"
        return Words(f"its certificate is not valid now ({error.verify_message})", advice)
    if error.verify_code in _OTHER_NAME:
        advice = "use a name in elasticsearch.hosts that is in the certificate, or have a new one made"
        return Words(f"its certificate is for another name ({error.verify_message})", advice)
    if cluster.fingerprint:
        sentence = f"its certificate is not signed by the one with our fingerprint ({error.verify_message})"
        return Words(sentence, "if it was changed on purpose, correct elasticsearch.fingerprint")
    by = f"by whom {cluster.ca_file} names" if cluster.ca_file else "by whom this machine trusts"
    sentence = f"its certificate is not signed {by} ({error.verify_message})"
    advice = "name who signs it in elasticsearch.ca_file; if it was right before, ask whether it was changed on purpose"
    return Words(sentence, advice)


def _tls(said: str, cluster: Cluster) -> Words:
    if NO_FINGERPRINT in said:
        advice = (
            "correct elasticsearch.fingerprint if the certificate was changed on purpose; where the node does not show"
            " its CA's certificate, name it in elasticsearch.ca_file"
        )
        return Words(f"it shows {said[said.index(NO_FINGERPRINT) :]}", advice)
    if "WRONG_VERSION_NUMBER" in said or "UNEXPECTED_MESSAGE" in said or "HTTP_REQUEST" in said:
        return Words("what listens there speaks no TLS", "write http:// in elasticsearch.hosts, or the right port")
    if any(each in said.upper().replace(" ", "_") for each in _MUTUAL):
        has = (
            f"does not accept {cluster.certificate_file}" if cluster.certificate_file else "wants to see a certificate"
        )
        advice = (
            "elasticsearch.certificate_file and key_file are ours, signed by whom its ssl.certificate_authorities name"
        )
        return Words(f"it {has} ({printable(said)})", advice)
    return Words(f"TLS with it failed: {printable(said)}", "look at the node's log for what it did not like")


def _proxy(chain: list[BaseException]) -> Words:
    said = "; ".join(dict.fromkeys(str(each) for each in chain if isinstance(each, OSError)))
    advice = "correct elasticsearch.proxy"
    if "407" in said:
        advice = "put user:password@ into elasticsearch.proxy"
    elif "403" in said:
        advice = "ask who runs it to let us through"
    return Words(f"the proxy does not take us there: {printable(said or str(chain[-1]))}", advice)


def _is_tls(cluster: Cluster) -> bool:
    return not cluster.hosts or any(urlsplit(host).scheme == "https" for host in cluster.hosts)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an error came from, the nearest first, also where it is only mentioned among arguments (urllib3)."""
    seen: list[BaseException] = []
    left = [error.__cause__]
    while left:
        each = left.pop(0)
        if each is None or each in seen:
            continue
        seen.append(each)
        yield each
        left += [each.__cause__, each.__context__, *(arg for arg in each.args if isinstance(arg, BaseException))]
        left.append(getattr(each, "original_error", None))
