// Signs a request and sends it, with Node.js 18 or newer alone: no package.
//
//   COUNTERSIGN_SECRET=... node send.js URL KEY_ID BODY_FILE SCHEME
//
// SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
// The answer goes to standard output, its status to standard error.
//
// Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
// second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
'use strict';

const { createHash, createHmac, randomBytes, timingSafeEqual } = require('node:crypto');
const { readFileSync } = require('node:fs');
const https = require('node:https');

// The headers that make a request signed.
function sign({ scheme, secret, keyId, method, host, target, contentType, body }) {
  // Seconds: ten digits. Date.now() alone is milliseconds, which are refused.
  const timestamp = String(Math.floor(Date.now() / 1000));
  const headers = { 'X-API-KEY': keyId, 'X-TIMESTAMP': timestamp };
  const mac = createHmac('sha256', secret);
  if (scheme === 'kwikpaisa') {
    mac.update(body).update(timestamp);
  } else if (scheme === 'countersign-v1') {
    const nonce = randomBytes(16).toString('hex');
    headers['X-NONCE'] = nonce;
    const digest = createHash('sha256').update(body).digest('hex');
    mac.update(['countersign-v1', keyId, timestamp, nonce,
      method, host, target, contentType, digest].join('\n'));
  } else {
    throw new Error(`no such scheme: ${scheme}`);
  }
  headers['X-SIGNATURE'] = mac.digest('hex'); // 64 digits; 'base64' is refused
  return headers;
}

// Whether the gate signed this answer, and to this request.
function isGenuine({ scheme, secret, headers, host, target, answer, body }) {
  const { 'x-timestamp': timestamp = '', 'x-signature': signature = '' } = answer.headers;
  const mac = createHmac('sha256', secret);
  if (scheme === 'kwikpaisa') {
    mac.update(body).update(timestamp);
  } else {
    const digest = createHash('sha256').update(body).digest('hex');
    mac.update(['countersign-v1-response', headers['X-API-KEY'], timestamp, headers['X-NONCE'],
      answer.statusCode, host, target, answer.headers['content-type'] ?? '', digest].join('\n'));
  }
  const expected = Buffer.from(mac.digest('hex'));
  const given = Buffer.from(signature);
  // In constant time: === tells by its time how much of a signature is right.
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false;
  // kwikpaisa does not say which request it answers. So it must be new, and its time ten digits,
  // as otherwise digits could move from the body; that it is about your order is yours to check.
  return scheme !== 'kwikpaisa'
    || (/^[0-9]{10}$/.test(timestamp) && Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300);
}

const [url, keyId, bodyFile, scheme] = process.argv.slice(2);
// The secret is used as it is: no decoding from hexadecimal or base64, no line break at its end.
const secret = process.env.COUNTERSIGN_SECRET;
const answerSecret = process.env.COUNTERSIGN_ANSWER_SECRET;
if (!scheme || !secret) {
  console.error('usage: COUNTERSIGN_SECRET=... node send.js URL KEY_ID BODY_FILE SCHEME');
  process.exit(2);
}

const get = bodyFile === '-';
const method = get ? 'GET' : 'POST';
const contentType = get ? '' : 'application/json';
// Read once, as bytes. These bytes are signed, and these are sent: a library that takes an object
// and makes JSON of it may write it differently from your JSON.stringify().
const body = get ? Buffer.alloc(0) : readFileSync(bodyFile);

// URL writes what is not ASCII as %XX and leaves :443 out. Its parts are signed, and it is sent.
const address = new URL(url);
const host = address.host;
const target = address.pathname + address.search;

const headers = sign({ scheme, secret, keyId, method, host, target, contentType, body });
if (!get) headers['Content-Type'] = contentType;
const request = https.request(`https://${host}${target}`, { method, headers }, (answer) => {
  console.error(answer.statusCode);
  const pieces = [];
  answer.on('data', (piece) => pieces.push(piece));
  answer.on('end', () => {
    const content = Buffer.concat(pieces);
    if (answerSecret && !isGenuine(
      { scheme, secret: answerSecret, headers, host, target, answer, body: content })) {
      console.error('not signed by the gate:');
      process.stderr.write(content);
      process.exitCode = 1;
      return;
    }
    process.stdout.write(content);
    process.exitCode = answer.statusCode < 300 ? 0 : 1;
  });
});
request.end(body);
