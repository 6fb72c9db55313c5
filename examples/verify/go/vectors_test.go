package main

// The examples in this folder against the data that all verifiers share.

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const vectors = "../../../tests/vectors/tokens/"

type repetition struct {
	Repeat string
	Times  int
}

type vectorFile struct {
	Issuer, Audience string
	Now              float64
	Tokens           []struct {
		Name, Token, Code, Claim, Reason string
		Pieces                           []json.RawMessage
		Payload                          json.RawMessage
	}
}

func read(t *testing.T, path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func load(t *testing.T, name string) (vectorFile, findKey) {
	var loaded vectorFile
	if err := json.Unmarshal(read(t, vectors+name), &loaded); err != nil {
		t.Fatal(err)
	}
	keys, err := readKeys(read(t, vectors+"jwks.json"))
	if err != nil {
		t.Fatal(err)
	}
	return loaded, func(kid string) (*key, error) { return keys[kid], nil }
}

// build makes a large token of repeated texts.
func build(t *testing.T, token string, pieces []json.RawMessage) string {
	for _, raw := range pieces {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			var repeated repetition
			if err := json.Unmarshal(raw, &repeated); err != nil {
				t.Fatal(err)
			}
			text = strings.Repeat(repeated.Repeat, repeated.Times)
		}
		token += text
	}
	return token
}

func TestGoodTokensAreAccepted(t *testing.T) {
	document, find := load(t, "good.json")
	for _, vector := range document.Tokens {
		claims, _, err := verifyToken(vector.Token, document.Issuer, document.Audience, find, document.Now)
		if err != nil {
			t.Errorf("%s: %v", vector.Name, err)
			continue
		}
		wanted, _ := parseStrict(vector.Payload, 32)
		if !reflect.DeepEqual(any(claims), wanted) {
			t.Errorf("%s: %v, not %v", vector.Name, claims, wanted)
		}
	}
	t.Logf("%d tokens", len(document.Tokens))
}

func TestBadTokensAreRefusedEachWithItsCode(t *testing.T) {
	document, find := load(t, "bad.json")
	for _, vector := range document.Tokens {
		token := build(t, vector.Token, vector.Pieces)
		_, _, err := verifyToken(token, document.Issuer, document.Audience, find, document.Now)
		if wanted := (refused{vector.Code, vector.Claim, vector.Reason}); err != wanted {
			t.Errorf("%s: %v, not %v", vector.Name, err, wanted)
		}
	}
	t.Logf("%d tokens", len(document.Tokens))
}

func TestRoutes(t *testing.T) {
	var table []struct {
		Pattern, Method string
		Yes, No         []string
	}
	if err := json.Unmarshal(read(t, "../routes.json"), &table); err != nil {
		t.Fatal(err)
	}
	for _, row := range table {
		if row.Method == "" {
			row.Method = "GET"
		}
		ask := func(target string, wanted bool) {
			segments, isRight := readPath(target, "/v1")
			if (isRight && allows([]string{row.Pattern}, row.Method, segments)) != wanted {
				t.Errorf("%s: %s %s", row.Pattern, row.Method, target)
			}
		}
		for _, target := range row.Yes {
			ask(target, true)
		}
		for _, target := range row.No {
			ask(target, false)
		}
	}
	if allows(nil, "GET", []string{"bot"}) || allows([]string{"**/a/**/a/**/a/b"}, "GET", strings.Split(strings.Repeat("a/", 63)+"a", "/")) {
		t.Error("too much is allowed")
	}
}

func TestAnswersOfTheFeedAreJudgedAlike(t *testing.T) {
	_, find := load(t, "good.json")
	var file struct {
		Issuer    string
		Scenarios []struct {
			Name  string
			Steps []struct {
				Since, Nonce, Answer, Code string
				More                       bool
				Pieces                     []json.RawMessage
			}
			Tokens []struct{ Kid, Lin, Rev, Dead string }
		}
	}
	if err := json.Unmarshal(read(t, vectors+"feed.json"), &file); err != nil {
		t.Fatal(err)
	}
	for _, scenario := range file.Scenarios {
		feed := newFeed(file.Issuer, find, 10*time.Second)
		for _, step := range scenario.Steps {
			answer := build(t, step.Answer, step.Pieces)
			more, err := feed.take([]byte(answer), asked{step.Since, step.Nonce, time.Now()})
			code := ""
			if err != nil {
				code = err.Error()
			}
			if code != step.Code || more != step.More {
				t.Errorf("%s: %q, %v, not %q, %v", scenario.Name, code, more, step.Code, step.More)
			}
		}
		for _, token := range scenario.Tokens {
			if dead := feed.dead(claims{"lin": token.Lin, "rev": token.Rev}, token.Kid); dead != token.Dead {
				t.Errorf("%s: %s is %q, not %q", scenario.Name, token.Rev, dead, token.Dead)
			}
		}
	}
	t.Logf("%d scenarios", len(file.Scenarios))
}
