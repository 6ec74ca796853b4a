<?php
// Signs a request and sends it, with PHP alone: no extension, no library.
//
//   COUNTERSIGN_SECRET=... php send.php URL KEY_ID BODY_FILE SCHEME
//
// SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
// The answer goes to standard output, its status to standard error.
//
// Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
// second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
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

/** Whether the gate signed this answer, and to this request. */
function isGenuine(
    string $scheme, string $secret, array $request, string $host, string $target, int $status,
    array $answer, string $body,
): bool {
    $timestamp = $answer['x-timestamp'] ?? '';
    if ($scheme === 'kwikpaisa') {
        $message = $body . $timestamp;
    } else {
        $message = implode("\n", ['countersign-v1-response', $request['x-api-key'], $timestamp,
            $request['x-nonce'], $status, $host, $target, $answer['content-type'] ?? '',
            hash('sha256', $body)]);
    }
    // In constant time: === tells by its time how much of a signature is right.
    if (!hash_equals(hash_hmac('sha256', $message, $secret), $answer['x-signature'] ?? '')) {
        return false;
    }
    // kwikpaisa does not say which request it answers. So it must be new, and its time ten digits,
    // as otherwise digits could move from the body; that it is about your order is yours to check.
    return $scheme !== 'kwikpaisa'
        || preg_match('/^[0-9]{10}$/D', $timestamp) && abs(time() - (int) $timestamp) <= 300;
}

/** Headers by their names in lower case. */
function byName(array $lines): array
{
    $headers = [];
    foreach (preg_grep('/^[^ :]+:/', $lines) as $line) {
        [$name, $value] = explode(':', $line, 2);
        $headers[strtolower($name)] = trim($value);
    }
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
$lines = stream_get_meta_data($answer)['wrapper_data'];
[, $status] = explode(' ', $lines[0]);
fwrite(STDERR, "$status\n");
$content = stream_get_contents($answer);
$answerSecret = (string) getenv('COUNTERSIGN_ANSWER_SECRET');
$request = byName($headers);
if ($answerSecret !== '' && !isGenuine(
    $scheme, $answerSecret, $request, $host, $target, (int) $status, byName($lines), $content,
)) {
    fail("not signed by the gate:\n$content");
}
echo $content;
exit((int) $status < 300 ? 0 : 1);
