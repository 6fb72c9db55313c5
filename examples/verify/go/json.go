package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"unicode/utf8"
)

var errJSON = errors.New("not JSON with one reading")

// parseStrict reads JSON with one reading. encoding/json takes the last of two members with one name,
// ignores the case of names, and mends broken UTF-8. Numbers stay as they are written.
func parseStrict(data []byte, depthMax int) (any, error) {
	if !utf8.Valid(data) || !json.Valid(data) || hasHalfCharacter(data) {
		return nil, errJSON
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return readValue(decoder, depthMax)
}

func readValue(decoder *json.Decoder, depthMax int) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	delim, isDelim := token.(json.Delim)
	if number, isNumber := token.(json.Number); isNumber {
		_, err = strconv.ParseFloat(string(number), 64) // too large for anybody
	}
	if !isDelim || err != nil {
		return token, err
	}
	if depthMax == 0 {
		return nil, errJSON
	}
	object, list := map[string]any{}, []any{}
	for decoder.More() {
		var name string
		if delim == '{' {
			token, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			name = token.(string)
			if _, isThere := object[name]; isThere {
				return nil, errJSON
			}
		}
		value, err := readValue(decoder, depthMax-1)
		if err != nil {
			return nil, err
		}
		if delim == '{' {
			object[name] = value
		} else {
			list = append(list, value)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	if delim == '{' {
		return object, nil
	}
	return list, nil
}

var escapes = regexp.MustCompile(`\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.`)

// hasHalfCharacter says whether one half of a surrogate pair is escaped without the other.
func hasHalfCharacter(data []byte) bool {
	for _, escape := range escapes.FindAll(data, -1) {
		if len(escape) == 6 {
			return true
		}
	}
	return false
}

// wholeNumber is what is written as a whole number without sign.
func wholeNumber(value any) (int64, bool) {
	number, isNumber := value.(json.Number)
	if !isNumber || len(number) == 0 || (number[0] == '0' && len(number) > 1) {
		return 0, false
	}
	for _, digit := range number {
		if digit < '0' || digit > '9' {
			return 0, false
		}
	}
	whole, err := strconv.ParseInt(string(number), 10, 64)
	return whole, err == nil
}

// texts is a list of nothing but texts.
func texts(value any) ([]string, bool) {
	list, isList := value.([]any)
	read := make([]string, 0, len(list))
	for _, item := range list {
		text, isText := item.(string)
		if !isText {
			return nil, false
		}
		read = append(read, text)
	}
	return read, isList
}
