<?php
// Seals a body as PayKun does: AES-256-CBC, then HMAC-SHA-256. PHP alone, with its OpenSSL.
//
//   COUNTERSIGN_SECRET=... php seal.php BODY_FILE
//
// Prints the sealed text. Seal first, then sign: the signature is over the sealed body.
declare(strict_types=1);

function seal(string $secret, string $body): string
{
    // The secret's 32 characters are the key, as they are: neither hexadecimal nor base64.
    // PHP would cut another length or fill it up, and say nothing.
    strlen($secret) === 32 || fail('the secret must have 32 bytes');
    $random = random_bytes(16); // new for every body
    // A PHP string, s:BYTES:"TEXT";. The length is in bytes. The 0 asks for base64.
    $value = openssl_encrypt(serialize($body), 'aes-256-cbc', $secret, 0, $random);
    $iv = base64_encode($random);
    // Over the two base64 texts, not over the bytes that they stand for; itself in hexadecimal.
    $mac = hash_hmac('sha256', $iv . $value, $secret);
    return base64_encode(json_encode(['iv' => $iv, 'value' => $value, 'mac' => $mac]));
}

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(2);
}

$argc === 2 || fail('usage: COUNTERSIGN_SECRET=... php seal.php BODY_FILE');
echo seal((string) getenv('COUNTERSIGN_SECRET'), file_get_contents($argv[1]));
