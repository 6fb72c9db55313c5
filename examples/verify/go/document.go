package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

const answerMax = 1 << 20

// document is one document of the revocation feed, as far as it can be judged by itself. Texts that are
// null are empty.
type document struct {
	kid, issuer, log, since, next, nonce string
	entries                              []entry
	more                                 bool
	confirmed, floor                     int64
	revokedKeys                          []string
}

type entry struct {
	tag      string
	position int64
}

var feedCodes = map[string]string{
	"token_too_long":        "feed_too_long",
	"token_malformed":       "feed_malformed",
	"header_invalid":        "feed_malformed",
	"algorithm_not_allowed": "feed_malformed",
	"type_not_allowed":      "feed_type",
	"key_unknown":           "feed_key_unknown",
	"algorithm_mismatch":    "feed_signature",
	"signature_invalid":     "feed_signature",
}

func readDocument(answer []byte, find findKey) (document, error) {
	if len(answer) > answerMax {
		return document{}, refuse("feed_too_long")
	}
	value, err := parseStrict(answer, 2)
	envelope, _ := value.(map[string]any)
	jws, isText := envelope["document"].(string)
	if err != nil || !isText || len(envelope) != 1 {
		return document{}, refuse("feed_malformed")
	}
	payload, kid, err := verifyJWS(jws, "hallpass-revocations+jwt", find, answerMax)
	var why refused
	if errors.As(err, &why) {
		return document{}, refuse(feedCodes[why.code])
	}
	if err != nil {
		return document{}, err
	}
	return readTold(payload, kid)
}

var logID = regexp.MustCompile(`^[A-Za-z0-9_-]{11}$`)

func readTold(payload []byte, kid string) (document, error) {
	value, err := parseStrict(payload, 2)
	members, _ := value.(map[string]any)
	isRight := err == nil && len(members) == 10
	text := func(name string, mayBeNull bool) string {
		value, isThere := members[name]
		text, isText := value.(string)
		isRight = isRight && isThere && (isText || (mayBeNull && value == nil))
		return text
	}
	position := func(name string) int64 {
		whole, isWhole := wholeNumber(members[name])
		isRight = isRight && isWhole
		return whole
	}
	told := document{
		kid: kid, issuer: text("issuer", false), log: text("log", false), since: text("since", true),
		next: text("next", false), nonce: text("nonce", true), confirmed: position("confirmed"), floor: position("floor"),
	}
	records := text("entries", false)
	more, isBool := members["more"].(bool)
	kids, areTexts := texts(members["revokedKeys"])
	if !isRight || !isBool || !areTexts || !logID.MatchString(told.log) {
		return document{}, refuse("feed_payload")
	}
	told.more, told.revokedKeys = more, kids
	data, isCanonical := decode(records)
	if !isCanonical || len(data)%16 != 0 {
		return document{}, refuse("feed_payload")
	}
	for ; len(data) > 0; data = data[16:] {
		read := entry{string(data[:8]), int64(binary.BigEndian.Uint64(data[8:16]))}
		if read.position < 0 {
			return document{}, refuse("feed_payload")
		}
		told.entries = append(told.entries, read)
	}
	if !told.fits() {
		return document{}, refuse("feed_entries")
	}
	return told, nil
}

// fits says whether the entries are in order, behind the cursor and not above what is confirmed.
func (d *document) fits() bool {
	since := d.since
	if since == "" {
		since = d.log + ".-1"
	}
	log, last := readCursor(since)
	for _, next := range d.entries {
		isBehind := next.position > last.position || (next.position == last.position && next.tag > last.tag)
		if !isBehind || next.position > d.confirmed {
			return false
		}
		last = next
	}
	place := strconv.FormatInt(d.confirmed, 10)
	if d.more {
		place = fmt.Sprintf("%d.%s", last.position, base64.RawURLEncoding.EncodeToString([]byte(last.tag)))
	}
	return log == d.log && d.next == d.log+"."+place && (!d.more || last.position == d.confirmed)
}

// readCursor reads where a cursor stands. Without a tag it is behind every tag of its position.
func readCursor(cursor string) (log string, at entry) {
	parts := append(strings.Split(cursor, "."), "")
	position, _ := strconv.ParseInt(parts[1], 10, 64)
	if len(parts) == 3 {
		return parts[0], entry{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", position}
	}
	tag, _ := decode(parts[2])
	return parts[0], entry{string(tag), position}
}
