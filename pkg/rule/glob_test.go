package rule

import (
	"regexp"
	"strings"
	"testing"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob, text string
		want       bool
	}{
		{"", "", true}, {"", "x", false}, {"*", "", true}, {"?*", "", false}, {"?*", "x", true},
		{"a*b*c", "aXbXbc", true}, {"a*b*c", "acb", false}, {"*@b", "a@b", true}, {"*@b", "a@bc", false},
		{"4.*", "4.1.1", true}, {"4.*", "5.4.1", false}, {"???", "ab", false}, {"MAIL.*", "mail.x", true}, {"**", "", true},
	} {
		g := newGlob(c.glob)
		if got := g.match([]byte(c.text)); got != c.want {
			t.Errorf("%q against %q: %v", c.text, c.glob, got)
		}
	}
}

// A glob matches what the regular expression of the same meaning does.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbxc")
	f.Add("*ab*ab", "ababab")
	f.Add("?*", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 40 || len(text) > 200 {
			return
		}
		text = string(lower(nil, []byte(text)))
		g := newGlob(pattern)
		// Bytes, not runes: each is spelt out as Latin-1.
		wide := func(s string) string {
			var b strings.Builder
			for i := range len(s) {
				b.WriteRune(rune(s[i]))
			}
			return b.String()
		}
		re := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(wide(g.text)))
		if want := regexp.MustCompile(`(?s)^(?:` + re + `)$`).MatchString(wide(text)); g.match([]byte(text)) != want {
			t.Errorf("%q against %q: not %v", text, pattern, want)
		}
	})
}
