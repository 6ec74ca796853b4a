#!/usr/bin/env python3
"""A client of rolling keys (roll.v1). Needs the package `cryptography`.

    COUNTERSIGN_SECRET=... COUNTERSIGN_ANCHOR=css_... rolling.py URL KEY_ID BODY_FILE STATE_FILE

BODY_FILE is sealed and sent by POST; "-" sends a GET without a body. STATE_FILE keeps the newest
keys for the next call, readable for its owner alone. The opened answer goes to standard output, its
status to standard error. Requests are signed by countersign-v1.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import struct
import sys
import time
import zlib
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SESSION = "/.well-known/countersign/key-session"
SEALED = "application/vnd.countersign.sealed"
# Refusals on which fresh keys help: ask once, send once more, then report.
RESYNC = {"key_expired", "key_superseded", "unknown_epoch",
          "chain_revoked", "key_exhausted", "cannot_open"}
ATTEMPTS = 5


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lp(data):
    """A text with its length in front."""
    return struct.pack(">H", len(data)) + data


class Side:
    """Keys for one way: 32 bytes that authenticate, 32 that encrypt, and a mask for IVs."""

    def __init__(self, key, mask):
        self.mac_key, self.enc_key, self.mask = key[:32], key[32:], mask

    def seal(self, aad, text):
        # Fresh for every message. The real IV is never sent: it is these bytes XOR the secret mask.
        p = secrets.token_bytes(16)
        pad = padding.PKCS7(128).padder()
        iv = bytes(a ^ b for a, b in zip(self.mask, p))
        cipher = Cipher(algorithms.AES(self.enc_key), modes.CBC(iv)).encryptor()
        data = cipher.update(pad.update(text) + pad.finalize()) + cipher.finalize()
        return p + data + self._tag(aad, iv, data)

    def open(self, aad, sealed):
        p, data, tag = sealed[:16], sealed[16:-32], sealed[-32:]
        iv = bytes(a ^ b for a, b in zip(self.mask, p))
        # The tag first: what does not carry the right one is never decrypted.
        if len(sealed) < 64 or not hmac.compare_digest(self._tag(aad, iv, data), tag):
            raise Unproved("the answer does not open")
        cipher = Cipher(algorithms.AES(self.enc_key), modes.CBC(iv)).decryptor()
        pad = padding.PKCS7(128).unpadder()
        return pad.update(cipher.update(data) + cipher.finalize()) + pad.finalize()

    def _tag(self, aad, iv, data):
        text = aad + iv + data + struct.pack(">Q", len(aad) * 8)
        return hmac.new(self.mac_key, text, hashlib.sha512).digest()[:32]


class KeySet:
    """Keys for both ways, and what they are called."""

    def __init__(self, kid, bound, to_gate, to_client, maximum=0):
        self.kid, self.bound, self.maximum = kid, bound, maximum
        self.to_gate, self.to_client = to_gate, to_client

    @classmethod
    def of(cls, j):
        """A key set as the gate hands it out."""
        if j["v"] != 1 or j["alg"] != "A256CBC-HS512":
            raise Unproved("keys of another protocol")
        side = lambda s: Side(unb64u(s["key"]), unb64u(s["iv"]))
        # What is bound into seals is the name's bytes, not its text.
        return cls(j["kid"], unb64u(j["kid"][4:]), side(j["c2s"]), side(j["s2c"]), j["max"])

    @classmethod
    def anchor(cls, text, version):
        """The long-lived keys, from the text that was handed over once."""
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        number = lambda part: sum(digits.index(d) * 62**i for i, d in enumerate(reversed(part)))
        body, checksum = text[:-6], text[-6:]
        if not text.startswith("css_") or number(checksum) != zlib.crc32(body.encode()):
            sys.exit("COUNTERSIGN_ANCHOR is mistyped: its checksum does not hold")
        key = number(body.split("_")[2]).to_bytes(160, "big")
        name = f"ak_{version}"
        return cls(name, lp(name.encode()),
                   Side(key[:64], key[128:144]), Side(key[64:128], key[144:]))

    def place(self):
        """Chain, generation and time of making, from the name."""
        chain, generation, made = struct.unpack(">8sII", self.bound[5:21])
        return chain, (generation, made)


class Unproved(Exception):
    """The answer does not prove that it is the gate's: it says nothing, not even that it failed."""


class NoAnswer(Exception):
    """The connection broke. The request may have arrived."""


class Client:
    def __init__(self, url, key_id, secret, anchor, state_file, version=1):
        parts = urlsplit(url)
        self.host = parts.netloc.lower().removesuffix(":443")
        self.target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        self.key_id, self.secret = key_id, secret.encode()
        self.anchor, self.state_file = KeySet.anchor(anchor, version), state_file
        # The newest set as it came, how many messages it has sealed, and when it ends.
        self.newest, self.uses = None, 0
        if os.path.exists(state_file):
            with open(state_file) as file:
                state = json.load(file)
            self.newest, self.uses = state["set"], state["uses"]

    def send(self, method, body):
        """Sends a request and returns (status, opened body). Raises where nothing is proved."""
        # The same for every attempt at one payment, so that the service books it once.
        extra = {"Idempotency-Key": secrets.token_hex(16)} if body else {}
        status, answer, code = self._until_answered(method, body, extra)
        if code in RESYNC:
            self._session()
            status, answer, code = self._until_answered(method, body, extra)
        if code:
            raise Unproved(f"refused before it was opened: {status} {code}")
        return status, answer

    def _until_answered(self, method, body, extra):
        for attempt in range(ATTEMPTS):
            # A set ends by time and by number; lost answers use it up as well.
            if (not self.newest or time.time() > self.newest["exp"]
                    or self.uses >= self.newest["max"]):
                self._session()
            keys = KeySet.of(self.newest)  # kept until the answer is opened
            self.uses += 1
            try:
                # Sealed anew each time: new p, new time, under the newest set. Old bytes are never
                # sent again, for the gate would refuse them as a replay.
                answer = self._call(keys, method, self.target, body, extra)
                status, headers, text = answer
                if "X-SEAL-KID" not in headers:
                    return status, text, code_of(status, text)
                opened, following = self._open(keys, answer)
                self._adopt(following)
                return status, opened, None
            except (NoAnswer, Unproved) as fault:
                if attempt == ATTEMPTS - 1:
                    raise
                print(f"no answer: {fault}", file=sys.stderr)
            finally:
                self._keep()

    def _session(self):
        """Fresh keys under the anchor, in the place of those that are held."""
        replaces = [self.newest["kid"]] if self.newest else []
        body = json.dumps({"lanes": 1, "replaces": replaces}).encode()
        for attempt in range(ATTEMPTS):
            try:
                answer = self._call(self.anchor, "POST", SESSION, body, {})
                status, headers, text = answer
                if status == 429:  # calls are limited: wait, do not give up
                    time.sleep(int(headers.get("Retry-After", "1")))
                    continue
                if "X-SEAL-KID" not in headers:
                    raise SystemExit(f"no fresh keys: {status} {text.decode()}")
                opened, _ = self._open(self.anchor, answer)
                self.newest, self.uses = json.loads(opened)["sets"][0], 0
                return self._keep()
            except (NoAnswer, Unproved) as fault:
                print(f"no answer: {fault}", file=sys.stderr)
        raise SystemExit("no fresh keys: no answer")

    def _call(self, keys, method, target, body, extra):
        """One request: sealed, then signed, then sent."""
        now = int(time.time())
        # What the seal binds: nobody can move it to another method, address, time or key.
        aad = (b"countersign roll.v1 req\0" + struct.pack(">Q", now) + lp(method.encode())
               + lp(target.encode()) + keys.bound)
        sealed = keys.to_gate.seal(aad, body)
        self.p = sealed[:16]
        headers = {"Host": self.host, "X-SEAL-KID": keys.kid, **extra}
        if body:
            content_type, sent = SEALED, sealed
            headers["Content-Type"] = SEALED
        else:
            # No body: the proof says so, and cannot be left out.
            content_type, sent = "", b""
            headers["X-SEAL-PROOF"] = b64u(sealed)
        nonce = secrets.token_hex(16)
        lines = ["countersign-v1", self.key_id, str(now), nonce, method, self.host, target,
                 content_type, hashlib.sha256(sent).hexdigest()]
        signature = hmac.new(self.secret, "\n".join(lines).encode(), hashlib.sha256)
        headers.update({"X-API-KEY": self.key_id, "X-TIMESTAMP": str(now), "X-NONCE": nonce,
                        "X-SIGNATURE": signature.hexdigest()})
        try:
            connection = http.client.HTTPSConnection(self.host, timeout=30)
            connection.request(method, target, sent or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException) as fault:
            raise NoAnswer(fault) from fault

    def _open(self, keys, answer):
        """The body of an answer, and the key set that it brings."""
        status, headers, text = answer
        if headers["X-SEAL-KID"] != keys.kid or "X-SEAL-NEXT" not in headers:
            raise Unproved("the answer is of other keys")
        if not text:
            sealed = unb64u(headers.get("X-SEAL-PROOF", ""))
        else:
            sealed = text
        # Bound to this very request, and to the status: neither can be exchanged on the way.
        aad = b"countersign roll.v1 res\0" + struct.pack(">H", status) + keys.bound + self.p
        opened = keys.to_client.open(aad, sealed)
        if not text and opened:
            raise Unproved("a proof that brings a body")
        aad = b"countersign roll.v1 next\0" + keys.bound + self.p
        return opened, json.loads(keys.to_client.open(aad, unb64u(headers["X-SEAL-NEXT"])))

    def _adopt(self, following):
        """Only a newer set of the same chain is taken up: answers can overtake each other."""
        (chain, place), (own, held) = (KeySet.of(j).place() for j in (following, self.newest))
        if chain == own and place > held:
            self.newest, self.uses = following, 0

    def _keep(self):
        fresh = self.state_file + ".fresh"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"set": self.newest, "uses": self.uses}, file)
        os.replace(fresh, self.state_file)


def code_of(status, text):
    """The code of a refusal. An answer in clear that is none proves nothing."""
    try:
        code = json.loads(text)["code"]
    except (ValueError, KeyError, TypeError):
        code = None
    if status < 400 or not isinstance(code, str):
        raise Unproved(f"an answer in clear: {status}")
    return code


def main():
    secret, anchor = (os.environ.get(f"COUNTERSIGN_{name}", "") for name in ("SECRET", "ANCHOR"))
    if len(sys.argv) != 5 or not secret or not anchor:
        sys.exit("usage: COUNTERSIGN_SECRET=... COUNTERSIGN_ANCHOR=css_... "
                 "rolling.py URL KEY_ID BODY_FILE STATE_FILE")
    url, key_id, body_file, state_file = sys.argv[1:]
    client = Client(url, key_id, secret, anchor, state_file)
    if body_file == "-":
        method, body = "GET", b""
    else:
        with open(body_file, "rb") as file:
            method, body = "POST", file.read()
    try:
        status, answer = client.send(method, body)
    except (NoAnswer, Unproved) as fault:
        # Never booked as failed: ask for the status of the payment.
        sys.exit(f"nothing is proved: {fault}")
    print(status, file=sys.stderr)
    sys.stdout.buffer.write(answer)
    sys.exit(0 if status < 300 else 1)


if __name__ == "__main__":
    main()
