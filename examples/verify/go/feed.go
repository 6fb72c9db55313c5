package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// feed follows the revocation feed (docs/feed.md): which tokens were ended, and whether we may believe
// that we know.
type feed struct {
	issuer string
	find   findKey
	bound  time.Duration

	lock        sync.Mutex
	log, cursor string
	confirmed   int64
	floor       int64
	ended       map[string]int64
	revokedKeys map[string]bool
	knownAt     time.Time // when the request was sent whose answer made us know everything
	rewound     bool      // an old database under the same log id: nothing can be believed
}

func newFeed(issuer string, find findKey, bound time.Duration) *feed {
	return &feed{issuer: issuer, find: find, bound: bound, confirmed: -1, ended: map[string]int64{}, revokedKeys: map[string]bool{}}
}

// age is how long something is ago by the clock that says more: one cannot be set, the other goes on
// while the machine sleeps.
func age(then, now time.Time) time.Duration {
	monotonic, wall := now.Sub(then), now.Round(0).Sub(then.Round(0))
	if wall > monotonic {
		return wall
	}
	return monotonic
}

// dead is the one question. It answers nothing when the token is alive.
func (f *feed) dead(claims claims, kid string) string {
	log, text, _ := strings.Cut(claims["rev"].(string), ".")
	rev, _ := strconv.ParseInt(text, 10, 64)
	tags, _ := decode(claims["lin"].(string))
	f.lock.Lock()
	defer f.lock.Unlock()
	isFresh := !f.knownAt.IsZero() && age(f.knownAt, time.Now()) <= f.bound
	switch {
	case f.revokedKeys[kid]:
		return "key_revoked"
	case f.rewound || (log != f.log && !isFresh):
		return "revocation_unknown"
	case log != f.log || rev < f.floor:
		return "token_ended"
	}
	for ; len(tags) >= 8; tags = tags[8:] {
		if position, isEnded := f.ended[string(tags[:8])]; isEnded && position > rev {
			return "token_ended"
		}
	}
	if !isFresh {
		return "revocation_unknown"
	}
	return ""
}

// follow follows the feed for ever. A third of the bound is a good wait.
func (f *feed) follow() {
	for wait := 0; ; {
		before, began := f.cursor, time.Now()
		more, err := f.ask(wait)
		switch {
		case err != nil:
			wait = 0
			jitter, _ := rand.Int(rand.Reader, big.NewInt(500))
			time.Sleep(250*time.Millisecond + time.Duration(jitter.Int64())*time.Millisecond)
		case more:
			wait = 0
		default:
			// The service may wait for less than it was asked.
			rest := 50 * time.Millisecond
			if before == f.cursor {
				rest = time.Duration(wait)*time.Second - time.Since(began)
			}
			wait = int(f.bound.Seconds() / 3)
			if wait == 0 {
				wait = 1
			}
			time.Sleep(rest)
		}
	}
}

// asked is what an answer must be an answer to.
type asked struct {
	since, nonce string
	at           time.Time
}

func (f *feed) ask(wait int) (bool, error) {
	random := make([]byte, 24)
	if _, err := rand.Read(random); err != nil {
		return false, err
	}
	asked := asked{f.cursor, base64.RawURLEncoding.EncodeToString(random), time.Now()}
	query := url.Values{"nonce": {asked.nonce}, "wait": {strconv.Itoa(wait)}}
	if asked.since != "" {
		query.Set("since", asked.since)
	}
	address := fmt.Sprintf("%s/v1/revocations?%s", f.issuer, query.Encode())
	answer, err := get(address, time.Duration(wait+5)*time.Second, answerMax)
	if err != nil {
		return false, err
	}
	return f.take(answer, asked)
}

// take takes in one answer, or fails and keeps what was known. It says whether there is more.
func (f *feed) take(answer []byte, asked asked) (bool, error) {
	told, err := readDocument(answer, f.find)
	if err != nil {
		return false, err
	}
	f.lock.Lock()
	defer f.lock.Unlock()
	isOther := f.log != "" && told.log != f.log
	isRevoked := f.revokedKeys[told.kid]
	for _, kid := range told.revokedKeys {
		isRevoked = isRevoked || kid == told.kid
	}
	switch {
	case isRevoked:
		return false, refuse("feed_key_revoked")
	case told.issuer != f.issuer:
		return false, refuse("feed_issuer")
	case told.nonce != asked.nonce:
		return false, refuse("feed_nonce")
	case told.since != asked.since && !(told.since == "" && isOther):
		return false, refuse("feed_gap")
	case !told.more && !isOther && told.confirmed < f.confirmed:
		f.rewound = true
		return false, refuse("feed_position")
	case isOther:
		f.confirmed, f.floor, f.ended, f.knownAt, f.rewound = -1, 0, map[string]int64{}, time.Time{}, false
	}
	for _, entry := range told.entries {
		if last, isThere := f.ended[entry.tag]; !isThere || entry.position > last {
			f.ended[entry.tag] = entry.position
		}
	}
	for _, kid := range told.revokedKeys {
		f.revokedKeys[kid] = true
	}
	if told.floor > f.floor {
		f.floor = told.floor
		for tag, position := range f.ended {
			if position <= f.floor {
				delete(f.ended, tag)
			}
		}
	}
	f.log, f.cursor = told.log, told.next
	if !told.more {
		f.confirmed, f.knownAt = told.confirmed, asked.at
	}
	return told.more, nil
}
