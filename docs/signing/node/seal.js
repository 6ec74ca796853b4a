// Seals a body as PayKun does: AES-256-CBC, then HMAC-SHA-256. Node.js alone: no package.
//
//   COUNTERSIGN_SECRET=... node seal.js BODY_FILE
//
// Prints the sealed text. Seal first, then sign: the signature is over the sealed body.
'use strict';

const { createCipheriv, createHmac, randomBytes } = require('node:crypto');
const { readFileSync } = require('node:fs');

function seal(secret, body) {
  if (Buffer.byteLength(secret) !== 32) throw new Error('the secret must have 32 bytes');
  const iv = randomBytes(16); // new for every body
  // The secret's 32 characters are the key, as they are: neither hexadecimal nor base64.
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  // A PHP string, s:BYTES:"TEXT";. The length is in bytes; that of a JavaScript string is not.
  const value = Buffer.concat([
    cipher.update(`s:${body.length}:"`), cipher.update(body), cipher.update('";'), cipher.final(),
  ]).toString('base64');
  const box = { iv: iv.toString('base64'), value };
  // Over the two base64 texts, not over the bytes that they stand for; itself in hexadecimal.
  box.mac = createHmac('sha256', secret).update(box.iv + box.value).digest('hex');
  return Buffer.from(JSON.stringify(box)).toString('base64');
}

const [bodyFile] = process.argv.slice(2);
const secret = process.env.COUNTERSIGN_SECRET;
if (!bodyFile || !secret) {
  console.error('usage: COUNTERSIGN_SECRET=... node seal.js BODY_FILE');
  process.exit(2);
}
process.stdout.write(seal(secret, readFileSync(bodyFile)));
