<?php
// Seals and opens as PayKun's kits do, with PHP's own functions. Reads and prints JSON; texts are
// in base64, since they may hold any bytes.
//
//   php paykun.php seal    {"secret": …, "texts": […]}    → bodies
//   php paykun.php open    {"secret": …, "bodies": […]}   → texts
//   php paykun.php values  {"secret": …}                  → [{"body": …, "json": …}, …]
$input = json_decode(stream_get_contents(STDIN), true);
$secret = $input['secret'];

function seal($value, $secret) {
    $iv = random_bytes(16);
    $value = openssl_encrypt(serialize($value), 'AES-256-CBC', $secret, 0, $iv);
    $iv = base64_encode($iv);
    $mac = hash_hmac('sha256', $iv . $value, $secret);
    $json = json_encode(compact('iv', 'value', 'mac'));
    return http_build_query(['merchant_id' => '1', 'encrypted_request' => base64_encode($json)]);
}

function open($body, $secret) {
    parse_str($body, $form);
    $box = json_decode(base64_decode($form['encrypted_request'], true), true);
    $mac = hash_hmac('sha256', $box['iv'] . $box['value'], $secret);
    if (!hash_equals($mac, $box['mac'])) {
        throw new Exception('bad MAC');
    }
    $iv = base64_decode($box['iv'], true);
    $text = openssl_decrypt($box['value'], 'AES-256-CBC', $secret, 0, $iv);
    if ($text === false) {
        throw new Exception('does not open');
    }
    return unserialize($text, ['allowed_classes' => false]);
}

switch ($argv[1]) {
    case 'seal':
        $sealed = fn ($text) => seal(base64_decode($text, true), $secret);
        echo json_encode(array_map($sealed, $input['texts']));
        break;
    case 'open':
        $opened = fn ($body) => base64_encode(open($body, $secret));
        echo json_encode(array_map($opened, $input['bodies']));
        break;
    case 'values':
        $deep = 'end';
        for ($n = 0; $n < 20; $n++) {
            $deep = ['d' => $deep];
        }
        $values = [
            null, true, false, 0, -1, PHP_INT_MAX, PHP_INT_MIN, 0.5, -2.25, 1e25, 1.0, 3.0e-7,
            [], [1, 2, 3], ['a', 'b' => 'c'], [1 => 'x', 2 => 'y'], ['7' => 'seven', '07' => 'text'],
            ['name' => "Zoë \"quoted\" / \\ \n\t", 'list' => [[], [null]], 'nested' => ['k' => ['v' => 1.25]]],
            ['order' => ['id' => 'ORD-1', 'items' => [['sku' => 'a', 'count' => 2], ['sku' => 'b', 'count' => 1]]]],
            ['' => 'empty name', 'emoji' => '😀', 'many' => range(0, 500)],
            $deep,
        ];
        $flags = JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;
        $shown = fn ($value) => ['body' => seal($value, $secret), 'json' => json_encode($value, $flags)];
        echo json_encode(array_map($shown, $values));
        break;
    case 'objects':
        $object = new ArrayObject([1]);
        $shared = [1];
        $reference = [&$shared, &$shared];
        enum Suit { case Hearts; }
        $values = [new stdClass, $object, [new stdClass], $reference, Suit::Hearts, NAN, INF, "a\xff" . 'b' => ["\xff"]];
        echo json_encode(array_values(array_map(fn ($value) => seal($value, $secret), $values)));
        break;
}
