#!/usr/bin/env python3
"""Signs a request and sends it, with Python's standard library.

    COUNTERSIGN_SECRET=... send.py URL KEY_ID BODY_FILE SCHEME

SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
The answer goes to standard output, its status to standard error.

Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
"""

import hashlib
import hmac
import http.client
import os
import re
import secrets
import sys
import time
from urllib.parse import quote, urlsplit


def sign(scheme, secret, key_id, method, host, target, content_type, body):
    """The headers that make a request signed."""
    timestamp = str(int(time.time()))  # seconds: ten digits; milliseconds are refused
    headers = {"X-API-KEY": key_id, "X-TIMESTAMP": timestamp}
    if scheme == "kwikpaisa":
        message = body + timestamp.encode()
    elif scheme == "countersign-v1":
        nonce = secrets.token_hex(16)
        headers["X-NONCE"] = nonce
        digest = hashlib.sha256(body).hexdigest()
        lines = ["countersign-v1", key_id, timestamp, nonce,
                 method, host, target, content_type, digest]
        message = "\n".join(lines).encode()
    else:
        sys.exit(f"no such scheme: {scheme}")
    # Hexadecimal, 64 digits; base64 is refused.
    headers["X-SIGNATURE"] = hmac.new(secret, message, hashlib.sha256).hexdigest()
    return headers


def is_genuine(scheme, secret, request_headers, host, target, answer, body):
    """Whether the gate signed this answer, and to this request."""
    timestamp = answer.getheader("X-TIMESTAMP", "")
    if scheme == "kwikpaisa":
        message = body + timestamp.encode()
    else:
        digest = hashlib.sha256(body).hexdigest()
        lines = ["countersign-v1-response", request_headers["X-API-KEY"], timestamp,
                 request_headers["X-NONCE"], str(answer.status), host, target,
                 answer.getheader("Content-Type", ""), digest]
        message = "\n".join(lines).encode()
    expected = hmac.new(secret, message, hashlib.sha256).hexdigest()
    # In constant time: == tells by its time how much of a signature is right.
    if not hmac.compare_digest(expected.encode(), answer.getheader("X-SIGNATURE", "").encode()):
        return False
    # kwikpaisa does not say which request it answers. So it must be new, and its time ten digits,
    # as otherwise digits could move from the body; that it is about your order is yours to check.
    return scheme != "kwikpaisa" or (
        re.fullmatch("[0-9]{10}", timestamp) is not None
        and abs(time.time() - int(timestamp)) <= 300)


def host_and_target(url):
    """The header Host, and path and query, both exactly as they are sent."""
    # Visible ASCII stays, every other byte becomes %XX.
    visible = "".join(map(chr, range(0x21, 0x7F)))
    parts = urlsplit(quote(url.split("#")[0], safe=visible))
    target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
    # Without :443, which no client sends, but with any other port.
    return parts.netloc.lower().removesuffix(":443"), target


def main():
    # The secret is used as it is: no decoding from hexadecimal or base64, no line break at its end.
    secret = os.environ.get("COUNTERSIGN_SECRET", "").encode()
    if len(sys.argv) != 5 or not secret:
        sys.exit("usage: COUNTERSIGN_SECRET=... send.py URL KEY_ID BODY_FILE SCHEME")
    url, key_id, body_file, scheme = sys.argv[1:]

    if body_file == "-":
        method, content_type, body = "GET", "", b""
    else:
        method, content_type = "POST", "application/json"
        # Read once as bytes. These bytes are signed, and these are sent: json.dumps() at another
        # place may write the same value with other spaces or another order.
        with open(body_file, "rb") as file:
            body = file.read()

    host, target = host_and_target(url)
    headers = sign(scheme, secret, key_id, method, host, target, content_type, body)
    headers["Host"] = host
    if content_type:
        headers["Content-Type"] = content_type
    connection = http.client.HTTPSConnection(host)
    connection.request(method, target, body or None, headers)
    answer = connection.getresponse()
    print(answer.status, file=sys.stderr)
    content = answer.read()
    answer_secret = os.environ.get("COUNTERSIGN_ANSWER_SECRET", "").encode()
    if answer_secret and not is_genuine(
            scheme, answer_secret, headers, host, target, answer, content):
        print("not signed by the gate:", file=sys.stderr, flush=True)
        sys.stderr.buffer.write(content)
        sys.exit(1)
    sys.stdout.buffer.write(content)
    sys.exit(0 if answer.status < 300 else 1)


if __name__ == "__main__":
    main()
