package main

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

type claims = map[string]any

func matching(pattern string) func(any) bool {
	compiled := regexp.MustCompile(`^(?:` + pattern + `)$`)
	return func(value any) bool {
		text, isText := value.(string)
		return isText && compiled.MatchString(text)
	}
}

func id(prefix string) func(any) bool { return matching(prefix + `_[0-9a-hjkmnp-tv-z]{26}`) }

const label = `[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?`

var (
	isUser         = id("usr")
	isPermission   = matching(`[a-z0-9-]+(?::[a-z0-9-]+)?`)
	isBindingValue = matching(`[A-Za-z0-9._~:@-]{1,128}`)
	isHost         = matching(`(?:\*\.)?` + label + `(?:\.` + label + `)*`)
	isDimension    = matching(`project|workspace|bot|integration`)
	isPosition     = matching(`0|[1-9][0-9]{0,18}`)
)

func isText(value any) bool {
	text, isText := value.(string)
	return isText && text != ""
}

func isObject(value any) bool {
	_, isObject := value.(claims)
	return isObject
}

func isTime(value any) bool {
	secs, isWhole := wholeNumber(value)
	return isWhole && secs <= 253_402_300_799
}

func isActor(value any) bool {
	actor, _ := value.(claims)
	for name, inner := range actor {
		if name != "sub" && (name != "act" || !isActor(inner)) {
			return false
		}
	}
	return isUser(actor["sub"])
}

func isScope(value any) bool {
	scope, isText := value.(string)
	if scope == "" {
		return isText
	}
	for _, word := range strings.Split(scope, " ") {
		if len(word) > 64 || !isPermission(word) {
			return false
		}
	}
	return true
}

func listOf(most int, isRight func(any) bool) func(any) bool {
	return func(value any) bool {
		list, areTexts := texts(value)
		for _, text := range list {
			areTexts = areTexts && isRight(text)
		}
		return areTexts && len(list) <= most
	}
}

func isBindings(value any) bool {
	bindings, isRight := value.(claims)
	for name, values := range bindings {
		isRight = isRight && isDimension(name) && listOf(100, isBindingValue)(values)
	}
	return isRight
}

func isDomain(value any) bool {
	text := value.(string)
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		address, err := netip.ParseAddr(text[1 : len(text)-1])
		return err == nil && address.Is6() && address.Zone() == "" && text == strings.ToLower(text)
	}
	return isHost(text) && len(strings.TrimPrefix(text, "*.")) <= 253
}

func isTags(value any) bool {
	text, _ := value.(string)
	data, isRight := decode(text)
	return isRight && len(data) > 0 && len(data)%8 == 0
}

func isRev(value any) bool {
	text, _ := value.(string)
	log, position, _ := strings.Cut(text, ".")
	data, isRight := decode(log)
	return isRight && len(data) == 8 && isPosition(position) && isInt64(position)
}

// What each claim looks like, in the order in which they are asked. Those that are not named here are
// refused: hallpass never writes them.
var shapes = []struct {
	name       string
	isRequired bool
	isRight    func(any) bool
}{
	{"iss", true, isText},
	{"sub", true, isUser},
	{"aud", true, isText},
	{"iat", true, isTime},
	{"nbf", true, isTime},
	{"exp", true, isTime},
	{"jti", true, id("ses")},
	{"client_id", true, id("key")},
	{"allowedRoutes", true, listOf(64, func(text any) bool { return isPattern(text.(string)) })},
	{"lin", true, isTags},
	{"rev", true, isRev},
	{"act", false, isActor},
	{"scope", false, isScope},
	{"bindings", false, isBindings},
	{"domains", false, listOf(100, isDomain)},
	{"data", false, isObject},
	{"cnf", false, isObject},
}

// verifyToken answers the claims and the kid of a token that is genuine, ours and of now (seconds
// since 1970).
func verifyToken(token, issuer, audience string, find findKey, now float64) (claims, string, error) {
	payload, kid, err := verifyJWS(token, "at+jwt", find, 8192)
	if err != nil {
		return nil, "", err
	}
	claims, err := readClaims(payload)
	if err != nil {
		return nil, "", err
	}
	secs := func(name string) float64 { whole, _ := wholeNumber(claims[name]); return float64(whole) }
	lifetime := secs("exp") - secs("iat")
	_, isBound := claims["cnf"] // nothing proves possession here
	for _, check := range []struct {
		holds       bool
		code, claim string
	}{
		{claims["iss"] == issuer, "claim_refused", "iss"},
		{claims["aud"] == audience, "claim_refused", "aud"},
		{1 <= lifetime && lifetime <= 86_400, "claim_refused", "exp"},
		{secs("iat") <= now+60, "token_not_yet_valid", "iat"},
		{secs("nbf") <= now, "token_not_yet_valid", "nbf"},
		{now < secs("exp"), "token_expired", "exp"},
		{!isBound, "claim_refused", "cnf"},
	} {
		if !check.holds {
			return nil, "", refused{check.code, check.claim, "check_failed"}
		}
	}
	return claims, kid, nil
}

func readClaims(payload []byte) (claims, error) {
	value, err := parseStrict(payload, 32)
	claims, isObject := value.(claims)
	if err != nil || !isObject {
		return nil, refuse("payload_invalid")
	}
	known := 0
	for _, shape := range shapes {
		value, isThere := claims[shape.name]
		switch {
		case !isThere && shape.isRequired:
			return nil, refused{"claim_refused", shape.name, "missing"}
		case isThere && !shape.isRight(value):
			return nil, refused{"claim_refused", shape.name, "invalid"}
		case isThere:
			known++
		}
	}
	if known != len(claims) {
		return nil, refuse("claim_unknown")
	}
	return claims, nil
}

func isInt64(digits string) bool {
	_, err := strconv.ParseInt(digits, 10, 64)
	return err == nil
}
