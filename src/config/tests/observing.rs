//! What configuration says of routes that only watch.

use super::*;
use crate::clock::Clock;
use crate::config::Weight;

/// A day so many days from now.
fn day(ahead: i64) -> String {
    let now = i64::try_from(Clock::system().now().secs()).unwrap();
    let day = time::OffsetDateTime::from_unix_timestamp(now + ahead * 24 * 3600).unwrap();
    day.date().to_string()
}

fn with(route: &str) -> Folder {
    Folder::with(&format!("{MAIN}{route}\n"), MERCHANTS)
}

#[test]
fn it_ends_with_its_last_day() {
    for until in [format!("\"{}\"", day(90)), day(90), format!("\"{}T23:59:59Z\"", day(88))] {
        let folder = with(&format!("observe = {{ until = {until}, merchants = [\"acme\"] }}"));
        let (config, notes) = folder.load().unwrap_or_else(|faults| panic!("{faults}"));
        let observe = config.routes[0].observe.as_ref().unwrap();
        assert_eq!(observe.until.secs() % 86_400, 86_399);
        assert_eq!(*observe.merchants, ["acme".into()]);
        let note = notes.iter().find(|note| note.key == "routes.orders.observe").unwrap();
        assert_eq!(note.weight, Weight::Warning);
        assert!(note.text.contains("refused requests that name acme are forwarded"), "{note}");
    }
    let (config, notes) = with("observe = { until = \"2020-01-01\" }").load().unwrap();
    assert!(config.routes[0].observe.is_some(), "a start after its end must not fail");
    assert!(notes.iter().any(|note| note.text.contains("this is over and the route enforces")));
    let (config, notes) = Folder::new().load().unwrap();
    assert!(config.routes[0].observe.is_none(), "never by default");
    assert!(notes.iter().all(|note| !note.key.contains("observe")));
}

#[test]
fn mistakes_are_told() {
    let soon = day(1);
    for (route, words) in [
        (format!("observe = {{ until = \"{}\" }}", day(91)), "at most 90 days ahead"),
        ("observe = { until = \"9999-01-01\" }".to_owned(), "must end soon"),
        ("observe = { until = \"tomorrow\" }".to_owned(), "at most 90 days ahead"),
        ("observe = { until = 30 }".to_owned(), "at most 90 days ahead"),
        ("observe = {}".to_owned(), "the key `until` is missing"),
        ("observe = true".to_owned(), "expected a table"),
        (format!("observe = {{ until = \"{soon}\", merchants = [] }}"), "nobody is named"),
        (format!("observe = {{ until = \"{soon}\", merchant = [] }}"), "did you mean `merchants`?"),
        (
            format!("envelope = \"paykun\"\nobserve = {{ until = \"{soon}\" }}"),
            "a body is not opened",
        ),
        (format!("rolling = \"strict\"\nobserve = {{ until = \"{soon}\" }}"), "is not opened"),
        (format!("remember = true\nobserve = {{ until = \"{soon}\" }}"), "is not remembered"),
        (
            format!("unique_order = {{ field = \"/a\" }}\nobserve = {{ until = \"{soon}\" }}"),
            "an order is not taken",
        ),
        (
            format!(
                "scheme = \"countersign-v1\"\nsign_answers = true\nobserve = {{ until = \
                 \"{soon}\" }}"
            ),
            "no answer can be signed",
        ),
    ] {
        let text = with(&route).faults().to_string();
        assert!(text.contains(words), "{route}: {words:?} is not in\n{text}");
    }
}
