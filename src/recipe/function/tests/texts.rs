use super::{check, check_faults};

#[test]
fn text_is_changed() {
    check(&[
        ("{'ÄbC' | lower}", "äbc"),
        ("{'äBc' | upper}", "ÄBC"),
        // PHP: ucwords(strtolower("x-gcs-fOO bar"), "- ")
        ("{'x-gcs-fOO bar' | title}", "X-Gcs-Foo Bar"),
        ("{' \\t a b\\n' | trim}", "a b"),
        ("{'/a/b//' | trim('/')}", "a/b"),
        ("{'xay' | trim('a-z')}", ""),
        ("{' a ' | trim_start}", "a "),
        ("{'00120' | trim_start('0')}", "120"),
        ("{' a ' | trim_end}", " a"),
        ("{'1;2;;' | trim_end(';')}", "1;2"),
        ("{'a  b\\t\\n c ' | squeeze}", "a b c "),
        ("{'+49 (0)171-23' | only_chars('0-9')}", "49017123"),
        ("{'a-b_c' | only_chars('a-z-')}", "a-bc"),
        ("{'1,234.50' | remove('.,')}", "123450"),
        ("{'a/b/c' | replace('/', '::')}", "a::b::c"),
        ("{'abc' | replace('', 'x')}", "abc"),
        ("{'abc' | replace('b', @jefe)}", "aJefec"),
        ("{'7' | pad_left(3, '0')}", "007"),
        ("{'1234' | pad_left(3, '0')}", "1234"),
        ("{'é' | pad_right(3, '.')}", "é.."),
        ("{'MD5' | map('MD5', 'md5', 'HMAC-SHA256', 'hmac-sha256')}", "md5"),
        ("{'b' | map('a', '1', 'b', '2')}", "2"),
        ("{'true,x' | split(',') | recode('true', '1', 'false', '')}", "1|x"),
        ("{form:none | default('x')}", "x"),
        ("{form:c | default('x')}", ""),
        ("{form:b | default('x')}", "2"),
        ("{'x' | map('a', '1') | default(@jefe)}", "Jefe"),
        ("{form:none | if_empty('x')}", "x"),
        ("{form:c | if_empty('x')}", "x"),
        ("{form:b | if_empty('x')}", "2"),
        ("{query:q | wrap('id:', ';')}", "id:1;"),
        ("{query:none | wrap('id:', ';')}", ""),
        ("{'a' | prepend('AWS4')}", "AWS4a"),
        ("{'a' | append(@jefe)}", "aJefe"),
        ("{'a,b' | split(',') | append('c')}", "ac|bc"),
        ("{'a,b' | split(',') | prepend('c')}", "ca|cb"),
        ("{'61' | unhex | append('b')}", "6162"),
        ("{'é' | length}", "2"),
        ("{body | length}", "31"),
        ("{body | text | take(3)}", "b=2"),
    ]);
    check_faults(&[
        ("{'c' | map('a', '1', 'b', '2')}", "absent"),
        ("{'x' | pad_left(5000, '0')}", "too long"),
        ("{'x' | pad_left(-1, '0')}", "malformed"),
        ("{'x' | pad_left(3, '')}", "malformed"),
        ("{'ff' | unhex | text}", "no text"),
        ("{form:none | lower}", "absent"),
    ]);
}

#[test]
fn functions_on_one_text_go_over_many() {
    check(&[
        ("{'A,B' | split(',') | lower}", "a|b"),
        ("{params.query | wrap('<', '>')}", "q=<1>|r=<2>|q=<3>"),
    ]);
}

#[test]
fn numbers_are_exact() {
    check(&[
        ("{'12.3' | fixed(2)}", "12.30"),
        ("{'12' | fixed(2)}", "12.00"),
        ("{'12.3000' | fixed(2)}", "12.30"),
        ("{'007.50' | fixed(1)}", "7.5"),
        ("{'12345678901234567890.1' | fixed(2)}", "12345678901234567890.10"),
        ("{'12.34' | shift(2)}", "1234"),
        ("{'12.3' | shift(2)}", "1230"),
        ("{'12.345' | shift(2)}", "1234.5"),
        ("{'1234' | shift(-2)}", "12.34"),
        ("{'5' | shift(-2)}", "0.05"),
        ("{'-1.5' | shift(1)}", "-15"),
        ("{'12.30' | trim_zeros}", "12.3"),
        ("{'12.00' | trim_zeros}", "12"),
        ("{'100' | trim_zeros}", "100"),
        ("{'0000000a' | unhex | decimal}", "10"),
        ("{'' | decimal}", "0"),
        ("{'ffffffffffffffff' | unhex | decimal}", "18446744073709551615"),
    ]);
    check_faults(&[
        ("{'12.345' | fixed(2)}", "malformed"),
        ("{'-0.5' | fixed(0)}", "malformed"),
        ("{'1e3' | fixed(2)}", "malformed"),
        ("{'1.' | fixed(2)}", "malformed"),
        ("{'.5' | fixed(2)}", "malformed"),
        ("{'+1' | fixed(2)}", "malformed"),
        ("{'' | fixed(2)}", "malformed"),
        ("{'1' | fixed(65)}", "too long"),
        ("{'1' | shift(65)}", "too long"),
        ("{'000000000000000000' | unhex | decimal}", "too long"),
    ]);
}

#[test]
fn parts_are_cut_out() {
    check(&[
        ("{'k=v=w' | after('=')}", "v=w"),
        ("{'k=v=w' | before('=')}", "k"),
        ("{'k=v=w' | after_last('=')}", "w"),
        ("{'k=v=w' | before_last('=')}", "k=v"),
        ("{'a[b]c]' | between('[', ']')}", "b"),
        ("{'sha256=ab' | strip('sha256=')}", "ab"),
        ("{'ab\\n' | strip_end('\\n')}", "ab"),
        ("{'a,,b' | split(',')}", "a||b"),
        ("{'' | split(',')}", ""),
        ("{'abc' | split('')}", "abc"),
        ("{'a\\r\\nb\\n\\nc\\n' | lines}", "a|b||c"),
        ("{'a,b,c' | split(',') | nth(1)}", "b"),
        ("{'a,b,c' | split(',') | nth(-1)}", "c"),
        ("{'a,b,c' | split(',') | first}", "a"),
        ("{'a,b,c' | split(',') | last}", "c"),
        ("{'äbcdef' | take(2)}", "äb"),
        ("{'abcdef' | take(-2)}", "ef"),
        ("{'ab' | take(5)}", "ab"),
        ("{doc | get('z.y.0') | take(2)}", "1."),
        ("{doc.z.y.0 | take(2)}", "1."),
        ("{'ab' | take(-5)}", "ab"),
        ("{'a,b,c' | split(',') | take(2)}", "a|b"),
        ("{params.query | take(-1)}", "q=3"),
        ("{'äbcdef' | skip(2)}", "cdef"),
        ("{'abcdef' | skip(-2)}", "abcd"),
        ("{'ab' | skip(5)}", ""),
        ("{params.query | skip(2)}", "q=3"),
    ]);
    check_faults(&[
        ("{'kv' | after('=')}", "absent"),
        ("{'kv' | before('=')}", "absent"),
        ("{'kv' | after_last('=')}", "absent"),
        ("{'kv' | before_last('=')}", "absent"),
        ("{'a]b[' | between('[', ']')}", "absent"),
        ("{'xsha256=ab' | strip('sha256=')}", "absent"),
        ("{'ab' | strip_end('\\n')}", "absent"),
        ("{'a' | split(',') | nth(1)}", "absent"),
        ("{'a' | split(',') | nth(-2)}", "absent"),
    ]);
}

#[test]
fn parts_are_found() {
    check(&[
        ("{'t=12,v1=ab' | re('v1=([0-9a-f]+)')}", "ab"),
        ("{'t=12,v1=ab' | re('[0-9]+')}", "12"),
        ("{'t=12,v1=ab' | re('t=([0-9]+),(v1)', 2)}", "v1"),
        ("{'t=12' | re('t=([0-9]+)', 0)}", "t=12"),
        ("{'whsec_ab' | without_prefix('whsec_')}", "ab"),
        ("{'ab' | without_prefix('whsec_')}", "ab"),
        ("{'ab=' | without_suffix('=')}", "ab"),
        ("{'a:b:c' | field(':', 1)}", "b"),
        ("{'a:b:c' | field(':', -1)}", "c"),
        ("{'a:b:c' | field(':', -3)}", "a"),
        ("{'t=1, v1=a=b ,,flag' | pairs}", "t=1|v1=a=b|flag="),
        ("{'a:1;b:2' | pairs(';', ':')}", "a=1|b=2"),
        ("{'t=1, t=2' | pairs | get('t')}", "1"),
        ("{'v1,ab v2,cd v1,ef v1' | pairs(' ', ',') | keep('v1') | values}", "ab|ef|"),
        ("{'00010203' | unhex | bytes(1, 3)}", "0102"),
        ("{'00010203' | unhex | bytes(2)}", "0203"),
        ("{'00010203' | unhex | bytes(-2)}", "0203"),
        ("{'00010203' | unhex | bytes(0, -1)}", "000102"),
        ("{'abc' | bytes(0, 0)}", ""),
        ("{'00010203' | unhex | first_bytes(3)}", "000102"),
        ("{body | first_bytes(7)}", "623d3226613d31"),
        ("{'a=1&signature=x&b=%20&sig%6eature=y' | without_param('signature')}", "a=1&b=%20"),
        ("{query | without_param('q')}", "r=2"),
    ]);
    check_faults(&[
        ("{'t=12' | re('v1=(.*)')}", "absent"),
        ("{'t=12' | re('t', 3)}", "absent"),
        ("{'a:b' | field(':', 2)}", "absent"),
        ("{'a:b' | field(':', -3)}", "absent"),
        ("{'abc' | bytes(0, 4)}", "absent"),
        ("{'abc' | bytes(2, 1)}", "absent"),
        ("{'abc' | bytes(-4)}", "absent"),
    ]);
}

#[test]
fn authorization_headers_come_apart() {
    check(&[
        (
            "{'AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=a;b,Signature=0f' | auth_params}",
            "Credential=A/b|SignedHeaders=a;b|Signature=0f",
        ),
        (
            "{'OAuth realm=\"a, b=\\\\\"c\", oauth_nonce=\"n%2F\"' | auth_params}",
            "realm=a, b=\"c|oauth_nonce=n%2F",
        ),
        ("{'HMAC k = v , w=ab==' | auth_params}", "k=v|w=ab=="),
        ("{'k=\"v\"' | auth_params | get('k')}", "v"),
        ("{'Bearer' | auth_params}", ""),
    ]);
    check_faults(&[
        ("{'A k=\"v' | auth_params}", "malformed"),
        ("{'A k=\"v\"x' | auth_params}", "malformed"),
        ("{'A k=v\"' | auth_params}", "malformed"),
        ("{'A novalue' | auth_params}", "malformed"),
        ("{'A k=1, K=2' | auth_params}", "repeated"),
    ]);
}

/// PHP 8.2 (urlencode, rawurlencode, htmlspecialchars, json_encode), Node (encodeURIComponent,
/// URLSearchParams), Python 3 (urllib.parse.quote and quote_plus with `safe=""`, base64) and Java
/// (URLEncoder) of the same text; .NET's HttpUtility.UrlEncode as it is documented.
#[test]
fn encodings_are_those_of_other_implementations() {
    let text = "{'a b+c/~*-._!@é\\'()&=' | urlencode";
    let cases = [
        ("}", "a%20b%2Bc%2F~%2A-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('rfc3986')}", "a%20b%2Bc%2F~%2A-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('path')}", "a%20b%2Bc/~%2A-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('form')}", "a+b%2Bc%2F%7E*-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('php')}", "a+b%2Bc%2F%7E%2A-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('python')}", "a+b%2Bc%2F~%2A-._%21%40%C3%A9%27%28%29%26%3D"),
        ("('js')}", "a%20b%2Bc%2F~*-._!%40%C3%A9'()%26%3D"),
        ("('dotnet')}", "a+b%2bc%2f%7e*-._!%40%c3%a9%27()%26%3d"),
    ];
    for (style, expected) in cases {
        check(&[(&format!("{text}{style}"), expected)]);
    }
    check(&[
        ("{'a%20b+c%C3%A9%zz' | urldecode}", "a b+cé%zz"),
        ("{'a%20b+c' | urldecode('form')}", "a b c"),
        ("{'Añ' | hex}", "41c3b1"),
        ("{'41C3b1' | unhex}", "41c3b1"),
        ("{'fbfffe3f' | unhex | base64}", "+//+Pw=="),
        ("{'fbfffe3f' | unhex | base64('unpadded')}", "+//+Pw"),
        ("{'fbfffe3f' | unhex | base64url}", "-__-Pw"),
        ("{'fbfffe3f' | unhex | base64url('padded')}", "-__-Pw=="),
        ("{'+//+Pw==' | base64_decode}", "fbfffe3f"),
        ("{'+//+Pw' | base64_decode('unpadded')}", "fbfffe3f"),
        ("{'-__-Pw' | base64url_decode}", "fbfffe3f"),
        ("{'-__-Pw==' | base64url_decode('padded')}", "fbfffe3f"),
        ("{'a/\"é\\n' | json_string}", "\"a/\\\"é\\n\""),
        ("{'a/\"é\\n' | json_string('php')}", "\"a\\/\\\"\\u00e9\\n\""),
        ("{'aé😀\"' | ascii_escape}", "a\\u00e9\\ud83d\\ude00\""),
        (
            "{'<a href=\"x\">&\\'</a>' | html_escape}",
            "&lt;a href=&quot;x&quot;&gt;&amp;&#039;&lt;/a&gt;",
        ),
        // Python: "Ab€😀".encode("utf-16le").hex()
        ("{'Ab€😀' | utf16le}", "41006200ac203dd800de"),
    ]);
    check_faults(&[
        ("{'%ff' | urldecode}", "no text"),
        ("{'abc' | unhex}", "malformed"),
        ("{'0g' | unhex}", "malformed"),
        ("{'+//+Pw' | base64_decode}", "malformed"),
        ("{'+//+Pw==' | base64_decode('unpadded')}", "malformed"),
        ("{'+//+Px==' | base64_decode}", "malformed"),
        ("{'-__-Pw==' | base64_decode}", "malformed"),
        ("{'+//+ Pw==' | base64_decode}", "malformed"),
        ("{'+//+Pw' | base64url_decode}", "malformed"),
        ("{'-__-Pw==' | base64url_decode}", "malformed"),
    ]);
}

/// Python: `datetime.fromtimestamp(1709210096, UTC).strftime(…)`; PHP for Asia/Kolkata.
#[test]
fn times_are_written() {
    check(&[
        ("{'1709210096' | date('%Y-%m-%dT%H:%M:%SZ %y %j')}", "2024-02-29T12:34:56Z 24 060"),
        ("{'1709210096789' | date('%Y%m%d %S.%f %s', 'ms')}", "20240229 56.789 1709210096"),
        ("{'1709210096' | date('%Y-%m-%d %H:%M:%S', 's', 330)}", "2024-02-29 18:04:56"),
        ("{'0' | date('100%%')}", "100%"),
    ]);
    check_faults(&[
        ("{'-1' | date('%Y')}", "malformed"),
        ("{'1.5' | date('%Y')}", "malformed"),
        ("{'999999999999999' | date('%Y')}", "malformed"),
        ("{'1' | date('%Q')}", "malformed"),
        ("{'1' | date('%Y', 's', 99999)}", "malformed"),
    ]);
}
