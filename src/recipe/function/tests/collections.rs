use super::{check, check_faults};

#[test]
fn pairs_are_chosen() {
    check(&[
        ("{params.form}", "b=2|a=1|c=|a=3|B=x y|sign=s/s"),
        ("{params.form | drop('sign', 'a')}", "b=2|c=|B=x y"),
        ("{params.form | keep('sign', 'a')}", "a=1|a=3|sign=s/s"),
        ("{params.form | pick('sign', 'a', 'none')}", "sign=s/s|a=1|a=3"),
        ("{params.headers | prefix('x-o')}", "x-one=1"),
        ("{params.form | drop_empty | keep('b', 'c')}", "b=2"),
        ("{'a,,b' | split(',') | drop_empty}", "a|b"),
        ("{' a = ; b=1' | pairs(';', '=') | drop_empty}", "b=1"),
        ("{'a=%20&b=1' | form | drop_blank}", "b=1"),
        ("{params.form | first_of_name}", "b=2|a=1|c=|B=x y|sign=s/s"),
        ("{'a=1&a=1&a=2' | form | unique}", "a=1|a=2"),
        ("{'x,y,x' | split(',') | unique}", "x|y"),
        ("{params.query | add('z', @jefe)}", "q=1|r=2|q=3|z=Jefe"),
        ("{params.query | plus(@fields) | take(4)}", "q=1|r=2|q=3|b=2"),
        ("{params.query | plus(@doc) | skip(3)}", "z={\"y\":[1.50,\"q\"]}|a=true|n="),
        ("{params.query | upper_names}", "Q=1|R=2|Q=3"),
        ("{params.form | lower_names | keep('b')}", "b=2|b=x y"),
        ("{'a,b' | split(',') | plus('c')}", "a|b|c"),
        ("{'a,b' | split(',') | plus(@names)}", "a|b|c|a"),
        ("{'a b=c d&e=%2B' | form | enc}", "a%20b=c%20d|e=%2B"),
        ("{'a b=c d' | form | enc('form')}", "a+b=c+d"),
    ]);
}

#[test]
fn members_are_chosen_and_stay_json() {
    let json = |rest: &str| {
        let text = r#"{"b":1.0,"n":null,"o":{"z":1,"a":2},"a":"","c":[]}"#;
        format!("{{'{text}' | json | {rest}}}")
    };
    for (functions, expected) in [
        ("drop('o', 'c')", r#"{"b":1.0,"n":null,"a":""}"#),
        ("keep('o', 'b')", r#"{"b":1.0,"o":{"z":1,"a":2}}"#),
        ("pick('o', 'b', 'x')", r#"{"o":{"z":1,"a":2},"b":1.0}"#),
        ("prefix('a')", r#"{"a":""}"#),
        ("drop_empty", r#"{"b":1.0,"o":{"z":1,"a":2},"c":[]}"#),
        ("drop_nested", r#"{"b":1.0,"n":null,"a":""}"#),
        ("drop_nested | add('crc', @jefe)", r#"{"b":1.0,"n":null,"a":"","crc":"Jefe"}"#),
        ("pick('b') | add('d', @doc)", r#"{"b":1.0,"d":{"z":{"y":[1.50,"q"]},"a":true,"n":null}}"#),
        ("pick('b') | plus(@doc)", r#"{"b":1.0,"z":{"y":[1.50,"q"]},"a":true,"n":null}"#),
        ("pick('b') | upper_names", r#"{"B":1.0}"#),
        ("sort", r#"{"a":"","b":1.0,"c":[],"n":null,"o":{"z":1,"a":2}}"#),
        ("sort('name')", r#"{"a":"","b":1.0,"c":[],"n":null,"o":{"z":1,"a":2}}"#),
        ("sort('deep')", r#"{"a":"","b":1.0,"c":[],"n":null,"o":{"a":2,"z":1}}"#),
    ] {
        check(&[(&json(functions), expected)]);
    }
    check_faults(&[
        (&json("add('b', '2')"), "repeated"),
        ("{'{\"a\":1}' | json | plus(@doc)}", "repeated"),
        ("{'{\"a\":1,\"A\":2}' | json | lower_names}", "repeated"),
        ("{'[1]' | json | drop('a')}", "malformed"),
    ]);
}

#[test]
fn things_are_put_in_order() {
    check(&[
        ("{params.form | sort}", "B=x y|a=1|a=3|b=2|c=|sign=s/s"),
        ("{'b=2&a=2&a=1' | form | sort('name')}", "a=2|a=1|b=2"),
        ("{'b=2&B=1&a=3' | form | sort('ci')}", "a=3|B=1|b=2"),
        ("{'b=2&B=1&a=3' | form | sort('ci', 'name')}", "a=3|b=2|B=1"),
        ("{'é,b,Z,a' | split(',') | sort}", "Z|a|b|é"),
        ("{'x_1,X,xa' | split(',') | sort('ci')}", "X|x_1|xa"),
        ("{'aé' | reverse}", "éa"),
        ("{'a,b' | split(',') | reverse}", "b|a"),
        ("{params.query | reverse}", "q=3|r=2|q=1"),
    ]);
}

#[test]
fn pairs_become_lists_and_texts() {
    check(&[
        ("{params.query | items('{k}={v}') | join('&')}", "q=1&r=2&q=3"),
        ("{params.query | items('{v}{k};{secret}') | first}", "1q;secret"),
        ("{'a,b' | split(',') | items('<{v}>')}", "<a>|<b>"),
        ("{params.query | names}", "q|r|q"),
        ("{params.query | values | join}", "123"),
        ("{'a,b' | split(',') | join(@jefe)}", "aJefeb"),
        ("{'' | split(',') | join('-')}", ""),
        ("{params.query | count}", "3"),
        ("{'a,b' | split(',') | count}", "2"),
        ("{'a,b' | split(',') | lookup(@fields)}", "a=1|b=2"),
        ("{'z.y.0,a,n' | split(',') | lookup(@doc) | values}", "1.50|true|"),
        ("{'X-One' | split(';') | as_headers}", "X-One=1"),
        ("{'sign,c' | split(',') | as_form}", "sign=s/s|c="),
        ("{'r,q' | split(',') | as_query}", "r=2|q=1"),
    ]);
    check_faults(&[
        ("{'none' | split(',') | lookup(@fields)}", "absent"),
        ("{'z.x' | split(',') | lookup(@doc)}", "absent"),
        ("{'z..x' | split(',') | lookup(@doc)}", "malformed"),
        ("{'x-two' | split(';') | as_headers}", "repeated"),
        ("{'x-none' | split(';') | as_headers}", "absent"),
    ]);
}

#[test]
fn json_forms_and_xml_are_read_and_written() {
    check(&[
        (
            "{'{\"z\":{\"y\":[1.50,\"q\"]},\"a\":true,\"n\":null}' | json}",
            r#"{"z":{"y":[1.50,"q"]},"a":true,"n":null}"#,
        ),
        ("{doc | get('z.y.0') | text}", "1.50"),
        (r#"{'{"in":"[1,{\\"a\\":2}]"}' | json | get('in') | json | get('1.a')}"#, "2"),
        ("{doc | get('z')}", r#"{"y":[1.50,"q"]}"#),
        ("{params.form | get('a')}", "1"),
        ("{'data.id=7' | form | get('data.id')}", "7"),
        ("{'a=1+2&b' | form}", "a=1 2|b="),
        ("{'<x><a>1</a><b><c>2</c></b></x>' | xml}", "a=1|b/c=2"),
        ("{doc | dump}", r#"{"z":{"y":[1.50,"q"]},"a":true,"n":null}"#),
        ("{doc | dump('python')}", r#"{"z": {"y": [1.50, "q"]}, "a": true, "n": null}"#),
        ("{params.query | first_of_name | dump}", r#"{"q":"1","r":"2"}"#),
        ("{'{\"u\":\"/é\"}' | json | dump('php')}", "{\"u\":\"\\/\\u00e9\"}"),
        ("{'{\"u\":\"/é\"}' | json | dump('slashes', 'spaced')}", "{\"u\": \"\\/é\"}"),
        ("{doc | canon}", r#"{"a":true,"n":null,"z":{"y":[1.50,"q"]}}"#),
        ("{params.query | first_of_name | canon}", r#"{"q":"1","r":"2"}"#),
        ("{'b,a' | split(',') | json | dump}", r#"["b","a"]"#),
        ("{doc | leaves}", "1.50|\"q\"|true|null"),
        ("{doc | flat('[', ']')}", "z[y][0]=1.50|z[y][1]=q|a=true|n="),
        ("{doc | flat(':')}", "z:y:0=1.50|z:y:1=q|a=true|n="),
    ]);
    check_faults(&[
        ("{'{' | json}", "malformed"),
        ("{'{\"a\":1,\"a\":1}' | json}", "repeated"),
        ("{'a=%ff' | form}", "no text"),
        ("{'<!DOCTYPE x><x/>' | xml}", "malformed"),
        ("{doc | get('x')}", "absent"),
        ("{params.form | get('x')}", "absent"),
        ("{params.query | dump}", "repeated"),
    ]);
}
