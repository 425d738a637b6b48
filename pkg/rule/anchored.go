package rule

import (
	"errors"
	"regexp/syntax"
)

var (
	errAnchor   = errors.New("must begin with ^ in every branch: an expression that is not anchored can be led astray by text the client wrote: write ^(?:one|other)")
	errNoClient = errors.New("has no group for the client: write (?P<client>[0-9a-fA-F:.]+) where its address stands")
	errRepeated = errors.New("the group client is repeated: it must stand for one place in the line")
	errFree     = errors.New("before the group client nothing may be unbounded but [^ ]+ : .* or \\S* would let text the client wrote choose the address: write the fixed words out, and [^ ]+ for one word between blanks")
	errBlank    = errors.New("before the group client a repeat may not take in a blank: it would let text the client wrote choose the address: write the fixed words out")
	errAny      = errors.New("before the group client a lone . is any byte: write \\. for a full stop, or [^ ] for one byte of a word")
)

// anchored checks that no text a client wrote can move the group client: that
// the expression is anchored at the first byte, and that between there and
// the group only fixed words stand and words that hold no blank.
func anchored(tree *syntax.Regexp) error {
	if !begins(tree) {
		return errAnchor
	}
	if !hasClient(tree) {
		return errNoClient
	}
	return before(tree)
}

func begins(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpConcat, syntax.OpCapture:
		return begins(re.Sub[0])
	}
	return false
}

func hasClient(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture && re.Name == "client" {
		return true
	}
	for _, sub := range re.Sub {
		if hasClient(sub) {
			return true
		}
	}
	return false
}

// before checks what stands ahead of the group client in re, which holds it.
func before(re *syntax.Regexp) error {
	switch re.Op {
	case syntax.OpCapture:
		if re.Name == "client" {
			return nil
		}
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		return errRepeated
	}
	for _, sub := range re.Sub {
		if hasClient(sub) {
			return before(sub)
		}
		if re.Op == syntax.OpConcat {
			if err := fixed(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// fixed checks an expression that stands ahead of the group client.
func fixed(re *syntax.Regexp) error {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return errAny
	case syntax.OpStar:
		return errFree
	case syntax.OpPlus:
		if sub := re.Sub[0]; sub.Op == syntax.OpCharClass && notBlank(sub.Rune) {
			return nil
		}
		return errFree
	case syntax.OpRepeat:
		switch sub := re.Sub[0]; {
		case re.Max < 0:
			return errFree
		case takesBlank(sub):
			return errBlank
		}
	}
	for _, sub := range re.Sub {
		if err := fixed(sub); err != nil {
			return err
		}
	}
	return nil
}

// notBlank says that a class is exactly [^ ].
func notBlank(ranges []rune) bool {
	return len(ranges) == 4 && ranges[0] == 0 && ranges[1] == ' '-1 && ranges[2] == ' '+1 && ranges[3] == 0x10ffff
}

func takesBlank(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpLiteral:
		for _, c := range re.Rune {
			if c == ' ' {
				return true
			}
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i] <= ' ' && ' ' <= re.Rune[i+1] {
				return true
			}
		}
	}
	for _, sub := range re.Sub {
		if takesBlank(sub) {
			return true
		}
	}
	return false
}
