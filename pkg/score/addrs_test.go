package score

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestAddrs holds the set, what is in it and what is within prefixes, against a sorted
// slice, with addresses in order, in reverse and in none; those in order fill their
// chunks.
func TestAddrs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	const n = 5*chunkKeys + 7
	six := func(i uint32) netip.Addr { return host6(uint64(i/64), uint64(i%64)) } // ::1 is less than any of IPv4
	for name, at := range map[string]func(i int) netip.Addr{
		"up":     func(i int) netip.Addr { return host4(uint32(i)) },
		"down":   func(i int) netip.Addr { return host4(uint32(n - i)) },
		"random": func(int) netip.Addr { return host4(r.Uint32N(4 * n)) },
		"up 6":   func(i int) netip.Addr { return six(uint32(i)) },
		"down 6": func(i int) netip.Addr { return six(uint32(n - i)) },
		"both": func(int) netip.Addr {
			if r.IntN(2) == 0 {
				return host4(r.Uint32N(4 * n))
			}
			return six(r.Uint32N(4 * n))
		},
	} {
		var s addrs
		var want []netip.Addr
		check := func() {
			t.Helper()
			for _, c := range s.v4 {
				if len(c) == 0 || len(c) > chunkKeys {
					t.Fatalf("%s: a chunk of %d", name, len(c))
				}
			}
			for _, c := range s.v6 {
				if len(c) == 0 || len(c) > chunkKeys {
					t.Fatalf("%s: a chunk of %d", name, len(c))
				}
			}
			if got := slices.Collect(s.all); !slices.Equal(got, want) || s.len() != len(want) {
				t.Fatalf("%s: %d addresses, want %d: %v", name, s.len(), len(want), got)
			}
			if len(want) == 0 {
				return
			}
			stop := want[r.IntN(len(want))]
			last := netip.Addr{}
			for last = range s.all {
				if last == stop {
					break
				}
			}
			if last != stop {
				t.Fatalf("%s: stopped at %v, not at %v", name, last, stop)
			}
			for range 5 {
				a := want[r.IntN(len(want))]
				if r.IntN(3) == 0 {
					a = at(r.IntN(n))
				}
				p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
				in := slices.DeleteFunc(slices.Clone(want), func(a netip.Addr) bool { return !p.Contains(a) })
				most := 1 + r.IntN(len(in)+1)
				in = in[:min(most, len(in))]
				var got []netip.Addr
				s.within(p, func(a netip.Addr) bool { got = append(got, a); return len(got) < most })
				if !slices.Equal(got, in) {
					t.Fatalf("%s: in %v %v, want %v", name, p, got, in)
				}
			}
		}
		for i := range n {
			a := at(i)
			s.insert(a)
			if j, found := slices.BinarySearchFunc(want, a, netip.Addr.Compare); !found {
				want = slices.Insert(want, j, a)
			}
			if i%97 == 0 || i > n-9 {
				check()
			}
		}
		if most, n := (n+chunkKeys-1)/chunkKeys, len(s.v4)+len(s.v6); (name == "up" || name == "up 6") && n > most {
			t.Errorf("%s: %d chunks, want %d", name, n, most)
		}
		s.within(netip.Prefix{}, func(a netip.Addr) bool { t.Fatalf("%s: %v is in no prefix", name, a); return false })
		for len(want) > 0 {
			a := at(r.IntN(n)) // it may not be there
			if r.IntN(2) == 0 {
				a = want[r.IntN(len(want))]
			}
			s.remove(a)
			if j, found := slices.BinarySearchFunc(want, a, netip.Addr.Compare); found {
				want = slices.Delete(want, j, j+1)
			}
			if len(want)%97 == 0 {
				check()
			}
		}
	}
}

// TestRecords: each client has its own record, whatever kind of address it has, and who
// has none has none.
func TestRecords(t *testing.T) {
	m := newRecords()
	want := map[netip.Addr]*record{}
	for _, text := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "::c000:201", "2001:db8::1", "2001:db8:0:1::1"} {
		a := netip.MustParseAddr(text)
		if r := m.get(a); r != nil {
			t.Errorf("%v has a record", a)
		}
		want[a] = &record{days: uint16(len(want) + 1)}
		m.put(a, want[a])
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("::ffff:0.0.0.0")} {
		if m.get(a) != nil {
			t.Errorf("%v has a record", a)
		}
	}
	check := func() {
		t.Helper()
		n := 0
		for a, r := range m.all {
			if n++; want[a] != r {
				t.Errorf("%v has the record %v, want %v", a, r, want[a])
			}
		}
		if n != len(want) || m.len() != n {
			t.Errorf("%d records, %d by len, want %d", n, m.len(), len(want))
		}
		for a, r := range want {
			if m.get(a) != r {
				t.Errorf("%v has the record %v, want %v", a, m.get(a), r)
			}
		}
	}
	check()
	for most := range len(want) {
		n := 0
		for range m.all {
			if n++; n > most {
				break
			}
		}
		if n != most+1 {
			t.Errorf("%d records until it stopped, want %d", n, most+1)
		}
	}
	for a := range want {
		m.remove(a)
		delete(want, a)
		check()
	}
}
