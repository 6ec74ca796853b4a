#!/usr/bin/env python3
"""Writes the vectors beside this file. Nothing here comes from the gate: only the documents do.

A vector is a text file. Lines that begin with `#` say what it shows; then come `name: value` lines
and a line of three dashes. What follows is one request, byte for byte as HTTP/1.1 has it:

    expect   `accepted`, or the code of the refusal
    scheme   which scheme signs it
    secret   the secret of its key id, as text
    now      the gate's time in Unix seconds
    route    what the route has beside path and scheme, if anything
    bound    the client certificate that the key is bound to, if any; the connection has none
"""

import base64
import hashlib
import hmac
import pathlib
import struct

NOW = 1764000000
HERE = pathlib.Path(__file__).parent
HOST = "api.example.com"
KWIK = ("kwikpaisa", "pk_live_vector", "vector-secret-of-a-kwikpaisa-key")
OURS = ("countersign-v1", "pk_live_vector_v1", "vector-secret-of-a-countersign-key")
RFC = ("rfc9421", "pk_live_vector_rfc", "vector-secret-of-an-rfc9421-key")
BODY = b'{"order_id":"A-1001","amount":100}'
NONCE = "4f1c2e9ab7d80365"


def mac(secret, message):
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def kwikpaisa(body, at=NOW, key=KWIK):
    return [
        ("X-API-KEY", key[1]),
        ("X-TIMESTAMP", str(at)),
        ("X-SIGNATURE", mac(key[2], body + str(at).encode())),
    ]


def ours(method, target, body, at=NOW, kind="application/json", nonce=NONCE, host=HOST):
    lines = ["countersign-v1", OURS[1], str(at), nonce, method, host.lower(), target, kind,
             hashlib.sha256(body).hexdigest()]
    return [
        ("X-API-KEY", OURS[1]),
        ("X-TIMESTAMP", str(at)),
        ("X-NONCE", nonce),
        ("X-SIGNATURE", mac(OURS[2], "\n".join(lines).encode())),
    ]


def content_digest(body):
    return "sha-256=:%s:" % base64.b64encode(hashlib.sha256(body).digest()).decode()


def rfc9421(method, target, body, at=NOW, covered=None, parameters="", digest=None):
    """RFC 9421 with the digest of RFC 9530, over what the scheme asks for."""
    digest = digest or content_digest(body)
    values = {
        "@method": method,
        "@authority": HOST,
        "@path": target.partition("?")[0],
        "@query": "?" + target.partition("?")[2],
        "@target-uri": "https://" + HOST + target,
        "content-digest": digest,
        "content-type": "application/json",
    }
    if covered is None:
        covered = ["@method", "@target-uri"] + (["content-type", "content-digest"] if body else [])
    statement = '(%s);created=%d;keyid="%s"%s' % (
        " ".join('"%s"' % name for name in covered), at, RFC[1], parameters)
    lines = ['"%s": %s' % (name, values[name]) for name in covered]
    lines.append('"@signature-params": ' + statement)
    signature = hmac.new(RFC[2].encode(), "\n".join(lines).encode(), hashlib.sha256).digest()
    return ([("Content-Digest", digest)] if body else []) + [
        ("Signature-Input", "sig1=" + statement),
        ("Signature", "sig1=:%s:" % base64.b64encode(signature).decode()),
    ]


def changed(headers, name, value):
    """The headers with another value; None takes it out, a list repeats it."""
    result = []
    for own, text in headers:
        if own != name:
            result.append((own, text))
        elif isinstance(value, list):
            result.extend((own, each) for each in value)
        elif value is not None:
            result.append((own, value))
    return result


def request(method, target, headers, body=b"", kind="application/json", host=HOST, length=True):
    lines = ["%s %s HTTP/1.1" % (method, target), "Host: %s" % host]
    if kind:
        lines.append("Content-Type: %s" % kind)
    lines += ["%s: %s" % pair for pair in headers]
    if length and (body or method not in ("GET", "HEAD")):
        lines.append("Content-Length: %d" % len(body))
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def write(name, expect, about, raw, key=KWIK, now=NOW, route="", bound=""):
    lines = ["# %s" % line for line in about.split("\n")]
    lines += ["expect: %s" % expect, "scheme: %s" % key[0], "secret: %s" % key[2], "now: %d" % now]
    if route:
        lines.append("route: %s" % route)
    if bound:
        lines.append("bound: %s" % bound)
    path = HERE / (name + ".http")
    path.write_bytes("\n".join(lines).encode() + b"\n---\n" + raw)


def accepted():
    post = ("POST", "/v1/orders")
    write("kwikpaisa-post", "accepted", "The ordinary case: HMAC-SHA256 over body and timestamp.",
          request(*post, kwikpaisa(BODY), BODY))
    write("kwikpaisa-get", "accepted", "Without a body the timestamp alone is signed.",
          request("GET", "/v1/orders/A-1001", kwikpaisa(b""), kind=""))
    write("kwikpaisa-capitals", "accepted", "Hexadecimal in capitals is the same signature.",
          request(*post, [(n, v.upper() if n == "X-SIGNATURE" else v) for n, v in kwikpaisa(BODY)],
                  BODY))
    odd = b'\xef\xbb\xbf{\r\n  "name": "\xd8\xa7\xd9\x84", "z": 1, "a": 2 }\r\n\x00'
    write("kwikpaisa-raw-bytes", "accepted",
          "The raw bytes are signed: byte order mark, line ends, order of keys, even NUL.",
          request(*post, kwikpaisa(odd), odd))
    write("kwikpaisa-oldest", "accepted", "Five minutes old, to the second: still good.",
          request(*post, kwikpaisa(BODY, NOW - 300), BODY))
    write("kwikpaisa-newest", "accepted", "Thirty seconds ahead, to the second: still good.",
          request(*post, kwikpaisa(BODY, NOW + 30), BODY))
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(BODY[n:n + 7]), BODY[n:n + 7])
                      for n in range(0, len(BODY), 7)) + b"0\r\n\r\n"
    write("kwikpaisa-chunked", "accepted", "Chunks are transport: what is signed is the body.",
          request(*post, kwikpaisa(BODY) + [("Transfer-Encoding", "chunked")], length=False)
          + pieces)
    write("v1-post", "accepted", "Nine lines: method, authority and target are signed as well.",
          request("POST", "/v2/orders?a=1", ours("POST", "/v2/orders?a=1", BODY), BODY), OURS)
    write("v1-get", "accepted", "Content-Type is an empty line where there is none.",
          request("GET", "/v2/orders?b=2&a=1", ours("GET", "/v2/orders?b=2&a=1", b"", kind=""),
                  kind=""), OURS)
    write("v1-authority", "accepted", "The authority is signed in lower case, with its port.",
          request("POST", "/v2/orders",
                  ours("POST", "/v2/orders", BODY, host="API.example.com:8443"), BODY,
                  host="API.example.com:8443"), OURS)
    write("v1-target-as-sent", "accepted", "The target is signed as sent: nothing is decoded.",
          request("GET", "/v2/a%20b?x=%7e&y=+",
                  ours("GET", "/v2/a%20b?x=%7e&y=+", b"", kind=""), kind=""), OURS)


def claims():
    post, good = ("POST", "/v1/orders"), kwikpaisa(BODY)
    v1 = ours("POST", "/v2/orders", BODY)
    for name, header in (("key", "X-API-KEY"), ("timestamp", "X-TIMESTAMP"),
                         ("signature", "X-SIGNATURE")):
        write("missing-" + name, "missing_header", "%s is absent." % header,
              request(*post, changed(good, header, None), BODY))
        value = dict(good)[header]
        write("repeated-" + name, "malformed_header", "%s twice, though both are equal." % header,
              request(*post, changed(good, header, [value, value]), BODY))
    write("missing-nonce", "missing_header", "countersign-v1 asks for a nonce.",
          request("POST", "/v2/orders", changed(v1, "X-NONCE", None), BODY), OURS)
    write("short-nonce", "malformed_header", "A nonce has 16 to 64 characters.",
          request("POST", "/v2/orders", ours("POST", "/v2/orders", BODY, nonce="short"), BODY),
          OURS)
    for name, text in (("milliseconds", str(NOW * 1000)), ("signed", "+%d" % NOW),
                       ("zero", "0%d" % NOW), ("float", "%d.0" % NOW), ("hex", "0x%x" % NOW)):
        write("timestamp-" + name, "malformed_header", "A timestamp is ten plain digits.",
              request(*post, changed(good, "X-TIMESTAMP", text), BODY))
    signature = dict(good)["X-SIGNATURE"]
    for name, text in (("short", signature[:-1]), ("prefix", "sha256=" + signature),
                       ("base64", "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=")):
        write("signature-" + name, "malformed_header", "A signature is 64 hexadecimal digits.",
              request(*post, changed(good, "X-SIGNATURE", text), BODY))
    write("v1-signature-capitals", "malformed_header",
          "countersign-v1 has one spelling: lower case.",
          request("POST", "/v2/orders",
                  changed(v1, "X-SIGNATURE", dict(v1)["X-SIGNATURE"].upper()), BODY), OURS)
    write("too-old", "stale_timestamp", "One second past five minutes.",
          request(*post, kwikpaisa(BODY, NOW - 301), BODY))
    write("too-far-ahead", "stale_timestamp", "One second past thirty seconds ahead.",
          request(*post, kwikpaisa(BODY, NOW + 31), BODY))


def signatures():
    post, good = ("POST", "/v1/orders"), kwikpaisa(BODY)
    bad = "invalid_signature"
    write("other-body", bad, "The body was changed after signing.",
          request(*post, good, BODY.replace(b"100", b"900")))
    write("trailing-newline", bad, "A line end at the end of the body is a byte like any other.",
          request(*post, good, BODY + b"\n"))
    write("re-encoded", bad, "The same JSON, written in another way, is another body.",
          request(*post, good, BODY.replace(b":", b": ")))
    write("unknown-key", bad, "Nobody has this key id; the answer is that of a bad signature.",
          request(*post, changed(good, "X-API-KEY", "pk_live_nobody"), BODY))
    write("other-secret", bad, "Signed with a secret that is not the key's.",
          request(*post, kwikpaisa(BODY, key=KWIK[:2] + ("another-secret-altogether",)), BODY))
    write("truncated-mac", bad, "The first half of the signature is right.",
          request(*post, changed(good, "X-SIGNATURE",
                                 dict(good)["X-SIGNATURE"][:32] + "0" * 32), BODY))
    v1 = ours("POST", "/v2/orders?a=1&b=2", BODY)
    write("v1-other-method", bad, "The method is signed.",
          request("PUT", "/v2/orders?a=1&b=2", v1, BODY), OURS)
    write("v1-other-target", bad, "The query is signed as sent: order counts.",
          request("POST", "/v2/orders?b=2&a=1", v1, BODY), OURS)
    write("v1-other-type", bad, "Content-Type is signed.",
          request("POST", "/v2/orders?a=1&b=2", v1, BODY, kind="text/plain"), OURS)
    write("v1-other-authority", bad, "The authority is signed with its port.",
          request("POST", "/v2/orders?a=1&b=2", v1, BODY, host=HOST + ":443"), OURS)


def standard():
    target = "/v3/orders?a=1"
    good = rfc9421("POST", target, BODY)

    def post(name, expect, about, headers, body=BODY, target=target):
        write("rfc9421-" + name, expect, about, request("POST", target, headers, body), RFC)

    post("post", "accepted", "RFC 9421: method, target URI, content type and digest.", good)
    write("rfc9421-get", "accepted", "RFC 9421 without a body: no digest is needed.",
          request("GET", target, rfc9421("GET", target, b""), kind=""), RFC)
    parts = ["@method", "@authority", "@path", "@query", "content-digest"]
    post("parts", "accepted", "Authority, path and query are as good as the target URI.",
         rfc9421("POST", target, BODY, covered=parts, parameters=';nonce="4f1c2e9ab7d80365"'))
    post("other-body", "invalid_signature", "The digest is signed, and is not this body's.", good,
         BODY.replace(b"100", b"900"))
    post("other-target", "invalid_signature", "The query is signed.", good,
         target="/v3/orders?a=2")
    post("no-digest", "invalid_signature", "A body that no digest ties is not signed.",
         rfc9421("POST", target, BODY, covered=["@method", "@target-uri"]))
    post("weak-digest", "invalid_signature", "No digest that the gate takes.",
         rfc9421("POST", target, BODY, digest="md5=:CY9rzUYh03PK3k6DJie09g==:"))
    post("no-method", "malformed_header", "The method must be covered.",
         rfc9421("POST", target, BODY, covered=["@target-uri", "content-digest"]))
    post("algorithm", "malformed_header", "The credential fixes the algorithm.",
         rfc9421("POST", target, BODY, parameters=';alg="rsa-pss-sha512"'))
    post("expired", "stale_timestamp", "The signature says until when it may be taken.",
         rfc9421("POST", target, BODY, parameters=";expires=%d" % (NOW - 1)))
    post("old", "stale_timestamp", "Created one second too early.",
         rfc9421("POST", target, BODY, at=NOW - 301))
    post("no-input", "missing_header", "Signature-Input is absent.",
         changed(good, "Signature-Input", None))
    statement, signature = dict(good)["Signature-Input"], dict(good)["Signature"]
    post("two", "malformed_header", "Two signatures, and nothing that says which one counts.",
         changed(changed(good, "Signature-Input",
                         [statement, statement.replace("sig1", "sig2")]),
                 "Signature", [signature, signature.replace("sig1", "sig2")]))


def framing():
    post, good = ("POST", "/v1/orders"), kwikpaisa(BODY)
    bad = "bad_request"
    for name, target in (("dots", "/v1/../v1/orders"), ("escaped-slash", "/v1/a%2fb"),
                         ("double-slash", "//v1/orders"), ("bad-escape", "/v1/%zz"),
                         ("absolute", "https://api.example.com/v1/orders")):
        write("target-" + name, bad, "A target that two programs could read as two paths.",
              request("POST", target, good, BODY))
    write("underscore", bad, "Some programs read X_API_KEY as X-API-KEY.",
          request(*post, good + [("X_API_KEY", "pk")], BODY))
    write("upgrade", bad, "The protocol cannot be changed here.",
          request(*post, good + [("Connection", "Upgrade"), ("Upgrade", "websocket")], BODY))
    write("expectation", bad, "100-continue is the only expectation.",
          request(*post, good + [("Expect", "200-ok")], BODY))
    write("two-hosts", bad, "There is exactly one Host.",
          request(*post, good + [("Host", HOST)], BODY))
    write("other-host", "misdirected", "The host is not the one that TLS was asked for.",
          request(*post, good, BODY, host="shop.example.com"))
    write("no-route", "no_route", "Nothing is configured for this path.",
          request("POST", "/v9/orders", good, BODY))
    write("gzip", "unsupported_encoding", "Bodies with a content coding are not taken.",
          request(*post, good + [("Content-Encoding", "gzip")], BODY))
    write("long-value", "headers_too_large", "One header value has at most 8 KiB.",
          request(*post, good + [("X-Long", "x" * 8193)], BODY))
    large = b"x" * 1025
    write("large-body", "body_too_large", "One byte more than the route takes.",
          request(*post, kwikpaisa(large), large), route="body = \"1KiB\"")
    write("slow-body", "body_too_slow", "The body is promised and does not come.",
          request(*post, good, BODY)[:-4])
    write("no-certificate", "certificate_not_allowed",
          "The key is bound to a client certificate, and the connection has none.",
          request(*post, good, BODY), bound="dns:api.acme.example")
    write("other-scope", "not_in_scope", "The key may call /v1/orders and below, not this.",
          request("POST", "/v1/refunds", good, BODY))


def kid(epoch, start, gen, iat):
    """The name of a key set of roll.v1; its chain has the random bytes 07 07 07 07."""
    body = struct.pack(">BII4sIIB", 1, epoch, start, b"\x07" * 4, gen, iat, 0)
    return "rk1_" + base64.urlsafe_b64encode(body).decode().rstrip("=")


def rolling():
    """Refusals that come before anything is opened: what is sealed here are 80 zero bytes."""
    sealed = b'{"sealed":"%s"}' % base64.urlsafe_b64encode(bytes(80)).rstrip(b"=")
    for name, code, note, label in (
            ("name", "unsupported_kid", "No version of roll.v1 that is known.", "rk9_AAAA"),
            ("anchor-version", "unsupported_kid", "No anchor that is in use.", "ak_2"),
            ("epoch", "unknown_epoch", "The epoch is not held any more.",
             kid(1, NOW, 1, NOW)),
            ("expired", "key_expired", "A key set of more than 15 minutes.",
             kid(2, NOW - 901, 1, NOW - 901)),
            ("ahead", "key_expired", "A key set from the future.",
             kid(2, NOW, 1, NOW + 31)),
            ("chain-expired", "key_expired", "A chain of more than an hour.",
             kid(2, NOW - 3601, 1, NOW - 1)),
            ("revoked", "chain_revoked", "Older than the root of the credential.",
             kid(2, NOW - 100, 1, NOW - 20)),
            ("superseded", "key_superseded", "From before the gate's start.",
             kid(2, NOW - 100, 1, NOW - 5)),
            ("anchor", "anchor_not_allowed", "The anchor seals the session call only.", "ak_1"),
            ("sealed", "cannot_open", "A good name, and nothing that opens.",
             kid(2, NOW, 1, NOW + 1))):
        headers = kwikpaisa(sealed) + [("X-SEAL-KID", label)]
        write("roll-" + name, code, note, request("POST", "/v1/orders", headers, sealed),
              route="rolling = \"standard\"")


if __name__ == "__main__":
    for old in HERE.glob("*.http"):
        old.unlink()
    accepted()
    claims()
    signatures()
    standard()
    framing()
    rolling()
