#!/usr/bin/python3
"""Seals and opens JWE tokens with jwcrypto, and tells the example of RFC 7516 that it carries.

jwe.py key                   -> {"private": PEM, "public": PEM}
jwe.py seal   {alg, enc, key, kid, texts}    -> tokens
jwe.py open   {alg, enc, key, tokens}        -> texts
jwe.py rfc                   -> {"private": PEM, "token": ..., "text": ...}
Keys are PEM, or hexadecimal for "dir".
"""
import json
import sys

from cryptography.hazmat.primitives.asymmetric import rsa
from jwcrypto import jwe, jwk
from jwcrypto.common import base64url_decode, base64url_encode, json_encode

# RFC 7516, appendix A.1: modulus and private exponent of the recipient, and the token.
N = (
    "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUW"
    "cJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3S"
    "psk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2a"
    "sbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMS"
    "tPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2dj"
    "YgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw"
)
D = (
    "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5N"
    "WV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD9"
    "3Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghk"
    "qDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vl"
    "t3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSnd"
    "VTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ"
)
TOKEN = ".".join([
    "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ",
    (
        "OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGe"
        "ipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDb"
        "Sv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaV"
        "mqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je8"
        "1860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi"
        "6UklfCpIMfIjf7iGdXKHzg"
    ),
    "48V1_ALb6US04U3b",
    "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A",
    "XFBoMYUZodetZdvTiFvSkQ",
])
TEXT = "The true sign of intelligence is not knowledge but imagination."


def private_key():
    n, d = (int.from_bytes(base64url_decode(text), "big") for text in (N, D))
    p, q = rsa.rsa_recover_prime_factors(n, 65537, d)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(65537, n))
    return jwk.JWK.from_pyca(numbers.private_key())


def key_of(ask):
    if ask["alg"] == "dir":
        return jwk.JWK(kty="oct", k=base64url_encode(bytes.fromhex(ask["key"])))
    return jwk.JWK.from_pem(ask["key"].encode())


def main():
    mode = sys.argv[1]
    if mode == "key":
        key = jwk.JWK.generate(kty="RSA", size=2048)
        print(json.dumps({
            "private": key.export_to_pem(private_key=True, password=None).decode(),
            "public": key.export_to_pem().decode(),
        }))
        return
    if mode == "rfc":
        pem = private_key().export_to_pem(private_key=True, password=None).decode()
        print(json.dumps({"private": pem, "token": TOKEN, "text": TEXT}))
        return
    ask = json.load(sys.stdin)
    key, answer = key_of(ask), []
    if mode == "seal":
        for text in ask["texts"]:
            header = json_encode({"alg": ask["alg"], "enc": ask["enc"], "kid": ask["kid"]})
            token = jwe.JWE(text.encode(), protected=header, recipient=key)
            answer.append(token.serialize(compact=True))
    else:
        for text in ask["tokens"]:
            token = jwe.JWE()
            token.allowed_algs = [ask["alg"], ask["enc"]]
            token.deserialize(text, key=key)
            answer.append(token.payload.decode())
    print(json.dumps(answer))


main()
