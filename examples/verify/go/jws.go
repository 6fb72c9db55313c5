package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v4"
)

// refused says why a token is not taken.
type refused struct{ code, claim, reason string }

func (r refused) Error() string {
	return strings.TrimSpace(r.code + " " + strings.TrimSpace(r.claim+" "+r.reason))
}

func refuse(code string) error { return refused{code: code} }

// key is a published key with its one algorithm.
type key struct {
	alg    string
	public any
}

// findKey answers the key of that name, or nil. It fails when there are no keys to ask.
type findKey func(kid string) (*key, error)

// (n - 1) / 2 of P-256. Of the two values of s that are right, hallpass writes the lower one.
var half, _ = hex.DecodeString("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8")

// verifyJWS takes a JWS of hallpass in compact form: three parts, a header of exactly alg, kid and typ,
// one spelling. It answers the payload and the kid.
func verifyJWS(jws, typ string, find findKey, bytesMax int) ([]byte, string, error) {
	if len(jws) > bytesMax {
		return nil, "", refuse("token_too_long")
	}
	parts := strings.Split(jws, ".")
	if len(parts) != 3 {
		return nil, "", refuse("token_malformed")
	}
	var decoded [3][]byte
	for i, part := range parts {
		bytes, isRight := decode(part)
		if !isRight || part == "" {
			return nil, "", refuse("token_malformed")
		}
		decoded[i] = bytes
	}
	alg, kid, gotTyp, err := readHeader(decoded[0])
	if err != nil {
		return nil, "", err
	}
	if alg != "ES256" && alg != "EdDSA" && alg != "RS256" {
		return nil, "", refuse("algorithm_not_allowed")
	}
	if gotTyp != typ {
		return nil, "", refuse("type_not_allowed")
	}
	found, err := find(kid)
	if err != nil {
		return nil, "", err
	}
	if found == nil {
		return nil, "", refuse("key_unknown")
	}
	if found.alg != alg {
		return nil, "", refuse("algorithm_mismatch")
	}
	isHigh := alg == "ES256" && len(decoded[2]) == 64 && bytes.Compare(decoded[2][32:], half) > 0
	err = jwt.GetSigningMethod(alg).Verify(parts[0]+"."+parts[1], parts[2], found.public)
	if isHigh || err != nil {
		return nil, "", refuse("signature_invalid")
	}
	return decoded[1], kid, nil
}

// decode reads base64url without padding and without stray bits, so that there is one text for some bytes.
func decode(part string) ([]byte, bool) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return data, err == nil && base64.RawURLEncoding.EncodeToString(data) == part
}

func readHeader(data []byte) (alg, kid, typ string, err error) {
	value, err := parseStrict(data, 1)
	header, _ := value.(map[string]any)
	alg, hasAlg := header["alg"].(string)
	kid, hasKid := header["kid"].(string)
	typ, hasTyp := header["typ"].(string)
	if err != nil || !hasAlg || !hasKid || !hasTyp || len(header) != 3 || kid == "" || len(kid) > 128 {
		err = refuse("header_invalid")
	}
	return alg, kid, typ, err
}

// readKeys reads the usable keys of a key set, by kid. A broken key does not spoil the others.
func readKeys(data []byte) (map[string]*key, error) {
	value, err := parseStrict(data, 4)
	if err != nil {
		return nil, err
	}
	set, _ := value.(map[string]any)
	list, isList := set["keys"].([]any)
	if !isList {
		return nil, errors.New("not a key set")
	}
	keys := map[string]*key{}
	for _, item := range list {
		jwk, _ := item.(map[string]any)
		kid, _ := jwk["kid"].(string)
		if found := readKey(jwk); found != nil && kid != "" && (jwk["use"] == nil || jwk["use"] == "sig") {
			keys[kid] = found
		}
	}
	return keys, nil
}

func readKey(jwk map[string]any) *key {
	member := func(name string) []byte {
		text, _ := jwk[name].(string)
		data, _ := decode(text)
		return data
	}
	number := func(name string) *big.Int { return new(big.Int).SetBytes(member(name)) }
	switch {
	case jwk["alg"] == "ES256" && jwk["kty"] == "EC" && jwk["crv"] == "P-256":
		public := &ecdsa.PublicKey{Curve: elliptic.P256(), X: number("x"), Y: number("y")}
		if public.IsOnCurve(public.X, public.Y) {
			return &key{"ES256", public}
		}
	case jwk["alg"] == "EdDSA" && jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519":
		if public := ed25519.PublicKey(member("x")); len(public) == ed25519.PublicKeySize {
			return &key{"EdDSA", public}
		}
	case jwk["alg"] == "RS256" && jwk["kty"] == "RSA":
		if public := (&rsa.PublicKey{N: number("n"), E: 65537}); number("e").Int64() == 65537 && public.N.BitLen() >= 2048 {
			return &key{"RS256", public}
		}
	}
	return nil
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get answers the body of an answer of 200.
func get(url string, timeout time.Duration, bytesMax int64) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	asking := *client
	asking.Timeout = timeout
	answer, err := asking.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, bytesMax+1))
	if err == nil && int64(len(body)) > bytesMax {
		err = errors.New("the answer is too long")
	}
	return body, err
}

// remoteKeys are the published keys of an issuer: for ten minutes, and again for an unknown kid, at
// most every 30 seconds. When they cannot be fetched, those that are there go on for an hour.
func remoteKeys(issuer string) findKey {
	var lock sync.Mutex // one fetch for all who ask meanwhile
	var keys map[string]*key
	var askedAt, fetchedAt time.Time
	return func(kid string) (*key, error) {
		lock.Lock()
		defer lock.Unlock()
		age := time.Since(askedAt)
		isDue := age > 10*time.Minute || (keys == nil && age > time.Second) || (keys[kid] == nil && age > 30*time.Second)
		if isDue {
			askedAt = time.Now()
			body, err := get(issuer+"/.well-known/jwks.json", 5*time.Second, 64*1024)
			if err == nil {
				if read, err := readKeys(body); err == nil {
					keys, fetchedAt = read, askedAt
				}
			}
		}
		if keys == nil || time.Since(fetchedAt) > time.Hour {
			return nil, errors.New("no keys")
		}
		return keys[kid], nil
	}
}
