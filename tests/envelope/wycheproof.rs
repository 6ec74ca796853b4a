//! The vectors of Project Wycheproof through the envelope's own ciphers, MACs and key unwrapping.

use countersign::crypto::mac;
use countersign::envelope::cipher::{Cipher, Feed};
use countersign::envelope::padding::Padding;
use countersign::envelope::wrap::{Unwrapping, Wrap};
use wycheproof::{TestResult, aead, cipher, rsa_oaep};

#[test]
fn aes_cbc_with_padding() {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap();
    let mut tried = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let cipher = Cipher::named(&format!("aes-{}-cbc", test.key.len() * 8)).unwrap();
            let padding = Padding::Pkcs7(16);
            let feed = Feed { key: &test.key, iv: &test.nonce, aad: &[], padding };
            let mut data = test.ct.to_vec();
            let opened = cipher.open(&feed, &mut data);
            match test.result {
                TestResult::Valid => {
                    assert!(opened.is_ok() && data == test.pt.as_ref(), "{}", test.tc_id);
                    let mut sealed = test.pt.to_vec();
                    cipher.seal(&feed, &mut sealed).unwrap();
                    assert_eq!(sealed, test.ct.as_ref(), "{}", test.tc_id);
                }
                _ => assert!(opened.is_err(), "{}: {}", test.tc_id, test.comment),
            }
            tried += 1;
        }
    }
    assert!(tried > 180);
}

#[test]
fn aes_gcm_with_vectors_of_12_and_16_bytes() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let mut tried = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            if ![12, 16].contains(&test.nonce.len()) {
                continue;
            }
            let cipher = Cipher::named(&format!("aes-{}-gcm", test.key.len() * 8)).unwrap();
            let padding = Padding::None;
            let feed = Feed { key: &test.key, iv: &test.nonce, aad: &test.aad, padding };
            let mut data = [&test.ct[..], &test.tag[..]].concat();
            let opened = cipher.open(&feed, &mut data);
            match test.result {
                TestResult::Valid => {
                    assert!(opened.is_ok() && data == test.pt.as_ref(), "{}", test.tc_id);
                }
                _ => assert!(opened.is_err(), "{}: {}", test.tc_id, test.comment),
            }
            tried += 1;
        }
    }
    assert!(tried > 200);
}

#[test]
fn hmac_sha256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let algorithm = mac::Algorithm::find("hmac-sha256").unwrap();
    let mut tried = 0;
    for group in &set.test_groups {
        for test in group.tests.iter().filter(|test| test.tag.len() == 32) {
            let good = algorithm.of(&test.key, &test.msg).as_bytes() == test.tag.as_ref();
            assert_eq!(good, test.result == TestResult::Valid, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 80);
}

#[test]
fn rsa_oaep() {
    let names = [
        (rsa_oaep::TestName::Rsa2048Sha1Mgf1Sha1, Wrap::OaepSha1),
        (rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256, Wrap::OaepSha256),
        (rsa_oaep::TestName::Rsa2048Sha384Mgf1Sha384, Wrap::OaepSha384),
        (rsa_oaep::TestName::Rsa2048Sha512Mgf1Sha512, Wrap::OaepSha512),
        (rsa_oaep::TestName::Rsa3072Sha256Mgf1Sha256, Wrap::OaepSha256),
        (rsa_oaep::TestName::Rsa4096Sha256Mgf1Sha256, Wrap::OaepSha256),
    ];
    for (name, wrap) in names {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        let mut tried = 0;
        for group in &set.test_groups {
            let key = Unwrapping::from_pem(wrap, group.pem.as_bytes()).unwrap();
            // Labels are not used by any partner, nor here.
            for test in group.tests.iter().filter(|test| test.label.is_empty()) {
                let opened = key.decrypt(&test.ct);
                match test.result {
                    TestResult::Valid => {
                        assert_eq!(*opened.unwrap(), test.pt.as_ref(), "{}", test.tc_id);
                    }
                    _ => assert!(opened.is_err(), "{}: {}", test.tc_id, test.comment),
                }
                // As a key, what does not open becomes random bytes of the wanted length.
                if test.ct.len() == group.key_size / 8 {
                    assert_eq!(key.unwrap(&test.ct, 32).unwrap().len(), 32);
                }
                tried += 1;
            }
        }
        assert!(tried > 15, "{tried}");
    }
}
