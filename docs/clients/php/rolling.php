<?php
// A client of rolling keys (roll.v1), with PHP's openssl extension and nothing else.
//
//   COUNTERSIGN_SECRET=... COUNTERSIGN_ANCHOR=css_... php rolling.php URL KEY_ID BODY_FILE STATE_FILE
//
// BODY_FILE is sealed and sent by POST; "-" sends a GET without a body. STATE_FILE keeps the newest
// keys for the next call, readable for its owner alone. The opened answer goes to standard output,
// its status to standard error. Requests are signed by countersign-v1.
declare(strict_types=1);

const SESSION = '/.well-known/countersign/key-session';
const SEALED = 'application/vnd.countersign.sealed';
// Refusals on which fresh keys help: ask once, send once more, then report.
const RESYNC = ['key_expired', 'key_superseded', 'unknown_epoch',
    'chain_revoked', 'key_exhausted', 'cannot_open'];
const ATTEMPTS = 5;

/** The connection broke, or the answer does not prove that it is the gate's: nothing is known. */
final class Unproved extends Exception {}

function b64u(string $bytes): string
{
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function unb64u(string $text): string
{
    $bytes = base64_decode(strtr($text, '-_', '+/'), true);
    return $bytes === false ? throw new Unproved('not base64url') : $bytes;
}

/** A text with its length in front. */
function lp(string $text): string
{
    return pack('n', strlen($text)) . $text;
}

/** Keys for one way: 32 bytes that authenticate, 32 that encrypt, and a mask for IVs. */
final class Side
{
    private string $macKey;
    private string $encKey;

    public function __construct(string $key, private string $mask)
    {
        [$this->macKey, $this->encKey] = str_split($key, 32);
    }

    public function seal(string $aad, string $text): string
    {
        // Fresh for every message. The real IV is never sent: it is these bytes XOR the secret mask.
        $p = random_bytes(16);
        $iv = $this->mask ^ $p;
        $data = openssl_encrypt($text, 'aes-256-cbc', $this->encKey, OPENSSL_RAW_DATA, $iv);
        return $p . $data . $this->tag($aad, $iv, $data);
    }

    public function open(string $aad, string $sealed): string
    {
        if (strlen($sealed) < 64) {
            throw new Unproved('the answer does not open');
        }
        $iv = $this->mask ^ substr($sealed, 0, 16);
        $data = substr($sealed, 16, -32);
        // The tag first: what does not carry the right one is never decrypted.
        if (!hash_equals($this->tag($aad, $iv, $data), substr($sealed, -32))) {
            throw new Unproved('the answer does not open');
        }
        $text = openssl_decrypt($data, 'aes-256-cbc', $this->encKey, OPENSSL_RAW_DATA, $iv);
        return $text === false ? throw new Unproved('the answer does not open') : $text;
    }

    private function tag(string $aad, string $iv, string $data): string
    {
        $text = $aad . $iv . $data . pack('J', strlen($aad) * 8);
        return substr(hash_hmac('sha512', $text, $this->macKey, true), 0, 32);
    }
}

/** Keys for both ways, and what they are called. */
final class KeySet
{
    private function __construct(
        public readonly string $kid, public readonly string $bound,
        public readonly Side $toGate, public readonly Side $toClient,
    ) {
    }

    /** A key set as the gate hands it out. */
    public static function of(array $j): self
    {
        if ($j['v'] !== 1 || $j['alg'] !== 'A256CBC-HS512') {
            throw new Unproved('keys of another protocol');
        }
        $side = fn (array $side): Side => new Side(unb64u($side['key']), unb64u($side['iv']));
        // What is bound into seals is the name's bytes, not its text.
        return new self($j['kid'], unb64u(substr($j['kid'], 4)), $side($j['c2s']), $side($j['s2c']));
    }

    /** The long-lived keys, from the text that was handed over once. */
    public static function anchor(string $text, int $version = 1): self
    {
        $checksum = self::base62(substr($text, -6), 4);
        if (!str_starts_with($text, 'css_') || $checksum !== hash('crc32b', substr($text, 0, -6), true)) {
            fail('COUNTERSIGN_ANCHOR is mistyped: its checksum does not hold');
        }
        $key = self::base62(explode('_', substr($text, 0, -6))[2], 160);
        $part = fn (int $from, int $count): string => substr($key, $from, $count);
        return new self("ak_$version", lp("ak_$version"),
            new Side($part(0, 64), $part(128, 16)), new Side($part(64, 64), $part(144, 16)));
    }

    /** A number in base 62 as so many bytes, without an extension for large numbers. */
    private static function base62(string $text, int $length): string
    {
        $digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
        $bytes = array_fill(0, $length, 0);
        foreach (str_split($text) as $digit) {
            $carry = (int) strpos($digits, $digit);
            for ($at = $length - 1; $at >= 0; $at--) {
                $carry += $bytes[$at] * 62;
                $bytes[$at] = $carry & 255;
                $carry >>= 8;
            }
        }
        return pack('C*', ...$bytes);
    }

    /** Chain, and place in it: generation and time of making compare as bytes. */
    public function place(): array
    {
        return [substr($this->bound, 5, 8), substr($this->bound, 13, 8)];
    }
}

final class Client
{
    private string $host;
    private string $target;
    private KeySet $anchor;
    /** The newest set as it came, and how many messages it has sealed. */
    private ?array $newest = null;
    private int $uses = 0;
    /** The fresh bytes of the last request. */
    private string $p = '';

    public function __construct(
        string $url, private string $keyId, private string $secret, string $anchor,
        private string $stateFile,
    ) {
        preg_match('~^https://([^/?]+)(.*)$~', $url, $part) || fail("not https: $url");
        // Without :443, which no client sends, but with any other port.
        $this->host = preg_replace('/:443$/', '', strtolower($part[1]));
        $this->target = str_starts_with($part[2], '/') ? $part[2] : "/$part[2]";
        $this->anchor = KeySet::anchor($anchor);
        if (is_file($stateFile)) {
            ['set' => $this->newest, 'uses' => $this->uses] =
                json_decode(file_get_contents($stateFile), true, 8, JSON_THROW_ON_ERROR);
        }
    }

    /** Sends a request; gives status and opened body. Throws where nothing is proved. */
    public function send(string $method, string $body): array
    {
        // The same for every attempt at one payment, so that the service books it once.
        $extra = $body === '' ? [] : ['Idempotency-Key: ' . bin2hex(random_bytes(16))];
        [$status, $answer, $code] = $this->untilAnswered($method, $body, $extra);
        if (in_array($code, RESYNC, true)) {
            $this->session();
            [$status, $answer, $code] = $this->untilAnswered($method, $body, $extra);
        }
        if ($code !== null) {
            throw new Unproved("refused before it was opened: $status $code");
        }
        return [$status, $answer];
    }

    private function untilAnswered(string $method, string $body, array $extra): array
    {
        for ($attempt = 1;; $attempt++) {
            // A set ends by time and by number; lost answers use it up as well.
            if ($this->newest === null || time() > $this->newest['exp']
                || $this->uses >= $this->newest['max']) {
                $this->session();
            }
            $keys = KeySet::of($this->newest); // kept until the answer is opened
            $this->uses++;
            try {
                // Sealed anew each time: new p, new time, under the newest set. Old bytes are never
                // sent again, for the gate would refuse them as a replay.
                $answer = $this->call($keys, $method, $this->target, $body, $extra);
                [$status, $headers, $text] = $answer;
                if (!isset($headers['x-seal-kid'])) {
                    return [$status, $text, codeOf($status, $text)];
                }
                [$opened, $next] = $this->open($keys, $answer);
                $this->adopt($next);
                return [$status, $opened, null];
            } catch (Unproved $fault) {
                if ($attempt === ATTEMPTS) {
                    throw $fault;
                }
                fwrite(STDERR, "no answer: {$fault->getMessage()}\n");
            } finally {
                $this->keep();
            }
        }
    }

    /** Fresh keys under the anchor, in the place of those that are held. */
    private function session(): void
    {
        $replaces = $this->newest === null ? [] : [$this->newest['kid']];
        $body = json_encode(['lanes' => 1, 'replaces' => $replaces]);
        for ($attempt = 1; $attempt <= ATTEMPTS; $attempt++) {
            try {
                $answer = $this->call($this->anchor, 'POST', SESSION, $body, []);
                [$status, $headers, $text] = $answer;
                if ($status === 429) { // calls are limited: wait, do not give up
                    sleep((int) ($headers['retry-after'] ?? 1));
                    continue;
                }
                isset($headers['x-seal-kid']) || fail("no fresh keys: $status $text");
                [$opened] = $this->open($this->anchor, $answer);
                $this->newest = json_decode($opened, true)['sets'][0];
                $this->uses = 0;
                $this->keep();
                return;
            } catch (Unproved $fault) {
                fwrite(STDERR, "no answer: {$fault->getMessage()}\n");
            }
        }
        fail('no fresh keys: no answer');
    }

    /** One request: sealed, then signed, then sent. */
    private function call(
        KeySet $keys, string $method, string $target, string $body, array $extra,
    ): array {
        $now = time();
        // What the seal binds: nobody can move it to another method, address, time or key.
        $aad = "countersign roll.v1 req\0" . pack('J', $now) . lp($method) . lp($target) . $keys->bound;
        $sealed = $keys->toGate->seal($aad, $body);
        $this->p = substr($sealed, 0, 16);
        $headers = ["Host: {$this->host}", "X-SEAL-KID: {$keys->kid}", ...$extra];
        if ($body === '') {
            // No body: the proof says so, and cannot be left out.
            [$type, $sent] = ['', ''];
            $headers[] = 'X-SEAL-PROOF: ' . b64u($sealed);
        } else {
            [$type, $sent] = [SEALED, $sealed];
            $headers[] = 'Content-Type: ' . SEALED;
        }
        $nonce = bin2hex(random_bytes(16));
        $message = implode("\n", ['countersign-v1', $this->keyId, $now, $nonce, $method, $this->host,
            $target, $type, hash('sha256', $sent)]);
        array_push($headers, "X-API-KEY: {$this->keyId}", "X-TIMESTAMP: $now", "X-NONCE: $nonce",
            'X-SIGNATURE: ' . hash_hmac('sha256', $message, $this->secret));
        $http = ['protocol_version' => 1.1, 'method' => $method, 'header' => $headers,
            'ignore_errors' => true, 'follow_location' => 0, 'timeout' => 30];
        $http += $sent === '' ? [] : ['content' => $sent];
        $stream = @fopen("https://{$this->host}$target", 'r', false,
            stream_context_create(['http' => $http]));
        $stream || throw new Unproved(error_get_last()['message'] ?? 'no connection');
        $lines = stream_get_meta_data($stream)['wrapper_data'];
        $text = stream_get_contents($stream);
        [, $status] = explode(' ', array_shift($lines));
        $answer = [];
        foreach ($lines as $line) {
            [$name, $value] = explode(':', $line, 2);
            $answer[strtolower($name)] = trim($value);
        }
        return [(int) $status, $answer, (string) $text];
    }

    /** The body of an answer, and the key set that it brings. */
    private function open(KeySet $keys, array $answer): array
    {
        [$status, $headers, $text] = $answer;
        if ($headers['x-seal-kid'] !== $keys->kid || !isset($headers['x-seal-next'])) {
            throw new Unproved('the answer is of other keys');
        }
        $sealed = $text === '' ? unb64u($headers['x-seal-proof'] ?? '') : $text;
        // Bound to this very request, and to the status: neither can be exchanged on the way.
        $aad = "countersign roll.v1 res\0" . pack('n', $status) . $keys->bound . $this->p;
        $opened = $keys->toClient->open($aad, $sealed);
        if ($text === '' && $opened !== '') {
            throw new Unproved('a proof that brings a body');
        }
        $aad = "countersign roll.v1 next\0" . $keys->bound . $this->p;
        $next = $keys->toClient->open($aad, unb64u($headers['x-seal-next']));
        return [$opened, json_decode($next, true)];
    }

    /** Only a newer set of the same chain is taken up: answers can overtake each other. */
    private function adopt(array $next): void
    {
        [$chain, $place] = KeySet::of($next)->place();
        [$own, $held] = KeySet::of($this->newest)->place();
        if ($chain === $own && strcmp($place, $held) > 0) {
            [$this->newest, $this->uses] = [$next, 0];
        }
    }

    private function keep(): void
    {
        $fresh = "{$this->stateFile}.fresh";
        $mask = umask(0o077);
        file_put_contents($fresh, json_encode(['set' => $this->newest, 'uses' => $this->uses]));
        umask($mask);
        rename($fresh, $this->stateFile);
    }
}

/** The code of a refusal. An answer in clear that is none proves nothing. */
function codeOf(int $status, string $text): string
{
    $code = json_decode($text, true)['code'] ?? null;
    if ($status < 400 || !is_string($code)) {
        throw new Unproved("an answer in clear: $status");
    }
    return $code;
}

function fail(string $why): never
{
    fwrite(STDERR, "$why\n");
    exit(2);
}

[$secret, $anchor] = [(string) getenv('COUNTERSIGN_SECRET'), (string) getenv('COUNTERSIGN_ANCHOR')];
$argc === 5 && $secret !== '' && $anchor !== ''
    || fail('usage: COUNTERSIGN_SECRET=... COUNTERSIGN_ANCHOR=css_... '
        . 'php rolling.php URL KEY_ID BODY_FILE STATE_FILE');
[, $url, $keyId, $bodyFile, $stateFile] = $argv;
$client = new Client($url, $keyId, $secret, $anchor, $stateFile);
[$method, $body] = $bodyFile === '-' ? ['GET', ''] : ['POST', file_get_contents($bodyFile)];
try {
    [$status, $answer] = $client->send($method, $body);
} catch (Unproved $fault) {
    // Never booked as failed: ask for the status of the payment.
    fail("nothing is proved: {$fault->getMessage()}");
}
fwrite(STDERR, "$status\n");
echo $answer;
exit($status < 300 ? 0 : 1);
