package allow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/prefix"
)

func TestParseFile(t *testing.T) {
	text := "\ufeff# partners\r\n192.0.2.0/24\r\n\n  198.51.100.7\t# the office\n2001:db8::/32\n2001:db8::1\nMX.Partner.Example.\nbackup"
	items, broken := parseFile([]byte(text))
	var got []string
	for _, it := range items {
		got = append(got, fmt.Sprintf("%d %v %s", it.Line, it.Prefix, it.Name))
	}
	expect(t, "items", got,
		"2 192.0.2.0/24 ", "4 198.51.100.7/32 ", "5 2001:db8::/32 ", "6 2001:db8::1/128 ",
		"7 invalid Prefix mx.partner.example", "8 invalid Prefix backup")
	if broken != nil {
		t.Fatal(broken)
	}
}

func TestBrokenLinesSayWhatToWrite(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"192.0.2.7/24", "write 192.0.2.0/24"},
		{"192.0.2.0/33", "192.0.2.0/33"},
		{"192.0.2", "192.0.2"},
		{"192.0.2.", "write a prefix like"},
		{"192.0.2.*", "write a prefix like"},
		{"192.0.2.0-192.0.2.9", "is a range"},
		{"192.0.2.1, 192.0.2.2", "one prefix, address or name a line"},
		{"192.0.2.1 OK", "one prefix, address or name a line"},
		{"192.0.2.1;", "one prefix, address or name a line"},
		{"[2001:db8::1]", "without brackets"},
		{"fe80::1%eth0", "write fe80::1"},
		{"::ffff:192.0.2.1", "write 192.0.2.1"},
		{".partner.example", "whole domain"},
		{"*.partner.example", "whole domain"},
		{"mx_-.example", "not an address"},
		{"-mx.example", "not an address"},
		{"mx..example", "not an address"},
		{"bücher.example", "xn--"},
		{"user@partner.example", "not an address"},
		{"a\x00b", "is not text"},
		{"\xff\xfe", "is not text"},
		{strings.Repeat("a", 64) + ".example", "not an address"},
		{strings.Repeat("1", 500), "not an address"},
		{strings.Repeat("a.", 600) + "example", "longer than"},
	} {
		items, broken := parseFile([]byte("192.0.2.9\n" + c.line + "\n"))
		if len(items) != 1 || len(broken) != 1 || broken[0].line != 2 {
			t.Errorf("%q: items %v, broken %v", c.line, items, broken)
			continue
		}
		if !strings.Contains(broken[0].text, c.says) || len(broken[0].text) > 300 {
			t.Errorf("%q: %q does not say %q", c.line, broken[0].text, c.says)
		}
	}
}

func TestAFileHasAnEnd(t *testing.T) {
	items, broken := parseFile([]byte(strings.Repeat("192.0.2.1\n", maxFileItems+5)))
	if len(items) != maxFileItems || len(broken) != 1 || broken[0].line != maxFileItems+1 {
		t.Fatalf("%d items, broken %v", len(items), broken)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("192.0.2.0/24\n# c\nmx.example # x\n[::1]\n192.0.2.*\n"))
	f.Add([]byte("\ufeff\n2001:db8::/32\r\n\x00\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		items, broken := parseFile(text)
		last := 0
		for _, it := range items {
			isPrefix := it.Prefix.IsValid() && it.Prefix == prefix.Canonical(it.Prefix)
			if isPrefix == validName(it.Name) || it.Line <= last {
				t.Fatalf("item %+v after line %d", it, last)
			}
			last = it.Line
		}
		lines := strings.Count(string(text), "\n") + 1
		if len(items)+len(broken) > lines {
			t.Fatalf("%d items and %d broken in %d lines", len(items), len(broken), lines)
		}
		for _, b := range broken {
			if b.line < 1 || b.line > lines || b.text == "" || len(b.text) > 1000 {
				t.Fatalf("broken %+v", b)
			}
		}
	})
}
