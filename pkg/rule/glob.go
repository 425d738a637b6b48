package rule

import "strings"

// A glob is a text pattern in lower case: * stands for any bytes, ? for one.
type glob struct {
	text  string
	exact bool // has neither * nor ?
	some  bool // is "?*": anything but the empty text
}

func newGlob(s string) glob {
	s = string(lower(nil, []byte(s)))
	return glob{text: s, exact: !strings.ContainsAny(s, "*?"), some: s == "?*"}
}

// match says whether all of v, which is in lower case, fits the pattern. It
// takes at most len(g.text)*len(v) steps.
func (g *glob) match(v []byte) bool {
	switch {
	case g.exact:
		return string(v) == g.text
	case g.some:
		return len(v) > 0
	}
	p := g.text
	i, j := 0, 0
	star, from := -1, 0
	for j < len(v) {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == v[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// head and tail are the literal text before the first and after the last wildcard.
func (g *glob) head() string { return g.text[:strings.IndexAny(g.text, "*?")] }
func (g *glob) tail() string { return g.text[strings.LastIndexAny(g.text, "*?")+1:] }

// lower appends v to dst in lower case, as far as ASCII goes.
func lower(dst, v []byte) []byte {
	for _, c := range v {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
