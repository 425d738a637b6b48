package allow

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/prefix"
	"pgregory.net/rapid"
)

func drawPrefix(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "v4") {
		a := netip.AddrFrom4([4]byte{198, 51, 100, rapid.Byte().Draw(t, "low")})
		return netip.PrefixFrom(a, rapid.IntRange(22, 32).Draw(t, "bits")).Masked()
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: rapid.Byte().Draw(t, "low")}
	return netip.PrefixFrom(netip.AddrFrom16(b), rapid.IntRange(118, 128).Draw(t, "bits")).Masked()
}

// The set holds exactly what some entry holds, and Lookup names exactly these.
func TestSetIsTheUnionOfTheEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		for i := range rapid.IntRange(0, 12).Draw(t, "entries") {
			entries = append(entries, Entry{Prefix: drawPrefix(t), Kind: Kind(rapid.IntRange(0, int(numKinds)-1).Draw(t, "kind")), Origin: fmt.Sprint(i % 3)})
		}
		l := newList(slices.Clone(entries), nil, nil)
		set := l.Set()
		for last := range 1024 {
			for _, a := range []netip.Addr{
				netip.AddrFrom4([4]byte{198, 51, byte(100 + last>>8), byte(last)}),
				netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(last >> 8), 15: byte(last)}),
			} {
				var want []Entry
				for _, e := range entries {
					if e.Prefix.Contains(a) && !slices.Contains(want, e) {
						want = append(want, e)
					}
				}
				if set.Contains(a) != (len(want) > 0) {
					t.Fatalf("set holds %s: %v, entries %v", a, set.Contains(a), want)
				}
				if got := l.Lookup(a); len(got) != len(want) {
					t.Fatalf("lookup %s: %v, want %v", a, got, want)
				}
			}
		}
		if !slices.IsSortedFunc(l.Entries(), compareEntries) {
			t.Fatal("entries are not sorted")
		}
	})
}

func TestDiffIsWhatChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var old, now []Entry
		for range rapid.IntRange(0, 20).Draw(t, "entries") {
			e := Entry{Prefix: drawPrefix(t), Origin: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "origin")}
			if rapid.Bool().Draw(t, "old") {
				old = append(old, e)
			}
			if rapid.Bool().Draw(t, "new") {
				now = append(now, e)
			}
		}
		a, b := newList(slices.Clone(old), nil, nil), newList(slices.Clone(now), nil, nil)
		added, removed := b.Diff(a)
		for _, e := range slices.Concat(old, now) {
			if got, want := slices.Contains(added, e), !slices.Contains(old, e); got != want {
				t.Fatalf("%v added: %v, want %v", e, got, want)
			}
			if got, want := slices.Contains(removed, e), !slices.Contains(now, e); got != want {
				t.Fatalf("%v removed: %v, want %v", e, got, want)
			}
		}
		if len(added)+len(a.Entries())-len(removed) != len(b.Entries()) {
			t.Fatalf("%d + %d - %d entries make %d", len(a.Entries()), len(added), len(removed), len(b.Entries()))
		}
		if first, none := b.Diff(nil); !slices.Equal(first, b.Entries()) || none != nil {
			t.Fatalf("against nothing: %v, %v", first, none)
		}
	})
}

func TestLookupForgivesForms(t *testing.T) {
	l := newList([]Entry{{Prefix: prefix.Host(netip.MustParseAddr("192.0.2.7")), Origin: "x"}}, nil, nil)
	for _, s := range []string{"192.0.2.7", "::ffff:192.0.2.7"} {
		if got := l.Lookup(netip.MustParseAddr(s)); len(got) != 1 {
			t.Errorf("%s: %v", s, got)
		}
	}
	if got := l.Lookup(netip.MustParseAddr("192.0.2.8")); got != nil {
		t.Errorf("neighbour: %v", got)
	}
	if got := l.Lookup(netip.Addr{}); got != nil {
		t.Errorf("no address: %v", got)
	}
}

func TestAGreatPartOfTheInternetIsAnAlarm(t *testing.T) {
	for _, c := range []struct {
		prefix string
		kind   Kind
		alarm  bool
	}{
		{"0.0.0.0/0", Postfix, true},
		{"64.0.0.0/7", Config, true},
		{"64.0.0.0/8", Config, false},
		{"::/0", File, true},
		{"2000::/3", Config, true},
		{"2001::/16", Config, false},
		{"fd00::/8", Config, false}, // inside of a private range
		{"224.0.0.0/4", Config, false},
		{"fc00::/7", Private, false},
	} {
		l := newList([]Entry{{Prefix: netip.MustParsePrefix(c.prefix), Kind: c.kind, Origin: "x:1"}}, nil, nil)
		if got := len(l.Problems()) == 1; got != c.alarm {
			t.Errorf("%s: %q", c.prefix, problems(l))
		}
		if l.NoWidening() {
			t.Errorf("%s stops widening", c.prefix)
		}
	}
}

func TestSeveritiesAskForWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		severity        Severity
		nothing, narrow bool
	}{{Note, false, false}, {Alarm, false, false}, {NoWidening, false, true}, {BanNothing, true, true}} {
		l := newList(nil, []Problem{{Severity: Note, Origin: "a"}, {Severity: c.severity, Origin: "b"}}, nil)
		if l.BanNothing() != c.nothing || l.NoWidening() != c.narrow {
			t.Errorf("%s: ban nothing %v, no widening %v", c.severity, l.BanNothing(), l.NoWidening())
		}
	}
}

func TestWordsOfKindsAndSeverities(t *testing.T) {
	for k := range numKinds {
		if b, err := k.MarshalText(); err != nil || len(b) == 0 || string(b) != k.String() {
			t.Errorf("kind %d: %q, %v", k, b, err)
		}
	}
	if got := Kind(99).String(); got != "kind(99)" {
		t.Error(got)
	}
	if got := Severity(99).String(); got != "severity(99)" {
		t.Error(got)
	}
	if b, err := NoWidening.MarshalText(); err != nil || string(b) != "no widening" {
		t.Error(string(b), err)
	}
}
