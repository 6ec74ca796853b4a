// Seals a body as PayKun does: AES-256-CBC, then HMAC-SHA-256. Go's standard library alone.
//
//	COUNTERSIGN_SECRET=... go run seal.go BODY_FILE
//
// Prints the sealed text. Seal first, then sign: the signature is over the sealed body.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
)

func seal(secret string, body []byte) (string, error) {
	if len(secret) != 32 {
		return "", errors.New("the secret must have 32 bytes")
	}
	// The secret's 32 characters are the key, as they are: neither hexadecimal nor base64.
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return "", err
	}
	random := make([]byte, aes.BlockSize) // new for every body
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	// A PHP string, s:BYTES:"TEXT";. The length is in bytes.
	plain := []byte(fmt.Sprintf("s:%d:\"%s\";", len(body), body))
	// PKCS#7: filled up to whole blocks, each byte being the number of bytes added.
	more := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(more)}, more)...)
	cipher.NewCBCEncrypter(block, random).CryptBlocks(plain, plain)

	var box struct {
		IV    string `json:"iv"`
		Value string `json:"value"`
		MAC   string `json:"mac"`
	}
	box.IV = base64.StdEncoding.EncodeToString(random)
	box.Value = base64.StdEncoding.EncodeToString(plain)
	// Over the two base64 texts, not over the bytes that they stand for; itself in hexadecimal.
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, box.IV+box.Value)
	box.MAC = hex.EncodeToString(mac.Sum(nil))
	text, err := json.Marshal(box)
	return base64.StdEncoding.EncodeToString(text), err
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: COUNTERSIGN_SECRET=... go run seal.go BODY_FILE")
	}
	body, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := seal(os.Getenv("COUNTERSIGN_SECRET"), body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(sealed)
}
