package prefix

import (
	"math"
	"net/netip"
	"testing"
)

func TestUnitHostLastSize(t *testing.T) {
	for _, c := range []struct{ addr, host, unit string }{
		{"192.0.2.7", "192.0.2.7/32", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.7/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6/128", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::1/128", "fe80::/64"},
	} {
		a := netip.MustParseAddr(c.addr)
		if got := Host(a).String(); got != c.host {
			t.Errorf("Host(%s) = %s, want %s", c.addr, got, c.host)
		}
		if got := Unit(a).String(); got != c.unit {
			t.Errorf("Unit(%s) = %s, want %s", c.addr, got, c.unit)
		}
	}
	for _, c := range []struct {
		prefix, last string
		size         uint64
	}{
		{"192.0.2.0/24", "192.0.2.255", 256},
		{"192.0.2.7/32", "192.0.2.7", 1},
		{"192.0.2.7/31", "192.0.2.7", 2},
		{"0.0.0.0/0", "255.255.255.255", 1 << 32},
		{"2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 1 << 32},
		{"2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", 1},
		{"2001:db8::/127", "2001:db8::1", 1},
		{"2001:db8::/61", "2001:db8:0:7:ffff:ffff:ffff:ffff", 8},
		{"::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", math.MaxUint64},
		{"::ffff:192.0.2.0/120", "192.0.2.255", 256},
	} {
		p := netip.MustParsePrefix(c.prefix)
		if got := Last(p).String(); got != c.last {
			t.Errorf("Last(%s) = %s, want %s", p, got, c.last)
		}
		if got := Size(p); got != c.size {
			t.Errorf("Size(%s) = %d, want %d", p, got, c.size)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"192.0.2.0/24", "192.0.2.0/24", true},
		{"192.0.2.0/24", "192.0.2.128/25", true},
		{"192.0.2.128/25", "192.0.2.0/24", false},
		{"192.0.2.0/24", "198.51.100.0/25", false},
		{"0.0.0.0/0", "2001:db8::/32", false},
		{"::/0", "192.0.2.0/24", false},
	} {
		if got := Covers(netip.MustParsePrefix(c.outer), netip.MustParsePrefix(c.inner)); got != c.want {
			t.Errorf("Covers(%s, %s) = %v", c.outer, c.inner, got)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, strict, any string }{ // empty: an error
		{"192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/24"},
		{"2001:db8::/32", "2001:db8::/32", "2001:db8::/32"},
		{"192.0.2.1/32", "192.0.2.1/32", "192.0.2.1/32"},
		{"192.0.2.1", "", "192.0.2.1/32"},
		{"2001:db8::1", "", "2001:db8::1/128"},
		{"192.0.2.7/24", "", ""},
		{"2001:db8::1/64", "", ""},
		{"::ffff:192.0.2.0/120", "", ""},
		{"::ffff:192.0.2.1", "", ""},
		{"::ffff:0.0.0.0/90", "", ""},
		{"fe80::1%eth0", "", ""},
		{"fe80::%eth0/64", "", ""},
		{"192.0.2.0/33", "", ""},
		{"192.0.2/24", "", ""},
		{"192.000.2.0/24", "", ""},
		{"mx.example.net", "", ""},
		{"", "", ""},
		{"/", "", ""},
	} {
		for _, f := range []struct {
			name, want string
			parse      func(string) (netip.Prefix, error)
		}{{"Parse", c.strict, Parse}, {"ParseAny", c.any, ParseAny}} {
			p, err := f.parse(c.in)
			if f.want == "" {
				if err == nil || p.IsValid() {
					t.Errorf("%s(%q) = %s, %v, want an error", f.name, c.in, p, err)
				}
			} else if err != nil || p.String() != f.want {
				t.Errorf("%s(%q) = %s, %v, want %s", f.name, c.in, p, err, f.want)
			}
		}
	}
}

func TestParseErrorsSayWhatToWrite(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7/24":         `prefix "192.0.2.7/24" has host bits set: write 192.0.2.0/24`,
		"192.0.2.7":            `prefix "192.0.2.7" has no length: write 192.0.2.7/32 for this one address`,
		"2001:db8::7":          `prefix "2001:db8::7" has no length: write 2001:db8::7/128 for this one address`,
		"::ffff:192.0.2.0/120": `prefix "::ffff:192.0.2.0/120" is IPv4-mapped: write 192.0.2.0/24`,
		"::ffff:192.0.2.1":     `address "::ffff:192.0.2.1" is IPv4-mapped: write 192.0.2.1`,
		"fe80::1%eth0":         `address "fe80::1%eth0" has a zone: write fe80::1`,
		"192.0.2.0/33":         `"192.0.2.0/33" is not a prefix like 192.0.2.0/24 or 2001:db8::/32: prefix length out of range`,
		"mx.example.net":       `"mx.example.net" is not an address or prefix: unexpected character (at "mx.example.net")`,
	} {
		if _, err := Parse(in); err == nil || err.Error() != want {
			t.Errorf("Parse(%q): %v\nwant %s", in, err, want)
		}
	}
}

func TestPrivateAndSpecial(t *testing.T) {
	var private, special Set
	for _, p := range Private() {
		if p != p.Masked() {
			t.Errorf("%s has host bits", p)
		}
		private.Insert(p)
	}
	for _, p := range Special() {
		if p != p.Masked() {
			t.Errorf("%s has host bits", p)
		}
		if private.Overlaps(p) {
			t.Errorf("%s is private and special", p)
		}
		special.Insert(p)
	}
	for addr, want := range map[string]string{
		"10.255.255.255": "private", "172.16.0.0": "private", "172.31.255.255": "private", "192.168.7.7": "private",
		"100.64.0.0": "private", "100.127.255.255": "private", "fc00::1": "private", "fdff::1": "private",
		"0.0.0.0": "special", "0.1.2.3": "special", "127.0.0.1": "special", "169.254.169.254": "special", "224.0.0.1": "special",
		"240.0.0.1": "special", "255.255.255.255": "special", "::": "special", "::1": "special", "fe80::1": "special",
		"febf::1": "special", "ff02::1": "special", "::ffff:127.0.0.1": "special",
		"9.255.255.255": "", "11.0.0.0": "", "172.15.255.255": "", "172.32.0.0": "", "192.0.2.1": "", "192.167.255.255": "",
		"100.63.255.255": "", "100.128.0.0": "", "1.0.0.0": "", "126.255.255.255": "", "128.0.0.0": "", "169.253.255.255": "",
		"223.255.255.255": "", "2001:db8::1": "", "::2": "", "fbff::1": "", "fec0::1": "", "fe7f::1": "",
	} {
		a := netip.MustParseAddr(addr)
		if got := private.Contains(a); got != (want == "private") {
			t.Errorf("private holds %s: %v", a, got)
		}
		if got := special.Contains(a); got != (want == "special") {
			t.Errorf("special holds %s: %v", a, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::ffff:192.0.2.0/120", "fe80::1%eth0/64", "/", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseAny(s)
		if err != nil {
			return
		}
		if p != Canonical(p) {
			t.Fatalf("ParseAny(%q) = %s, which is not canonical", s, p)
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Fatalf("Parse(%q) = %s, %v", p, again, err)
		}
	})
}
