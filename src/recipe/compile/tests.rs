use super::*;

fn scope() -> Scope {
    let mut scope = Scope::new(Credentials::Only(vec!["token".into()]));
    scope.define("ts", Template::compile("{header:X-T}", &scope).unwrap()).unwrap();
    scope.define("box", Template::compile("{body | json}", &scope).unwrap()).unwrap();
    scope.define("all", Template::compile("{params.form}", &scope).unwrap()).unwrap();
    scope
}

fn kind(text: &str) -> Type {
    Template::compile(text, &scope()).unwrap_or_else(|all| panic!("{text}: {all:?}")).kind()
}

/// The mistakes of a template, each with the text at its place.
fn mistakes(text: &str) -> Vec<(String, String)> {
    let mistakes = Template::compile(text, &scope()).unwrap_err();
    mistakes.iter().map(|one| (text[one.span.clone()].to_owned(), one.to_string())).collect()
}

fn mistake(text: &str) -> (String, String) {
    let [one] = &mistakes(text)[..] else { panic!("{text}") };
    one.clone()
}

#[test]
fn types_follow_the_pipeline() {
    assert_eq!(kind(""), Type::Text);
    assert_eq!(kind("{header:a}{path}"), Type::Text);
    assert_eq!(kind("{header:a}{body}"), Type::Bytes);
    assert_eq!(kind("{body | sha256}"), Type::Bytes);
    assert_eq!(kind("{body | sha256 | hex}"), Type::Text);
    assert_eq!(kind("{params.form | lower}"), Type::Pairs);
    assert_eq!(kind("{params.form | items('{k}={v}')}"), Type::List);
    assert_eq!(kind("{json:a}"), Type::Json);
    assert_eq!(kind("{json:a}{json:b}"), Type::Text);
    assert_eq!(kind("{box.a}"), Type::Json);
    assert_eq!(kind("{all.a}"), Type::Text);
    assert_eq!(kind("{params.json | drop('sign') | items('{k}') | join}"), Type::Text);
}

#[test]
fn origins_go_through_names_and_arguments() {
    let template = "{ts | append(@token)}{params.form | items('{k}{secret}') | join}";
    let template = Template::compile(template, &scope()).unwrap();
    let origins: Vec<String> = template.origins().iter().map(Origin::to_string).collect();
    assert_eq!(origins, ["header:x-t", "params.form", "secret", "cred:token"]);
    let template =
        Template::compile("{params.form | items('{k}') | as_headers}", &scope()).unwrap();
    assert!(template.origins().contains(&Origin::Headers));
}

#[test]
fn misspelt_names_are_told_with_what_was_meant() {
    let told = |text| mistake(text).1;
    assert_eq!(mistake("a{bdy}").0, "bdy");
    assert_eq!(told("{bdy}"), "there is no source or name 'bdy'; did you mean 'body'?");
    assert_eq!(told("{tss}"), "there is no source or name 'tss'; did you mean 'ts'?");
    assert_eq!(told("{body | sha265}"), "there is no function 'sha265'; did you mean 'sha256'?");
    assert_eq!(told("{headr:a}"), "there is no source or name 'headr'; did you mean 'header'?");
    assert_eq!(told("{header}"), "'header' takes a name; write 'header:NAME'");
    assert_eq!(
        told("{path | append(@tokem)}"),
        "'tokem' is not defined before this; did you mean 'token'?"
    );
    assert!(told("{cred:tokem}").ends_with("did you mean 'token'?"));
    assert!(told("{path | append(@body)}").starts_with("'body' is a source"));
}

#[test]
fn arguments_are_checked() {
    assert_eq!(mistake("{path | after}"), ("after".into(), "'after' takes (text)".into()));
    assert_eq!(mistake("{path | after('a', 'b')}").0, "after('a', 'b')");
    assert_eq!(mistake("{path | after(3)}").0, "3");
    assert_eq!(mistake("{path | lower('a')}").1, "'lower' takes no arguments");
    assert_eq!(mistake("{path | map('a')}").0, "map('a')");
    assert!(mistake("{path | re('(')}").1.starts_with("no regular expression: unclosed group"));
    assert_eq!(mistake("{body | json | get('a..b')}").0, "'a..b'");
    let choice = mistake("{params.form | sort('cii')}");
    assert!(choice.1.ends_with("did you mean 'ci'?"), "{choice:?}");
}

#[test]
fn types_are_checked() {
    let told = |text| mistake(text).1;
    assert!(told("{params.form}{path}").contains("cannot stand within text"));
    assert!(told("{params.form | items('{k}') | sha256}").contains("over many"));
    assert!(told("{path | items('{k}')}").contains("here comes text"));
    assert!(told("{ts.a}").contains("has no members"));
    assert!(told("{path | append(@all)}").contains("one value, not pairs"));
    assert_eq!(kind("{params.query | plus(@all)}"), Type::Pairs);
}

#[test]
fn every_mistake_is_told_at_once() {
    let told = mistakes("}{bdy | lowr}{path | after(1) | sha265}{");
    let places: Vec<&str> = told.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["}", "bdy", "lowr", "1", "sha265", "{"]);
}

#[test]
fn patterns_hold_names_values_and_holes() {
    assert_eq!(kind("{all | items('{{{k}}}={v}{ts | lower}')}"), Type::List);
    assert_eq!(mistake("{all | items('{k}{tss}')}").0, "'{k}{tss}'");
    let nested = r"{all | items('{all | items(\'{v}\') | join}')}";
    assert!(mistake(nested).1.contains("cannot stand in another"));
}

#[test]
fn templates_and_pipelines_are_bounded() {
    let scope = Scope::default();
    assert!(Template::compile(&"a".repeat(TEMPLATE_BYTES_MAX + 1), &scope).is_err());
    let many = format!("{{path{}}}", " | lower".repeat(CALLS_MAX + 1));
    assert_eq!(mistake(&many).0, "lower");
    assert!(mistake("{path | re('(a{1000}){1000}')}").1.contains("regular expression"));
}
