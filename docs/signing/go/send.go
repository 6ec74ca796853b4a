// Signs a request and sends it, with Go's standard library.
//
//	COUNTERSIGN_SECRET=... go run send.go URL KEY_ID BODY_FILE SCHEME
//
// SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
// The answer goes to standard output, its status to standard error.
//
// Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
// second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// sign gives the headers that make a request signed.
func sign(
	scheme, secret, keyID, method, host, target, contentType string, body []byte,
) map[string]string {
	// Seconds: ten digits. UnixMilli() is refused.
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	headers := map[string]string{"X-API-KEY": keyID, "X-TIMESTAMP": timestamp}
	mac := hmac.New(sha256.New, []byte(secret))
	switch scheme {
	case "kwikpaisa":
		mac.Write(body)
		io.WriteString(mac, timestamp)
	case "countersign-v1":
		random := make([]byte, 16)
		if _, err := rand.Read(random); err != nil {
			log.Fatal(err)
		}
		nonce := hex.EncodeToString(random)
		headers["X-NONCE"] = nonce
		digest := sha256.Sum256(body)
		io.WriteString(mac, strings.Join([]string{"countersign-v1", keyID, timestamp, nonce,
			method, host, target, contentType, hex.EncodeToString(digest[:])}, "\n"))
	default:
		log.Fatalf("no such scheme: %s", scheme)
	}
	// Hexadecimal, 64 digits; base64 is refused.
	headers["X-SIGNATURE"] = hex.EncodeToString(mac.Sum(nil))
	return headers
}

// isGenuine tells whether the gate signed this answer, and to this request.
func isGenuine(
	scheme, secret string, request map[string]string, host, target string,
	answer *http.Response, body []byte,
) bool {
	timestamp := answer.Header.Get("X-TIMESTAMP")
	mac := hmac.New(sha256.New, []byte(secret))
	if scheme == "kwikpaisa" {
		mac.Write(body)
		io.WriteString(mac, timestamp)
	} else {
		digest := sha256.Sum256(body)
		io.WriteString(mac, strings.Join([]string{"countersign-v1-response", request["X-API-KEY"],
			timestamp, request["X-NONCE"], strconv.Itoa(answer.StatusCode), host, target,
			answer.Header.Get("Content-Type"), hex.EncodeToString(digest[:])}, "\n"))
	}
	expected := hex.EncodeToString(mac.Sum(nil))
	// In constant time: == tells by its time how much of a signature is right.
	if !hmac.Equal([]byte(expected), []byte(answer.Header.Get("X-SIGNATURE"))) {
		return false
	}
	if scheme != "kwikpaisa" {
		return true
	}
	// kwikpaisa does not say which request it answers. So it must be new, and its time ten digits, as
	// otherwise digits could move from the body; that it is about your order is yours to check.
	seconds, err := strconv.ParseUint(timestamp, 10, 63)
	age := time.Since(time.Unix(int64(seconds), 0))
	return err == nil && len(timestamp) == 10 && age <= 5*time.Minute && age >= -5*time.Minute
}

// hostAndTarget gives the header Host, and path and query, both exactly as they are sent.
func hostAndTarget(url string) (string, string) {
	url, _, _ = strings.Cut(url, "#")
	// Visible ASCII stays, every other byte becomes %XX.
	var plain strings.Builder
	for _, b := range []byte(strings.TrimPrefix(url, "https://")) {
		if b > 0x20 && b < 0x7f {
			plain.WriteByte(b)
		} else {
			fmt.Fprintf(&plain, "%%%02X", b)
		}
	}
	host, target := plain.String(), ""
	if end := strings.IndexAny(host, "/?"); end >= 0 {
		host, target = host[:end], host[end:]
	}
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	// Without :443, which no client sends, but with any other port.
	return strings.TrimSuffix(strings.ToLower(host), ":443"), target
}

func main() {
	log.SetFlags(0)
	// The secret is used as it is: no decoding from hexadecimal or base64, no line break at its end.
	secret := os.Getenv("COUNTERSIGN_SECRET")
	if len(os.Args) != 5 || secret == "" {
		log.Fatal("usage: COUNTERSIGN_SECRET=... go run send.go URL KEY_ID BODY_FILE SCHEME")
	}
	url, keyID, bodyFile, scheme := os.Args[1], os.Args[2], os.Args[3], os.Args[4]

	method, contentType, body := "GET", "", []byte(nil)
	if bodyFile != "-" {
		method, contentType = "POST", "application/json"
		// Read once. These bytes are signed, and these are sent: json.Marshal() of the same value at
		// another place may order and escape it differently.
		var err error
		if body, err = os.ReadFile(bodyFile); err != nil {
			log.Fatal(err)
		}
	}

	host, target := hostAndTarget(url)
	request, err := http.NewRequest(method, "https://"+host+target, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	headers := sign(scheme, secret, keyID, method, host, target, contentType, body)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	// Not http.Client, which follows redirects: the request is signed for this address.
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	fmt.Fprintln(os.Stderr, answer.StatusCode)
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	answerSecret := os.Getenv("COUNTERSIGN_ANSWER_SECRET")
	if answerSecret != "" &&
		!isGenuine(scheme, answerSecret, headers, host, target, answer, content) {
		log.Fatalf("not signed by the gate:\n%s", content)
	}
	os.Stdout.Write(content)
	if answer.StatusCode >= 300 {
		os.Exit(1)
	}
}
