package allow

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// Bounds of one file of the allowlist. Nobody writes that much by hand; a file
// that is larger is something else, or was made by a program gone wrong.
const (
	maxFileBytes = 4 << 20
	maxFileItems = 1 << 16
	maxLineBytes = 1024
)

// An Item is one good line of a file: a prefix or, where that is invalid, a name.
type Item struct {
	Line   int
	Prefix netip.Prefix
	Name   string
}

// A lineError is one broken line.
type lineError struct {
	line int
	text string
}

// parseFile reads the text of a file of the allowlist: one prefix, address or
// name a line, # begins a comment, empty lines do not matter. It gives the good
// lines and every broken one; more lines than a file may have are one error.
func parseFile(text []byte) (items []Item, broken []lineError) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	n := 0
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		n++
		it, ok, err := parseLine(line)
		switch {
		case err != nil && len(broken) < maxFileItems:
			broken = append(broken, lineError{n, err.Error()})
		case ok && len(items) == maxFileItems:
			return items, append(broken, lineError{n, fmt.Sprintf("more than %d entries: write wider prefixes", maxFileItems)})
		case ok:
			it.Line = n
			items = append(items, it)
		}
	}
	return items, broken
}

// parseLine reads one line; ok is false for one that says nothing.
func parseLine(line []byte) (it Item, ok bool, err error) {
	line, _, _ = bytes.Cut(line, []byte("#"))
	line = bytes.Trim(line, " \t\r\v\f")
	switch {
	case len(line) == 0:
		return Item{}, false, nil
	case len(line) > maxLineBytes:
		return Item{}, false, fmt.Errorf("longer than %d bytes: write one prefix, address or name a line", maxLineBytes)
	case !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0:
		return Item{}, false, errors.New("is not text: write one prefix, address or name a line")
	case bytes.ContainsAny(line, " \t,;"):
		return Item{}, false, fmt.Errorf("%q: write one prefix, address or name a line, and # before a comment", cut(string(line)))
	}
	return parseWord(string(line))
}

func parseWord(s string) (it Item, ok bool, err error) {
	if strings.ContainsAny(s, "/:") || !looksLikeName(s) {
		p, err := prefix.ParseAny(s)
		if err != nil {
			return Item{}, false, errors.New(hint(s, err))
		}
		return Item{Prefix: p}, true, nil
	}
	name, err := parseName(s)
	if err != nil {
		return Item{}, false, err
	}
	return Item{Name: name}, true, nil
}

// looksLikeName says whether the last label has anything but digits in it, as
// that of every name in the DNS has: "192.0.2" is a slip, not a name.
func looksLikeName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	last := s[strings.LastIndexByte(s, '.')+1:]
	return strings.Trim(last, "0123456789*-") != ""
}

// hint says what to write for forms that other programs know.
func hint(s string, err error) string {
	switch {
	case len(s) > 100:
		return fmt.Sprintf("%q is not an address, a prefix or a name", cut(s))
	case strings.HasPrefix(s, "[") || strings.HasSuffix(s, "]"):
		return fmt.Sprintf("%q: write IPv6 addresses without brackets", s)
	case strings.Contains(s, "-") && strings.Count(s, ".") > 3:
		return fmt.Sprintf("%q is a range: write it as prefixes like 192.0.2.0/24", s)
	case strings.Contains(s, "*") || strings.HasSuffix(s, "."):
		return fmt.Sprintf("%q: write a prefix like 192.0.2.0/24", s)
	}
	return err.Error()
}

// parseName checks a DNS name and gives it in lower case without a last dot.
func parseName(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	switch {
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%q is not a DNS name", cut(s))
	case strings.HasPrefix(name, ".") || strings.Contains(name, "*"):
		return "", fmt.Errorf("%q: a whole domain cannot be looked up: list the names of its hosts or their networks", cut(s))
	}
	for _, r := range name {
		if r >= utf8.RuneSelf {
			return "", fmt.Errorf("%q: write the name in its xn-- form", cut(s))
		}
	}
	if !validName(name) {
		return "", fmt.Errorf("%q is not an address, a prefix or a DNS name", cut(s))
	}
	return name, nil
}

// validName says whether a lower case name may be asked for: RFC 1035 lengths,
// letters, digits, hyphens and the underscores that some hosts have, and a last
// label that is not a number.
func validName(name string) bool {
	if len(name) == 0 || len(name) > 253 || !looksLikeName(name) {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
