package prefix

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// naive is the slow twin of Table and Set: a list that is scanned.
type naive map[netip.Prefix]int

func (n naive) sorted() []netip.Prefix {
	var all []netip.Prefix
	for p := range n {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	return all
}

// holders are the members that hold all of p, longest first.
func (n naive) holders(p netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, q := range n.sorted() {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			all = append(all, q)
		}
	}
	slices.Reverse(all)
	return all
}

// inside are the members that lie in p, sorted.
func (n naive) inside(p netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, q := range n.sorted() {
		if p.Bits() <= q.Bits() && p.Contains(q.Addr()) {
			all = append(all, q)
		}
	}
	return all
}

// somePrefix is a random prefix of a small universe, so that many of them lie
// inside each other: 198.51.100.0/24 and 2001:db8:0:0:0:0:0:0/112, or rarely a
// much wider one.
func somePrefix(r *rand.Rand) netip.Prefix {
	a := someAddr(r)
	bits := a.BitLen() - r.IntN(10)
	if r.IntN(20) == 0 {
		bits = r.IntN(a.BitLen() + 1)
	}
	return netip.PrefixFrom(a, bits).Masked()
}

func someAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{198, 51, 100, byte(r.Uint32())})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(r.Uint32())})
}

func TestTableAndSetAgainstTheTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var table Table[int]
		var set Set
		twin := naive{}
		for i := range 60 {
			p := somePrefix(r)
			if r.IntN(4) == 0 {
				table.Delete(p)
				set.Delete(p)
				delete(twin, p)
			} else {
				table.Insert(p, i)
				set.Insert(p)
				twin[p] = i
			}
		}
		if table.Len() != len(twin) || set.Len() != len(twin) {
			t.Fatalf("Len: table %d, set %d, want %d", table.Len(), set.Len(), len(twin))
		}
		var all []netip.Prefix
		for p, v := range table.All() {
			if v != twin[p] {
				t.Fatalf("All: %s has %d, want %d", p, v, twin[p])
			}
			all = append(all, p)
		}
		if !slices.Equal(all, twin.sorted()) || !slices.Equal(set.All(), twin.sorted()) {
			t.Fatalf("All: table %v, set %v, want %v", all, set.All(), twin.sorted())
		}
		for range 60 {
			checkAddr(t, someAddr(r), &table, &set, twin)
			checkPrefix(t, somePrefix(r), &table, &set, twin)
		}
	}
}

func checkAddr(t *testing.T, a netip.Addr, table *Table[int], set *Set, twin naive) {
	t.Helper()
	holders := twin.holders(Host(a))
	if got := set.Contains(a); got != (len(holders) > 0) {
		t.Fatalf("Contains(%s) = %v, holders %v", a, got, holders)
	}
	p, v, ok := table.Lookup(a)
	if ok != (len(holders) > 0) || ok && (p != holders[0] || v != twin[p]) {
		t.Fatalf("Lookup(%s) = %s, %d, %v, holders %v", a, p, v, ok, holders)
	}
}

func checkPrefix(t *testing.T, p netip.Prefix, table *Table[int], set *Set, twin naive) {
	t.Helper()
	holders, inside := twin.holders(p), twin.inside(p)
	v, ok := table.Get(p)
	if want, has := twin[p]; ok != has || v != want || set.Has(p) != has {
		t.Fatalf("Get(%s) = %d, %v, Has %v; want %d, %v", p, v, ok, set.Has(p), want, has)
	}
	longest, v, ok := table.LookupPrefix(p)
	if ok != (len(holders) > 0) || ok && (longest != holders[0] || v != twin[longest]) {
		t.Fatalf("LookupPrefix(%s) = %s, %d, %v, holders %v", p, longest, v, ok, holders)
	}
	if got := set.Covers(p); got != (len(holders) > 0) {
		t.Fatalf("Covers(%s) = %v, holders %v", p, got, holders)
	}
	overlaps := len(holders)+len(inside) > 0
	if set.Overlaps(p) != overlaps || table.Overlaps(p) != overlaps {
		t.Fatalf("Overlaps(%s) = %v, %v, want %v", p, set.Overlaps(p), table.Overlaps(p), overlaps)
	}
	within := inside
	if len(holders) > 0 {
		within = holders[:1]
	}
	if got := set.Within(p); !slices.Equal(got, within) {
		t.Fatalf("Within(%s) = %v, want %v", p, got, within)
	}
	if got := keys(table.Subnets(p)); !slices.Equal(got, inside) {
		t.Fatalf("Subnets(%s) = %v, want %v", p, got, inside)
	}
	if got := keys(table.Supernets(p)); !slices.Equal(got, holders) {
		t.Fatalf("Supernets(%s) = %v, want %v", p, got, holders)
	}
}

func keys(rows func(func(netip.Prefix, int) bool)) []netip.Prefix {
	var all []netip.Prefix
	for p := range rows {
		all = append(all, p)
	}
	return all
}

func TestIterationStops(t *testing.T) {
	var table Table[int]
	for i := range 8 {
		table.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32), i)
	}
	seen := 0
	for range table.All() {
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d rows after a break at 3", seen)
	}
}

func TestReplace(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	var s, o Set
	for range 40 {
		s.Insert(somePrefix(r))
		o.Insert(somePrefix(r))
	}
	want := o.All()
	s.Replace(&o)
	if !slices.Equal(s.All(), want) || !slices.Equal(o.All(), want) {
		t.Errorf("got %v, the other has %v, want %v", s.All(), o.All(), want)
	}
	o.Delete(want[0])
	s.Replace(&s)
	if !slices.Equal(s.All(), want) {
		t.Errorf("got %v, want %v", s.All(), want)
	}
}

func TestMappedAddressesAreIPv4(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.7")
	var table Table[string]
	var set Set
	table.Insert(netip.PrefixFrom(mapped, 120), "net")
	set.Insert(netip.PrefixFrom(mapped, 120))
	want := netip.MustParsePrefix("192.0.2.0/24")
	if all := set.All(); len(all) != 1 || all[0] != want {
		t.Errorf("set holds %v, want %s", all, want)
	}
	for _, a := range []string{"192.0.2.9", "::ffff:192.0.2.9"} {
		a := netip.MustParseAddr(a)
		if p, _, ok := table.Lookup(a); !ok || p != want || !set.Contains(a) {
			t.Errorf("%s: found %s, %v, in the set %v", a, p, ok, set.Contains(a))
		}
	}
	zoned := netip.MustParseAddr("fe80::1%eth0")
	set.Insert(Host(zoned))
	if !set.Contains(zoned) || !set.Contains(zoned.WithZone("")) {
		t.Error("an address with a zone is lost")
	}
}

func TestInvalidInput(t *testing.T) {
	var set Set
	var table Table[int]
	for _, p := range []netip.Prefix{{}, netip.PrefixFrom(netip.Addr{}, 8), netip.PrefixFrom(netip.IPv4Unspecified(), 33), netip.PrefixFrom(netip.IPv6Loopback(), -1)} {
		set.Insert(p)
		table.Insert(p, 1)
		if set.Has(p) || set.Overlaps(p) || set.Covers(p) || set.Within(p) != nil || table.Overlaps(p) {
			t.Errorf("%v is in the set", p)
		}
		if _, _, ok := table.LookupPrefix(p); ok {
			t.Errorf("%v is in the table", p)
		}
		if _, ok := table.Get(p); ok || keys(table.Subnets(p)) != nil || keys(table.Supernets(p)) != nil {
			t.Errorf("%v is in the table", p)
		}
		set.Delete(p)
		table.Delete(p)
		if Subtract(p, nil) != nil || Merge([]netip.Prefix{p}) != nil || Last(p).IsValid() || Size(p) != 0 || Covers(p, p) {
			t.Errorf("%v counts as something", p)
		}
	}
	if set.Len() != 0 || table.Len() != 0 || set.All() != nil {
		t.Error("an invalid prefix was taken")
	}
	if set.Contains(netip.Addr{}) || Host(netip.Addr{}).IsValid() || Unit(netip.Addr{}).IsValid() {
		t.Error("the zero address counts as something")
	}
	if _, _, ok := table.Lookup(netip.Addr{}); ok {
		t.Error("the zero address is in the table")
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	set, table := benchSet(1000)
	a, p := netip.MustParseAddr("198.51.100.7"), netip.MustParsePrefix("198.51.100.0/24")
	b := netip.MustParseAddr("2001:db8::1")
	n := testing.AllocsPerRun(100, func() {
		set.Contains(a)
		set.Contains(b)
		set.Covers(p)
		set.Overlaps(p)
		table.Lookup(a)
		table.Lookup(b)
		table.LookupPrefix(p)
		table.Get(p)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func benchSet(n int) (*Set, *Table[int]) {
	r := rand.New(rand.NewPCG(3, 4))
	set, table := new(Set), new(Table[int])
	for i := range n {
		var p netip.Prefix
		if i%4 == 3 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 40+r.IntN(20))
		} else {
			p = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}), 16+r.IntN(17))
		}
		set.Insert(p)
		table.Insert(p, i)
	}
	return set, table
}

func benchAddrs() []netip.Addr {
	r := rand.New(rand.NewPCG(5, 6))
	addrs := make([]netip.Addr, 1024)
	for i := range addrs {
		addrs[i] = netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	}
	return addrs
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []struct {
		name string
		size int
	}{{"0", 0}, {"10", 10}, {"10k", 10_000}, {"1M", 1_000_000}} {
		set, table := benchSet(n.size)
		addrs := benchAddrs()
		hits := make([]netip.Addr, 0, 1024)
		for p := range table.All() {
			if hits = append(hits, Last(p)); len(hits) == cap(hits) {
				break
			}
		}
		b.Run("Set/"+n.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				set.Contains(addrs[i&1023])
				i++
			}
		})
		b.Run("Table/"+n.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				table.Lookup(addrs[i&1023])
				i++
			}
		})
		if len(hits) == 0 {
			continue
		}
		b.Run("Table/hit/"+n.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				table.Lookup(hits[i%len(hits)])
				i++
			}
		})
	}
}
