use super::{check, check_faults};

/// Of "abc": RFC 1321, FIPS 180-4, FIPS 202, RFC 7693. HMACs: Python's hmac of the text and key of
/// RFC 4231, case 2. CRC-32: Python's zlib.crc32.
#[test]
fn digests_are_those_of_other_implementations() {
    check(&[
        ("{'abc' | md5}", "900150983cd24fb0d6963f7d28e17f72"),
        ("{'abc' | sha1}", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("{'abc' | sha224}", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (
            "{'abc' | sha256 | hex}",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "{'abc' | sha384 | base64}",
            "ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn",
        ),
        (
            "{'abc' | sha512 | base64}",
            "3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUykn\
             w==",
        ),
        (
            "{'abc' | sha512_256 | hex}",
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
        ),
        (
            "{'abc' | sha3_256 | hex}",
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        ),
        ("{'abc' | sha3_512 | hex | take(32)}", "b751850b1a57168a5693cd924b6b096e"),
        (
            "{'abc' | keccak256 | hex}",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        ),
        ("{'abc' | blake2b | hex | take(32)}", "ba80a53f981c4d0d6a2797b69f12f6e9"),
        ("{'123456789' | crc32}", "cbf43926"),
        ("{'123456789' | crc32 | decimal}", "3421780262"),
        (
            "{'what do ya want for nothing?' | hmac('sha1', @jefe)}",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            "{'what do ya want for nothing?' | hmac('sha256', 'Jefe') | hex}",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "{'what do ya want for nothing?' | hmac('md5', 'Jefe')}",
            "750c783e6ab0b503eaa86e310a5db738",
        ),
    ]);
}

/// A body in two pieces, taken in as it is, and the same in one piece.
#[test]
fn bodies_in_pieces_have_the_digests_of_the_whole() {
    let names = [
        "md5",
        "sha1",
        "sha224",
        "sha256",
        "sha384",
        "sha512",
        "sha512_256",
        "sha3_256",
        "sha3_512",
        "keccak256",
        "blake2b",
        "crc32",
        "hmac('sha256', 'k')",
        "hmac('sha3-512', 'k')",
    ];
    for name in names {
        let whole = super::given(&format!("{{body | text | {name} | hex}}")).unwrap();
        check(&[(&format!("{{body | {name} | hex}}"), &whole)]);
    }
}

/// The signing key of the example in the AWS documentation, computed by Python's hmac; PBKDF2 by
/// Python's hashlib; HKDF of RFC 5869, A.3; OpenSSL: `openssl enc -aes-256-cbc -k password -S
/// 0102030405060708 -md md5 -P`.
#[test]
fn keys_are_derived_as_by_other_implementations() {
    check(&[
        (
            "{'AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' | fold_hmac('sha256', '20150830', \
             'us-east-1', 'iam', 'aws4_request') | hex}",
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
        ),
        ("{'k' | fold_hmac('md5', @names) | hex}", "8cfd68c4d6157d6afb6e9256c5b46b3f"),
        (
            "{'passphrase' | pbkdf2('sha1', 'AdyenNexoV1Salt', 4000, 16)}",
            "2f0c4bd095c695f1a2d827a19e43fd2b",
        ),
        (
            "{'0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b' | unhex | hkdf('sha256', '', '', 42)}",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d\
             9d201395faa4b61a96c8",
        ),
        (
            "{'password' | evp_bytes_to_key('md5', '', 48) | bytes(32)}",
            "b7b4372cdfbcb3d16a2631b59b509e94",
        ),
        ("{'ff0102' | unhex | xor(@zeros)}", "ff0000"),
    ]);
    check_faults(&[
        ("{'ff01' | unhex | xor(@zeros)}", "malformed"),
        ("{'p' | pbkdf2('sha1', 's', 0, 16)}", "malformed"),
        ("{'p' | pbkdf2('sha1', 's', 9999999, 16)}", "too long"),
        ("{'p' | pbkdf2('sha1', 's', 1, 2000)}", "too long"),
        ("{'p' | evp_bytes_to_key('md5', 'short', 16)}", "malformed"),
        ("{'p' | hkdf('sha256', '', '', 0)}", "malformed"),
    ]);
}
