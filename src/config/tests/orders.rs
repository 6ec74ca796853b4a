//! What configuration says of orders and of requests that are remembered.

use std::time::Duration;

use super::*;

fn with(route: &str) -> Folder {
    Folder::with(&format!("{MAIN}{route}"), MERCHANTS)
}

#[test]
fn an_order_has_a_field_and_defaults_for_the_rest() {
    let (config, _) = with("unique_order = { field = \"/order_id\" }\n").load().unwrap();
    let route = &config.routes[0];
    let unique = route.unique_order.as_ref().unwrap();
    assert_eq!(*unique.field, [Box::from("order_id")]);
    assert_eq!((unique.place, &*unique.group), ("json:/order_id", "orders"));
    assert_eq!(unique.period, Duration::from_secs(86_400));
    let release: Vec<u16> = unique.release.iter().map(|status| status.as_u16()).collect();
    assert_eq!(release, [400, 404, 422]);
    assert!(route.needs_ledger() && !route.remember);
    let all = "unique_order = { field = \"/a~1b/0/~0c\", period = \"7d\", release = [], \
               group = \"pay\" }\n";
    let (config, _) = with(all).load().unwrap();
    let unique = config.routes[0].unique_order.as_ref().unwrap();
    assert_eq!(*unique.field, ["a/b", "0", "~c"].map(Box::from));
    assert_eq!((&*unique.group, unique.release.len()), ("pay", 0));
    assert_eq!(unique.period, Duration::from_secs(7 * 86_400));
    assert!(!Folder::new().load().unwrap().0.routes[0].needs_ledger());
}

#[test]
fn every_mistake_is_told_with_what_was_meant() {
    for (route, words) in [
        ("unique_order = \"/order_id\"", "expected a table"),
        ("unique_order = {}", "the key `field` is missing"),
        ("unique_order = { field = \"order_id\" }", "\"/order_id\""),
        ("unique_order = { field = \"order.id\" }", "\"/order/id\""),
        ("unique_order = { field = \"\" }", "expected a JSON pointer"),
        ("unique_order = { field = \"/a~2\" }", "a tilde is written ~0"),
        ("unique_order = { field = 7 }", "expected a JSON pointer"),
        ("unique_order = { field = \"/a\", period = \"59s\" }", "from 1m to 366d"),
        ("unique_order = { field = \"/a\", period = \"367d\" }", "from 1m to 366d"),
        ("unique_order = { field = \"/a\", period = \"60500ms\" }", "in whole seconds"),
        ("unique_order = { field = \"/a\", period = \"0s\" }", "zero does not mean unlimited"),
        ("unique_order = { field = \"/a\", period = 24 }", "from 1m to 366d"),
        ("unique_order = { field = \"/a\", release = [200] }", "from 400 to 599"),
        ("unique_order = { field = \"/a\", release = 400 }", "expected an array"),
        ("unique_order = { field = \"/a\", group = \"a b\" }", "expected a name"),
        ("unique_order = { feild = \"/a\" }", "did you mean `field`?"),
        ("remember = \"yes\"", "expected true or false"),
        ("[ledger]\norders = 0", "zero does not mean unlimited"),
        ("[ledger]\nremembered = \"many\"", "expected a whole number"),
    ] {
        let text = with(&format!("{route}\n")).faults().to_string();
        assert!(text.contains(words), "{route}: {words:?} is not in\n{text}");
    }
}

#[test]
fn what_it_leaves_open_is_told() {
    let notes = |route: &str| {
        let (_, notes) = with(route).load().unwrap_or_else(|faults| panic!("{faults}"));
        notes.iter().map(|note| format!("{}: {}\n", note.key, note.text)).collect::<String>()
    };
    let field = "unique_order = { field = \"/a\"";
    let reads = "routes.orders.unique_order: requests without a body";
    assert!(notes(&format!("{field} }}\n")).contains(reads));
    assert!(notes(&format!("methods = [\"POST\", \"GET\"]\n{field} }}\n")).contains(reads));
    let post = notes(&format!("methods = [\"POST\"]\n{field}, release = [400, 502] }}\n"));
    assert!(!post.contains(reads), "{post}");
    assert!(post.contains("after 502 the order may come again"), "{post}");
    assert!(!post.contains("after 400"), "{post}");
    assert!(
        notes("remember = true\n").contains("kwikpaisa signs its time, so nothing passes twice")
    );
    let github = notes("scheme = \"github\"\ncredential = \"pk_acme\"\nremember = true\n");
    assert!(github.contains("github signs no time: each signature passes once"), "{github}");
    assert!(!github.contains("a GET or HEAD of every target"), "{github}");
}

#[test]
fn a_scheme_without_time_loads_where_requests_are_remembered() {
    let route = "scheme = \"github\"\ncredential = \"pk_acme\"\n";
    let text = with(route).faults().to_string();
    assert!(text.contains("github signs no time") && text.contains("remember = true"), "{text}");
    let text = with(&format!("{route}remember = false\n")).faults().to_string();
    assert!(text.contains("github signs no time"), "{text}");
    // An order that is new for a day does not keep a message from coming after it.
    let unique = "unique_order = { field = \"/a\" }\n";
    let text = with(&format!("{route}{unique}")).faults().to_string();
    assert!(text.contains("github signs no time"), "{text}");
    assert!(with(&format!("{route}{unique}remember = true\n")).load().is_ok());
    // What proves nothing of a request is not mended by it.
    let token = with("scheme = \"gitlab\"\ncredential = \"pk_acme\"\nremember = true\n");
    let text = token.faults().to_string();
    assert!(text.contains("its strength is token"), "{text}");
}
