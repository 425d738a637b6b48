package prefix

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// A universe is a small prefix of which every address can be looked at.
type universe struct {
	root netip.Prefix
	bits int // the length of a host in it
}

var universes = []universe{
	{netip.MustParsePrefix("198.51.100.0/24"), 32},
	{netip.MustParsePrefix("203.0.112.0/21"), 32},
	{netip.MustParsePrefix("2001:db8::/118"), 128},
}

func (u universe) hosts() []netip.Addr {
	all := []netip.Addr{}
	for a := u.root.Addr(); u.root.Contains(a); a = a.Next() {
		all = append(all, a)
	}
	return all
}

// pick returns a random prefix of the universe, mostly a narrow one.
func (u universe) pick(r *rand.Rand, hosts []netip.Addr) netip.Prefix {
	span := u.bits - u.root.Bits()
	return netip.PrefixFrom(hosts[r.IntN(len(hosts))], u.bits-min(r.IntN(span+1), r.IntN(span+1), r.IntN(span+1))).Masked()
}

// fewest is the number of prefixes that a set of addresses needs, by
// definition: a prefix with all its addresses in the set needs one, another
// what its halves need.
func (u universe) fewest(p netip.Prefix, in map[netip.Addr]bool) int {
	count, size := 0, 1<<(u.bits-p.Bits())
	for a, i := p.Addr(), 0; i < size; a, i = a.Next(), i+1 {
		if in[a] {
			count++
		}
	}
	switch count {
	case 0:
		return 0
	case size:
		return 1
	}
	return u.fewest(netip.PrefixFrom(p.Addr(), p.Bits()+1), in) + u.fewest(upper(p), in)
}

// check demands that got is sorted, disjoint, holds exactly the wanted
// addresses of the universe, and has no more members than needed.
func (u universe) check(t *testing.T, what string, got []netip.Prefix, hosts []netip.Addr, want map[netip.Addr]bool) {
	t.Helper()
	for i, p := range got {
		if !Covers(u.root, p) {
			t.Fatalf("%s: %s lies outside of %s", what, p, u.root)
		}
		if i > 0 && Last(got[i-1]).Compare(p.Addr()) >= 0 {
			t.Fatalf("%s: %s and %s are not sorted and disjoint", what, got[i-1], p)
		}
	}
	for _, a := range hosts {
		held := slices.ContainsFunc(got, func(p netip.Prefix) bool { return p.Contains(a) })
		if held != want[a] {
			t.Fatalf("%s: %s held %v, want %v, in %v", what, a, held, want[a], got)
		}
	}
	if n := u.fewest(u.root, want); len(got) != n {
		t.Fatalf("%s: %d prefixes where %d do: %v", what, len(got), n, got)
	}
	if len(got) == 0 && got != nil {
		t.Fatalf("%s: empty but not nil", what)
	}
}

func TestMergeAgainstTheTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, u := range universes {
		hosts := u.hosts()
		for range 150 {
			var ps []netip.Prefix
			want := map[netip.Addr]bool{}
			for range r.IntN(40) {
				p := u.pick(r, hosts)
				ps = append(ps, p)
				for a := p.Addr(); p.Contains(a); a = a.Next() {
					want[a] = true
				}
			}
			before := slices.Clone(ps)
			merged := Merge(ps)
			u.check(t, "Merge", merged, hosts, want)
			if !slices.Equal(ps, before) {
				t.Fatal("Merge changed its input")
			}
			r.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
			if again := Merge(append(ps, merged...)); !slices.Equal(again, merged) {
				t.Fatalf("Merge of %v depends on the order: %v", merged, again)
			}
		}
	}
}

func TestSubtractAgainstTheTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for _, u := range universes {
		hosts := u.hosts()
		for range 150 {
			p := u.root
			if r.IntN(2) == 0 {
				p = u.pick(r, hosts)
			}
			want := map[netip.Addr]bool{}
			for a := p.Addr(); p.Contains(a); a = a.Next() {
				want[a] = true
			}
			holes := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), {}}
			for range r.IntN(12) {
				h := u.pick(r, hosts)
				holes = append(holes, h)
				for a := h.Addr(); h.Contains(a); a = a.Next() {
					delete(want, a)
				}
			}
			u.check(t, "Subtract", Subtract(p, holes), hosts, want)
		}
	}
}

// What is left and the holes inside together are the prefix again.
func TestSubtractAndMergeUndoEachOther(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 300 {
		p, holes := somePrefix(r), []netip.Prefix{}
		for range r.IntN(6) {
			if h := somePrefix(r); Covers(p, h) {
				holes = append(holes, h)
			}
		}
		rest := Subtract(p, holes)
		if got := Merge(append(rest, holes...)); len(got) != 1 || got[0] != p {
			t.Fatalf("%s without %v and they together are %v", p, holes, got)
		}
		if got := Subtract(p, rest); !slices.Equal(got, Merge(holes)) {
			t.Fatalf("%s without %v without the rest is %v", p, holes, got)
		}
	}
}

func TestMergeAndSubtractAtTheEdges(t *testing.T) {
	prefixes := func(ss ...string) (ps []netip.Prefix) {
		for _, s := range ss {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	for _, c := range []struct{ in, want []netip.Prefix }{
		{prefixes("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"), prefixes("0.0.0.0/0", "::/0")},
		{prefixes("::/0", "255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), prefixes("255.255.255.255/32", "::/0")},
		{prefixes("::ffff:192.0.2.0/121", "192.0.2.128/25"), prefixes("192.0.2.0/24")},
		{prefixes("192.0.2.128/25", "192.0.3.0/25"), prefixes("192.0.2.128/25", "192.0.3.0/25")}, // neighbours, not halves of one
	} {
		if got := Merge(c.in); !slices.Equal(got, c.want) {
			t.Errorf("Merge(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	whole := netip.MustParsePrefix("::/0")
	if got := Subtract(whole, prefixes("0.0.0.0/0")); !slices.Equal(got, []netip.Prefix{whole}) {
		t.Errorf("an IPv4 hole in ::/0 leaves %v", got)
	}
	if got := Subtract(whole, prefixes("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")); len(got) != 128 {
		t.Errorf("::/0 without its last address: %d prefixes, want 128", len(got))
	}
	if got := Subtract(netip.MustParsePrefix("203.0.113.0/24"), prefixes("203.0.113.7/32")); len(got) != 8 {
		t.Errorf("a /24 without one host: %d prefixes, want 8", len(got))
	}
}
