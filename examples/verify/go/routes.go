package main

import (
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The routes of a session: docs/routes.md, as far as an API needs it.

var (
	// Each character is one that may stand for itself, or two hexadecimal digits behind `%`.
	segment = regexp.MustCompile(`^(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+$`)
	// What needs no encoding, and what programs decode at different times, must not be encoded.
	encoded      = regexp.MustCompile(`%..`)
	neverEncoded = regexp.MustCompile(`^[A-Za-z0-9\-._~/\\%?#;]$`)
	control      = regexp.MustCompile(`[\x00-\x1f\x7f-\x{9f}]`)
	inQuery      = regexp.MustCompile(`[#\x00-\x1f\x7f]`)
)

// readPath reads a request target into decoded segments. Whatever two programs could read in two ways
// is refused; nothing is normalised.
func readPath(target, mount string) ([]string, bool) {
	path, query, _ := strings.Cut(target, "?")
	if inQuery.MatchString(query) || len(path) > 2048 || !strings.HasPrefix(path, mount+"/") {
		return nil, false
	}
	rest := strings.TrimSuffix(path[len(mount)+1:], "/")
	raw := strings.Split(rest, "/")
	segments := make([]string, 0, len(raw))
	for _, text := range raw {
		decoded, isRight := readSegment(text)
		if !isRight {
			return nil, false
		}
		segments = append(segments, decoded)
	}
	return segments, len(segments) <= 64
}

func readSegment(raw string) (string, bool) {
	if !segment.MatchString(raw) {
		return "", false
	}
	for _, escape := range encoded.FindAllString(raw, -1) {
		code, _ := strconv.ParseUint(escape[1:], 16, 8)
		if code < 128 && neverEncoded.MatchString(string(rune(code))) {
			return "", false
		}
	}
	text, err := url.PathUnescape(raw)
	isRight := err == nil && utf8.ValidString(text) && text != "." && text != ".." && !control.MatchString(text)
	return text, isRight
}

const (
	method = `(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE)`
	piece  = `(?:\*\*?|[^/*?\[\]{}<>!\\%;#\s\x00-\x1f\x7f-\x{a0}]+)`
)

var pattern = regexp.MustCompile(`^(?:(` + method + `(?:,` + method + `)*) )?(` + piece + `(?:/` + piece + `)*)$`)

// isPattern says whether a text is a pattern as hallpass writes it into tokens: methods sorted, each
// once, and no wildcard behind `**`.
func isPattern(text string) bool {
	found := pattern.FindStringSubmatch(text)
	if found == nil || utf8.RuneCountInString(text) > 256 {
		return false
	}
	methods, pieces := strings.Split(found[1], ","), strings.Split(found[2], "/")
	isRight := sort.StringsAreSorted(methods) && len(pieces) <= 32
	for i := 1; i < len(methods); i++ {
		isRight = isRight && methods[i-1] != methods[i]
	}
	doubleStars := 0
	for i, piece := range pieces {
		if piece == "**" {
			doubleStars++
		}
		isBehind := i > 0 && pieces[i-1] == "**" && strings.HasPrefix(piece, "*")
		isRight = isRight && piece != "." && piece != ".." && !isBehind
	}
	return isRight && doubleStars <= 3
}

// allows says whether one of the patterns allows the request. A token has canonical patterns only.
func allows(patterns []string, method string, segments []string) bool {
	for _, pattern := range patterns {
		methods, path, hasMethods := strings.Cut(pattern, " ")
		if !hasMethods {
			path = pattern
		}
		isMeant := !hasMethods
		for _, name := range strings.Split(methods, ",") {
			isMeant = isMeant || name == method
		}
		if isMeant && matches(strings.Split(path, "/"), segments) {
			return true
		}
	}
	return false
}

// matches reads `*` as one segment, `**` as any number, at the end at least one. Rows of a table from
// the end of the pattern: row[j] says whether the rest of the pattern matches the segments from j on.
// So the work is pattern times path, whatever the pattern.
func matches(pieces, segments []string) bool {
	count := len(segments)
	row := make([]bool, count+1)
	row[count] = true
	for i := len(pieces) - 1; i >= 0; i-- {
		next, isLast := row, i == len(pieces)-1
		row = make([]bool, count+1)
		for j := count; j >= 0; j-- {
			switch {
			case pieces[i] == "**" && isLast:
				row[j] = j < count
			case pieces[i] == "**":
				row[j] = next[j] || (j < count && row[j+1])
			case j < count:
				row[j] = (pieces[i] == "*" || pieces[i] == segments[j]) && next[j+1]
			}
		}
	}
	return row[0]
}
