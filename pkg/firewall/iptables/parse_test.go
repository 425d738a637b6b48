//go:build linux

package iptables

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	owner := strings.Repeat("o", 16) // the longest there is
	for _, s := range allSets() {
		for _, n := range []string{s.name(owner), s.aside(owner)} {
			if len(n) > 31 || seen[n] || !strings.HasPrefix(n, owner+"-") {
				t.Errorf("%q: %d bytes", n, len(n))
			}
			seen[n] = true
		}
	}
	if n := chainOf(owner); len(n) > 28 {
		t.Errorf("%q is too long", n)
	}
}

func TestParseMember(t *testing.T) {
	for line, want := range map[string]member{
		"add x 192.0.2.1 timeout 49 packets 3 bytes 180": {prefix: netip.MustParsePrefix("192.0.2.1/32"), seconds: 49, packets: 3, bytes: 180},
		"add x 0.0.0.0/1 timeout 1 packets 0 bytes 0":    {prefix: netip.MustParsePrefix("0.0.0.0/1"), seconds: 1},
		"add x 2001:db8::/64 timeout 0":                  {prefix: netip.MustParsePrefix("2001:db8::/64")},
		"add x 2001:db8::1":                              {prefix: netip.MustParsePrefix("2001:db8::1/128")},
		"add x 192.0.2.0/24 timeout 5 nomatch":           {prefix: netip.MustParsePrefix("192.0.2.0/24"), seconds: 5, nomatch: true},
		"add x 192.0.2.0/24 timeout 99999999999":         {prefix: netip.MustParsePrefix("192.0.2.0/24"), seconds: maxTimeout},
	} {
		if got, ok := parseMember(line); !ok || got != want {
			t.Errorf("parseMember(%q) = %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"", "add", "add x", "add x ", "create x hash:net family inet timeout 0 counters", "add x 192.0.2.1/33",
		"add x 192.0.2.1/24", "add x 192.0.2.1 timeout", "add x 192.0.2.1 timeout -1", "add x fe80::1%eth0", "add x mail.example.org",
	} {
		if got, ok := parseMember(line); ok {
			t.Errorf("parseMember(%q) = %+v", line, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		1: 1, time.Second: 1, 1400 * time.Millisecond: 1, 1600 * time.Millisecond: 2, 90 * time.Second: 90, 1000 * time.Hour: maxTimeout,
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestSplitRule(t *testing.T) {
	for line, want := range map[string][]string{
		`-A PREROUTING -p tcp -j POSTMOAT`:                {"-A", "PREROUTING", "-p", "tcp", "-j", "POSTMOAT"},
		`-A P -m comment --comment "an \"old\" one" -j X`: {"-A", "P", "-m", "comment", "--comment", `an "old" one`, "-j", "X"},
		`-A P --comment "" -j X`:                          {"-A", "P", "--comment", "", "-j", "X"},
		`-A P --comment "back\\slash -j POSTMOAT"`:        {"-A", "P", "--comment", `back\slash -j POSTMOAT`},
		``: nil,
	} {
		if got := splitRule(line); !slices.Equal(got, want) {
			t.Errorf("splitRule(%s) = %q, want %q", line, got, want)
		}
	}
}

func TestAllowSets(t *testing.T) {
	var list []netip.Prefix
	for _, p := range []string{"::/0", "192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32"} {
		list = append(list, netip.MustParsePrefix(p))
	}
	got := allowSets(list)
	want := [len(families)][]netip.Prefix{
		{netip.MustParsePrefix("192.0.2.0/24")},
		{netip.MustParsePrefix("::/1"), netip.MustParsePrefix("8000::/1")},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestTally(t *testing.T) {
	const now = 1_800_000_000
	tally := newTally()
	for i, end := range []int64{now - 100, now - 3, now - 2, now, now + 2, now + 3, now + 1000, never} {
		tally.put(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32), end)
	}
	// Three are surely there, three may be.
	for entries, want := range map[int]bool{2: false, 3: true, 6: true, 7: false} {
		if got := tally.fits(entries, now); got != want {
			t.Errorf("%d entries: %v, want %v", entries, got, want)
		}
	}
	if n := len(tally.ends); n != 6 {
		t.Errorf("%d are kept, want 6", n)
	}
}
