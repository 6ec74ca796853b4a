<?php
// Signs a request and sends it, with PHP alone: no extension, no library.
//
//   COUNTERSIGN_SECRET=... php send.php URL KEY_ID BODY_FILE SCHEME
//
// SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
// The answer goes to standard output, its status to standard error.
declare(strict_types=1);

/** The headers that make a request signed. */
function sign(
    string $scheme, string $secret, string $keyId, string $method, string $host, string $target,
    string $contentType, string $body,
): array {
    $timestamp = (string) time(); // seconds: ten digits; milliseconds are refused
    $headers = ["X-API-KEY: $keyId", "X-TIMESTAMP: $timestamp"];
    if ($scheme === 'kwikpaisa') {
        $message = $body . $timestamp;
    } elseif ($scheme === 'countersign-v1') {
        $nonce = bin2hex(random_bytes(16));
        $headers[] = "X-NONCE: $nonce";
        $message = implode("\n", ['countersign-v1', $keyId, $timestamp, $nonce,
            $method, $host, $target, $contentType, hash('sha256', $body)]);
    } else {
        fail("no such scheme: $scheme");
    }
    // Hexadecimal, 64 digits. A fourth argument `true` would give raw bytes; base64 is refused.
    $headers[] = 'X-SIGNATURE: ' . hash_hmac('sha256', $message, $secret);
    return $headers;
}

/** The header Host, and path and query, both exactly as they are sent. */
function hostAndTarget(string $url): array
{
    // Visible ASCII stays, every other byte becomes %XX.
    $encode = fn (array $byte): string => rawurlencode($byte[0]);
    $url = preg_replace_callback('/[^\x21-\x7E]/', $encode, explode('#', $url)[0]);
    preg_match('~^https://([^/?]+)(.*)$~', $url, $part) || fail("not https: $url");
    $target = str_starts_with($part[2], '/') ? $part[2] : "/$part[2]";
    // Without :443, which no client sends, but with any other port.
    return [preg_replace('/:443$/', '', strtolower($part[1])), $target];
}

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(2);
}

// The secret is used as it is: no decoding from hexadecimal or base64, no line break at its end.
$secret = (string) getenv('COUNTERSIGN_SECRET');
$argc === 5 && $secret !== ''
    || fail('usage: COUNTERSIGN_SECRET=... php send.php URL KEY_ID BODY_FILE SCHEME');
[, $url, $keyId, $bodyFile, $scheme] = $argv;

if ($bodyFile === '-') {
    [$method, $contentType, $body] = ['GET', '', ''];
} else {
    [$method, $contentType] = ['POST', 'application/json'];
    // Read once. This string is signed, and this one is sent: a second json_encode() may escape
    // slashes and letters in another way.
    $body = file_get_contents($bodyFile);
}

[$host, $target] = hostAndTarget($url);
$headers = sign($scheme, $secret, $keyId, $method, $host, $target, $contentType, $body);
$headers[] = "Host: $host";
if ($contentType !== '') {
    // Said aloud: otherwise PHP adds a type of its own, which is not what was signed.
    $headers[] = "Content-Type: $contentType";
}
$context = stream_context_create(['http' => [
    'protocol_version' => 1.1,
    'method' => $method,
    'header' => $headers,
    'content' => $body,
    'ignore_errors' => true, // a refusal has a body as well
    'follow_location' => 0, // what is signed is for one address
]]);
$answer = fopen("https://$host$target", 'r', false, $context) ?: fail('no answer');
[, $status] = explode(' ', stream_get_meta_data($answer)['wrapper_data'][0]);
fwrite(STDERR, "$status\n");
echo stream_get_contents($answer);
exit((int) $status < 300 ? 0 : 1);
