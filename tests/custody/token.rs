//! Master keys in SoftHSM.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use countersign::custody::{CustodyFault, KeyBytes, MasterSource, Masters, TokenSpec};
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::place::{PIN, Place, TOKEN, module};

const KEK: &[u8] = b"keks 1";

fn key(byte: u8) -> KeyBytes {
    KeyBytes::new([byte; 32])
}

fn does_not_open(masters: &Masters, master: &str, blob: &[u8], place: &[u8]) -> bool {
    matches!(masters.unwrap(master, blob, place), Err(CustodyFault::DoesNotOpen))
}

fn refusal(source: &MasterSource) -> String {
    Masters::open(source).unwrap_err().to_string()
}

/// The module without the product, in a process where the product has begun it.
fn by_hand() -> (Pkcs11, Slot) {
    let context = Pkcs11::new(module()).unwrap();
    let slots = context.get_slots_with_token().unwrap();
    let named = |slot: &Slot| context.get_token_info(*slot).unwrap().label() == TOKEN;
    let slot = slots.into_iter().find(named).unwrap();
    (context, slot)
}

fn logged_in(context: &Pkcs11, slot: Slot) -> Session {
    let session = context.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    session
}

pub(crate) fn made(place: &Place) {
    let source = place.source(&["cs"]);
    assert!(matches!(Masters::open(&source), Err(CustodyFault::Absent(_))));
    let masters = Masters::create(&source).unwrap();
    assert_eq!(masters.current().as_str(), "hsm_cs");
    assert_eq!(masters.describe(), format!("token {TOKEN} by {}", module().display()));
    let again = Masters::create(&source).unwrap_err().to_string();
    assert!(again.contains("never made anew"), "{again}");

    let blob = masters.wrap(&key(5), KEK).unwrap();
    assert_eq!(masters.unwrap("hsm_cs", &blob, KEK).unwrap(), key(5));
    assert!(does_not_open(&masters, "hsm_cs", &blob, b"keks 2"));
    assert!(matches!(masters.unwrap("hsm_other", &blob, KEK), Err(CustodyFault::Missing(_))));
    assert!(masters.wrap(&key(5), b"").is_err());
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut other = blob.clone();
            other[at] ^= 1 << bit;
            assert!(does_not_open(&masters, "hsm_cs", &other, KEK), "bit {bit} of byte {at}");
        }
    }
    for length in 0..blob.len() {
        assert!(does_not_open(&masters, "hsm_cs", &blob[..length], KEK), "{length} bytes");
    }
    assert_eq!(masters.unwrap("hsm_cs", &blob, KEK).unwrap(), key(5));

    let (context, slot) = by_hand();
    let session = logged_in(&context, slot);
    let found = session.find_objects(&[Attribute::Label(b"cs".to_vec())]).unwrap();
    let [object] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(session.get_attributes(*object, &[AttributeType::Value]).unwrap(), []);
    let flags = [AttributeType::NeverExtractable, AttributeType::Sensitive];
    let flags = session.get_attributes(*object, &flags).unwrap();
    assert_eq!(flags, [Attribute::NeverExtractable(true), Attribute::Sensitive(true)]);
    assert!(!format!("{masters:?}").contains(PIN));
}

pub(crate) fn rotated(place: &Place) {
    let source = place.source(&["cs"]);
    let mut masters = Masters::create(&source).unwrap();
    let old = masters.wrap(&key(1), KEK).unwrap();
    assert_eq!(masters.rotate().unwrap().as_str(), "hsm_cs-2");
    let new = masters.wrap(&key(2), KEK).unwrap();
    assert_eq!(masters.unwrap("hsm_cs", &old, KEK).unwrap(), key(1));
    assert_eq!(masters.unwrap("hsm_cs-2", &new, KEK).unwrap(), key(2));
    assert!(does_not_open(&masters, "hsm_cs", &new, KEK));
    assert!(does_not_open(&masters, "hsm_cs-2", &old, KEK));

    fs::write(place.path("old"), old).unwrap();
    fs::write(place.path("new"), new).unwrap();
    assert!(place.process("open_what_is_there").status().unwrap().success());

    assert!(masters.remove("hsm_cs-2").unwrap_err().to_string().contains("rotate and rewrap"));
    assert!(matches!(masters.remove("hsm_other"), Err(CustodyFault::Missing(_))));
    masters.remove("hsm_cs").unwrap();
    let ids = |masters: &Masters| -> Vec<String> {
        masters.ids().iter().map(ToString::to_string).collect()
    };
    assert_eq!(ids(&masters), ["hsm_cs-2"]);
    assert_eq!(masters.rotate().unwrap().as_str(), "hsm_cs-3");
    assert_eq!(ids(&Masters::open(&source).unwrap()), ["hsm_cs-3", "hsm_cs-2"]);

    // Another label in front: a key of its own, and the earlier ones still open.
    let next = place.source(&["next", "cs"]);
    assert!(matches!(Masters::open(&next), Err(CustodyFault::Absent(_))));
    assert_eq!(ids(&Masters::create(&next).unwrap()), ["hsm_next", "hsm_cs-3", "hsm_cs-2"]);
}

/// In a second process.
pub(crate) fn open_what_is_there(place: &Place) {
    let masters = Masters::open(&place.source(&["cs"])).unwrap();
    let read = |name| fs::read(place.path(name)).unwrap();
    assert_eq!(masters.current().as_str(), "hsm_cs-2");
    assert_eq!(masters.unwrap("hsm_cs", &read("old"), KEK).unwrap(), key(1));
    assert_eq!(masters.unwrap("hsm_cs-2", &read("new"), KEK).unwrap(), key(2));
}

pub(crate) fn pin(place: &Place) {
    let with = |pin_file| MasterSource::Token(TokenSpec { pin_file, ..place.spec(&["cs"]) });
    let wrong = place.write_pin("wrong", "111111");
    let refused = refusal(&with(wrong.clone()));
    assert!(refused.contains(&format!("it refuses the PIN in {}", wrong.display())), "{refused}");
    assert!(refused.starts_with(&format!("token {TOKEN} by ")), "{refused}");
    assert!(!refused.contains("111111"), "{refused}");
    let refused = refusal(&with(place.write_pin("empty", "")));
    assert!(refused.contains("is empty, and no PIN"), "{refused}");
    let refused = refusal(&with(place.path("none")));
    assert!(refused.contains("there is no PIN file"), "{refused}");
    let loose = place.write_pin("loose", PIN);
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = refusal(&with(loose.clone()));
    assert!(refused.contains(&format!("chmod 600 '{}'", loose.display())), "{refused}");
    // The right one is still taken.
    Masters::create(&place.source(&["cs"])).unwrap();
}

pub(crate) fn away(place: &Place) {
    let spec = TokenSpec { module: place.path("none.so"), ..place.spec(&["cs"]) };
    let refused = refusal(&MasterSource::Token(spec));
    assert!(refused.contains("none.so: the module cannot be loaded"), "{refused}");
    let spec = TokenSpec { token: "elsewhere".into(), ..place.spec(&["cs"]) };
    let refused = refusal(&MasterSource::Token(spec));
    let told = format!("token elsewhere by {}: not there; what is: ", module().display());
    assert!(refused.starts_with(&told) && refused.contains(&format!("{TOKEN:?}")), "{refused}");
    let spec = TokenSpec { module: place.path("other.so"), ..place.spec(&["cs"]) };
    let refused = refusal(&MasterSource::Token(spec));
    assert!(refused.contains("the process uses the module"), "{refused}");
    assert!(refusal(&place.source(&[])).contains("no label of a key"));

    // One that comes only after the module was loaded.
    place.init_token("elsewhere");
    let spec = TokenSpec { token: "elsewhere".into(), ..place.spec(&["cs"]) };
    Masters::create(&MasterSource::Token(spec)).unwrap();
    place.init_token("elsewhere");
    assert!(place.process("refuse_two_of_one_name").status().unwrap().success());
}

/// In a process that sees both.
pub(crate) fn refuse_two_of_one_name(place: &Place) {
    let spec = TokenSpec { token: "elsewhere".into(), ..place.spec(&["cs"]) };
    let refused = refusal(&MasterSource::Token(spec));
    assert!(refused.contains("several tokens have this label"), "{refused}");
}

pub(crate) fn lost(place: &Place) {
    let masters = Masters::create(&place.source(&["cs"])).unwrap();
    let blob = masters.wrap(&key(1), KEK).unwrap();
    let opens = || assert_eq!(masters.unwrap("hsm_cs", &blob, KEK).unwrap(), key(1));
    let (context, slot) = by_hand();
    logged_in(&context, slot).logout().unwrap();
    opens();
    context.finalize().unwrap();
    opens();
    // A token that went: no other answer than that, and once it is back all is well.
    let (tokens, hidden) = (place.path("tokens"), place.path("hidden"));
    fs::rename(&tokens, &hidden).unwrap();
    let told = || {
        let fault = masters.unwrap("hsm_cs", &blob, KEK).unwrap_err();
        assert!(matches!(fault, CustodyFault::Master(_)), "{fault}");
        assert!(fault.to_string().starts_with(&format!("token {TOKEN} by ")), "{fault}");
    };
    told();
    told();
    fs::rename(&hidden, &tokens).unwrap();
    opens();
}

pub(crate) fn weak(place: &Place) {
    // Begins the module.
    Masters::create(&place.source(&["begin"])).unwrap();
    let (context, slot) = by_hand();
    let session = logged_in(&context, slot);
    let make = |label: &str, bytes: u64, extractable: bool| {
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(bytes.into()),
            Attribute::Label(label.into()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(!extractable),
            Attribute::Extractable(extractable),
        ];
        session.generate_key(&Mechanism::AesKeyGen, &template).unwrap();
    };
    make("open", 32, true);
    make("short", 16, false);
    make("twice", 32, false);
    make("twice", 32, false);
    for (label, words) in [
        ("open", "can be read out of the token"),
        ("short", "it has not 256 bits"),
        ("twice", "there are several of this label"),
    ] {
        let refused = refusal(&place.source(&[label]));
        assert!(
            refused.contains(&format!("key {label}: ")) && refused.contains(words),
            "{refused}"
        );
    }
}

pub(crate) fn at_once(place: &Place) {
    Masters::create(&place.source(&["cs"])).unwrap();
    let started: Vec<_> = (0..4).map(|_| place.process("rotate_once").spawn().unwrap()).collect();
    for mut process in started {
        assert!(process.wait().unwrap().success());
    }
    let masters = Masters::open(&place.source(&["cs"])).unwrap();
    let ids: Vec<String> = masters.ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["hsm_cs-5", "hsm_cs-4", "hsm_cs-3", "hsm_cs-2", "hsm_cs"]);
}

/// Again where another was at it.
pub(crate) fn rotate_once(place: &Place) {
    let mut masters = Masters::open(&place.source(&["cs"])).unwrap();
    while let Err(fault) = masters.rotate() {
        assert!(fault.to_string().contains("try again"), "{fault}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
