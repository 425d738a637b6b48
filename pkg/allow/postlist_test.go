package allow

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// postFiles are the files that a Postfix list may name.
type postFiles map[string]string

func (f postFiles) read(path string) ([]byte, error) {
	text, ok := f[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func (n postNet) String() string { return strings.TrimSpace(n.prefix.String() + " " + n.at) }

func TestPostLists(t *testing.T) {
	files := postFiles{
		"/nets":      "# ours\n192.0.2.0/24, 198.51.100.1\n\n  # more\n[2001:db8::]/32 !203.0.113.9\n203.0.113.0/29\n",
		"/more":      "198.51.100.0/25 /nets",
		"/loop":      "192.0.2.9 /loop",
		"/hash":      "192.0.2.1 OK\n# c\n2001:db8::1\tOK\n  goes on 192.0.2.2\nmx.example x\n.example y\n192.0.2.7/24 z\n",
		"/cidr":      "192.0.2.0/25 OK\n!192.0.2.0/24 REJECT\nif 198.51.100.0/24\n198.51.100.1 OK\nendif\n203.0.113.1 OK\n2001:db8::/33 OK\n",
		"/excludes":  "192.0.2.0/25",
		"/negations": "!192.0.2.0/25",
	}
	for _, c := range []struct{ value, nets, names, notes string }{
		{"", "", "", ""},
		{"127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128", "127.0.0.0/8 127.0.0.0/8 ::1/128", "", ""},
		{"192.0.2.0/24,198.51.100.1\t[2001:db8::1]\n,,[2001:db8::/32]", "192.0.2.0/24 198.51.100.1/32 2001:db8::1/128 2001:db8::/32", "", ""},
		{"2001:db8::1 2001:db8::/32", "2001:db8::1/128 2001:db8::/32", "", ""},
		{"[192.0.2.1]", "192.0.2.1/32", "", ""},
		{"192.0.2.7/24", "192.0.2.0/24", "", "192.0.2.7/24 has host bits set, which Postfix refuses: it is taken as 192.0.2.0/24"},
		// The first match decides.
		{"!192.0.2.0/25 192.0.2.0/24", "192.0.2.128/25", "", ""},
		{"192.0.2.0/24 !192.0.2.0/25", "192.0.2.0/24", "", ""},
		{"!!192.0.2.1", "192.0.2.1/32", "", ""},
		{"!192.0.2.0/24 192.0.2.1 198.51.100.1", "198.51.100.1/32", "", ""},
		{"!/excludes 192.0.2.0/24", "192.0.2.128/25", "", ""},
		{"!/negations 192.0.3.0/24", "192.0.2.0/25 /negations:1 192.0.3.0/24", "", ""},
		{"/nets", "192.0.2.0/24 /nets:2 198.51.100.1/32 /nets:2 2001:db8::/32 /nets:5 203.0.113.0/29 /nets:6", "", ""},
		{"/more", "198.51.100.0/25 /more:1 192.0.2.0/24 /nets:2 198.51.100.1/32 /nets:2 2001:db8::/32 /nets:5 203.0.113.0/29 /nets:6", "", ""},
		{"/loop", "192.0.2.9/32 /loop:1 192.0.2.9/32 /loop:1 192.0.2.9/32 /loop:1 192.0.2.9/32 /loop:1", "", "/loop: files within files, it is not read"},
		{"/none 192.0.2.1", "192.0.2.1/32", "", "/none: file does not exist: list its networks in allow.networks"},
		{"hash:/hash", "192.0.2.1/32 /hash:1 2001:db8::1/128 /hash:3", "mx.example", ".example: a whole domain cannot be looked up"},
		{"proxy:lmdb:/hash", "192.0.2.1/32 /hash:1 2001:db8::1/128 /hash:3", "mx.example", ".example: a whole domain cannot be looked up"},
		{"cidr:/cidr", "192.0.2.0/25 /cidr:1 203.0.113.1/32 /cidr:6 2001:db8::/33 /cidr:7", "",
			"/cidr:2: ! in a table is not followed|/cidr:3: if ... endif is not followed; list its networks in allow.networks"},
		{"!cidr:/cidr 192.0.2.0/24", "192.0.2.128/25", "", "/cidr:2: ! in a table is not followed|/cidr:3: if ... endif is not followed; list its networks in allow.networks"},
		{"mysql:/etc/x.cf", "", "", "mysql:/etc/x.cf: such a table is not read; list its networks in allow.networks"},
		{"inline:{ 192.0.2.1=OK, x=y } 192.0.2.2", "192.0.2.2/32", "", "inline:{ 192.0.2.1=OK, x=y }: such a table is not read; list its networks in allow.networks"},
		{"static:all", "", "", "static:all: such a table is not read; list its networks in allow.networks"},
		{"MX.Example. .example !bad.example", "", "mx.example", ".example: a whole domain cannot be looked up|!bad.example: an excluded name is not looked up"},
		{"192.0.2 [2001:db8::1 [x]y 192.0.2.0/99 $x", "", "", `"192.0.2" is not understood|"[2001:db8::1" is not understood|"[x]y" is not understood|"192.0.2.0/99" is not understood|"$x" is not understood`},
	} {
		l := parsePostList(c.value, files.read)
		var nets []string
		for _, n := range l.nets {
			nets = append(nets, n.String())
		}
		if got := strings.Join(nets, " "); got != c.nets {
			t.Errorf("%q: nets %q, want %q", c.value, got, c.nets)
		}
		if got := strings.Join(l.names, " "); got != c.names {
			t.Errorf("%q: names %q, want %q", c.value, got, c.names)
		}
		if got := strings.Join(l.notes, "|"); got != c.notes {
			t.Errorf("%q: notes %q, want %q", c.value, got, c.notes)
		}
	}
}

func TestPostDomains(t *testing.T) {
	files := postFiles{"/virtual": "postmaster@a.example x\na.example anything\nuser y\n@b.example z\n"}
	l := parsePostDomains("$myhostname, example.org localhost hash:/virtual, 192.0.2.1 .sub.example mysql:/x !no.example", files.read)
	if got := strings.Join(l.names, " "); got != "example.org localhost a.example user" {
		t.Fatalf("names %q", got)
	}
	if len(l.nets) != 0 || len(l.notes) != 1 || !strings.Contains(l.notes[0], "$myhostname") {
		t.Fatalf("nets %v, notes %q", l.nets, l.notes)
	}
}

func TestPostListsAreBounded(t *testing.T) {
	l := parsePostList(strings.Repeat("192.0.2.1 ", maxPostPatterns+9), nil)
	if len(l.nets) != maxPostPatterns || len(l.notes) != 1 {
		t.Fatalf("%d nets, notes %q", len(l.nets), l.notes)
	}
	var b strings.Builder
	for i := range maxPostExcluded + 1 {
		fmt.Fprintf(&b, "![2001:db8::%x] ", 2*i)
	}
	l = parsePostList(b.String()+strings.Repeat("[::]/0 ", 1000), nil)
	if len(l.nets) != 2*maxPostPatterns || len(l.notes) == 0 {
		t.Fatalf("%d nets, notes %q", len(l.nets), l.notes)
	}
	files := make(postFiles)
	b.Reset()
	for i := range maxPostFiles + 5 {
		name := fmt.Sprintf("/f%d", i)
		files[name] = "192.0.2.1"
		b.WriteString(name + " ")
	}
	if l = parsePostList(b.String(), files.read); len(l.nets) != maxPostFiles || len(l.notes) != 5 {
		t.Fatalf("%d nets, notes %q", len(l.nets), l.notes)
	}
}

func FuzzParsePostList(f *testing.F) {
	for _, s := range []string{
		"127.0.0.0/8 [::1]/128, !192.0.2.1 192.0.2.0/24 /f hash:/f cidr:/f",
		"[2001:db8::/32] [::ffff:127.0.0.0]/104 inline:{ a=b, {c = d} } proxy:mysql:/x !!/f",
		"!cidr:/f mx.example .example 192.0.2.7/24",
	} {
		f.Add(s, "192.0.2.0/24 OK\nif x\n!192.0.2.1 b\nendif\n/f\n")
	}
	f.Fuzz(func(t *testing.T, value, text string) {
		read := func(string) ([]byte, error) { return []byte(text), nil }
		for _, l := range []*postList{parsePostList(value, read), parsePostDomains(value, read)} {
			if len(l.nets) > 2*maxPostPatterns || len(l.notes) > maxPostNotes || len(l.files) > maxPostFiles {
				t.Fatal("out of bounds")
			}
			for _, n := range l.nets {
				if !n.prefix.IsValid() || n.prefix != prefix.Canonical(n.prefix) {
					t.Fatal(n)
				}
			}
			for _, name := range l.names {
				if !validName(name) {
					t.Fatalf("name %q", name)
				}
			}
		}
	})
}

// Exclusions against the definition: the first pattern that holds the address decides.
func FuzzExclusions(f *testing.F) {
	f.Add([]byte{0x01, 30, 0x12, 28, 0x00, 24})
	f.Fuzz(func(t *testing.T, b []byte) {
		type pattern struct {
			p   netip.Prefix
			not bool
		}
		var patterns []pattern
		var text strings.Builder
		for ; len(b) >= 2 && len(patterns) < 12; b = b[2:] {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, b[0]}), 24+int(b[1]%9)).Masked()
			not := b[1] >= 128
			patterns = append(patterns, pattern{p, not})
			if not {
				text.WriteByte('!')
			}
			text.WriteString(p.String() + " ")
		}
		l := parsePostList(text.String(), nil)
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			want := false
			for _, p := range patterns {
				if p.p.Contains(a) {
					want = !p.not
					break
				}
			}
			got := false
			for _, n := range l.nets {
				got = got || n.prefix.Contains(a)
			}
			if got != want {
				t.Fatalf("%s: %s is in it: %v, want %v", text.String(), a, got, want)
			}
		}
	})
}
