//! Schemes that join fields with nothing between: characters that move across a border leave the
//! digest as it was, and the shape refuses them.

use super::providers::case_of;
use crate::recipe::form::parse;
use crate::scheme::Vector;

/// What a row of fields becomes when some characters move across one border.
fn moves(values: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut all = Vec::new();
    for at in 0..values.len() - 1 {
        let (left, right) = (&values[at], &values[at + 1]);
        for count in 1..=left.len().min(4) {
            let mut moved = values.to_vec();
            let (stays, goes) = left.split_at(left.len() - count);
            moved[at] = stays.to_owned();
            moved[at + 1] = format!("{goes}{right}");
            all.push((at, moved));
        }
        for count in 1..=right.len().min(4) {
            let mut moved = values.to_vec();
            let (goes, stays) = right.split_at(count);
            moved[at] = format!("{left}{goes}");
            moved[at + 1] = stays.to_owned();
            all.push((at, moved));
        }
    }
    all
}

/// The form with other values for some fields.
fn with_form(message: &Vector, names: &[&str], values: &[String]) -> Vector {
    let pairs = parse(message.body.as_bytes()).unwrap();
    let encode = |text: &str| text.replace(' ', "+").replace(':', "%3A").replace('=', "%3D");
    let pairs = pairs.iter().map(|(name, value)| {
        let place = names.iter().position(|own| own == name);
        format!("{name}={}", encode(place.map_or(value, |place| &values[place])))
    });
    Vector { body: pairs.collect::<Vec<_>>().join("&"), ..message.clone() }
}

fn form_values(message: &Vector, names: &[&str]) -> Vec<String> {
    let pairs = parse(message.body.as_bytes()).unwrap();
    let value = |name: &&str| pairs.iter().find(|(own, _)| own == name).unwrap().1.to_string();
    names.iter().map(value).collect()
}

/// Moves characters across each border; only what moved at `open` borders is read. A field that is
/// signed in two places cannot move at all.
fn check(name: &str, fields: &[&str], open: &[usize]) {
    let case = case_of(name);
    let mut refused = 0;
    for (at, values) in moves(&form_values(&case.message, fields)) {
        let moved = with_form(&case.message, fields, &values);
        if !case.bed.verifies(&moved) {
            continue;
        }
        match case.bed.read(&moved) {
            Err(_) => refused += 1,
            Ok(_) => assert!(open.contains(&at), "{name}: {}", moved.body),
        }
    }
    assert!(refused > 0);
}

#[test]
fn characters_that_move_in_fiuus_digest_are_refused() {
    // Whether a digit ends the transaction or begins the order only Fiuu knows, and is asked.
    check("fiuu", &["tranID", "orderid", "status", "domain", "amount", "currency"], &[0]);
    check(
        "fiuu-refund",
        &["RefundType", "MerchantID", "RefID", "RefundID", "TxnID", "Amount", "Status"],
        &[2, 3, 4],
    );
}

#[test]
fn characters_that_move_in_other_digests_of_forms_are_refused() {
    check("duitku", &["merchantCode", "amount", "merchantOrderId"], &[1]);
    let payhere = ["merchant_id", "order_id", "payhere_amount", "payhere_currency", "status_code"];
    check("payhere", &payhere, &[1]);
    check("ipay88", &["MerchantCode", "PaymentId", "RefNo"], &[1]);
}

#[test]
fn characters_that_move_in_midtrans_digest_are_refused() {
    let case = case_of("midtrans");
    let names = ["order_id", "status_code", "gross_amount"];
    let values = ["Postpaid-1", "200", "100000.00"].map(str::to_owned);
    for (_, moved) in moves(&values) {
        let body = (0..3).fold(case.message.body.clone(), |body, at| {
            let member = |value: &str| format!("\"{}\":\"{value}\"", names[at]);
            body.replace(&member(&values[at]), &member(&moved[at]))
        });
        let message = Vector { body, ..case.message.clone() };
        assert!(case.bed.verifies(&message), "{}", message.body);
        assert!(case.bed.read(&message).is_err(), "{}", message.body);
    }
}

#[test]
fn digits_that_move_between_body_and_time_are_refused() {
    for (name, header, time_first) in
        [("kwikpaisa", "X-TIMESTAMP", false), ("cashfree", "x-webhook-timestamp", true)]
    {
        let case = case_of(name);
        let place = case.message.headers.iter().position(|(name, _)| name == header).unwrap();
        let time = case.message.headers[place].1.clone();
        for count in 1..time.len() {
            let mut message = case.message.clone();
            let (digits, rest) = match time_first {
                true => {
                    let (rest, digits) = time.split_at(time.len() - count);
                    (digits, rest)
                }
                false => time.split_at(count),
            };
            message.headers[place].1 = rest.to_owned();
            message.body = match time_first {
                true => format!("{digits}{}", message.body),
                false => format!("{}{digits}", message.body),
            };
            assert!(!case.bed.verifies(&message), "{name}: a time of {} digits", rest.len());
            // With a time of the right length the body is no JSON any more.
            message.headers[place].1.clone_from(&time);
            assert!(case.bed.read(&message).is_err(), "{name}");
        }
    }
}
