package score

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
)

func simple(max int, ws ...Window) (*Table, ClassID) {
	t := NewTable(Options{Windows: ws, MaxClients: max, Late: 120}, nil)
	c := Class{Rules: []string{"rule"}}
	for i := range ws {
		c.Weights = append(c.Weights, Weight{Window: i, Units: Unit})
	}
	return t, t.Class(c)
}

// TestFlood: a flood of clients with one offence each does not change what
// fires for clients that repeat within the turnover time.
func TestFlood(t *testing.T) {
	const limit = 20_000
	ws := []Window{{Name: "a", Span: 600, Limit: 5}, {Name: "b", Span: 20_000, Limit: 12}}
	small, c := simple(limit, ws...)
	large, _ := simple(10_000_000, ws...)
	r := rand.New(rand.NewPCG(3, 4))
	type repeater struct {
		key  netip.Prefix
		next int64
	}
	var rs []repeater
	for i := range 60 {
		rs = append(rs, repeater{netip.PrefixFrom(host4(0xc0000200+uint32(i)), 32), epoch + r.Int64N(500)})
	}
	fired := 0
	now := int64(epoch)
	for at := uint32(1); at < 600_000; at++ { // 20 new clients a second: turnover time 1000 s
		now = epoch + int64(at/20)
		var o Offence
		o.Key = netip.PrefixFrom(host4(at*0x9e3779b1), 32)
		if at%4 == 0 {
			o.Key = netip.PrefixFrom(host6(0x20010db8_00000000+uint64(at), 0), 64)
		}
		o.Time, o.Class = now-r.Int64N(100), c
		if len(small.Add(o)) != 0 || len(large.Add(o)) != 0 {
			t.Fatal("a client of the flood has fired")
		}
		for i := range rs {
			if rs[i].next > now {
				continue
			}
			rs[i].next = now + 1 + r.Int64N(700)
			o := Offence{Time: now, Key: rs[i].key, Class: c}
			got, want := small.Add(o), large.Add(o)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("at %d: %+v, without a bound %+v", now-epoch, got, want)
			}
			fired += len(got)
		}
		if at%1000 == 0 {
			small.Sweep(now)
			large.Sweep(now)
		}
		if small.Len() > limit {
			t.Fatalf("%d clients held", small.Len())
		}
	}
	t.Logf("%d firings; %d and %d clients held, %d evicted", fired, small.Len(), large.Len(), small.Evicted())
	if fired < 100 || small.Evicted() < 500_000 || large.Evicted() != 0 {
		t.Error("the flood does not reach what it is to test")
	}
	// The large table has dropped what can't matter any more, by sweeping.
	if n := large.Len(); n > 20*(20_000+600+200) {
		t.Errorf("%d clients held after sweeping", n)
	}
	now += 100_000
	for range 20 {
		small.Sweep(now)
		large.Sweep(now)
		now += 60
	}
	if small.Len() != 0 || large.Len() != 0 {
		t.Errorf("%d and %d clients held when all is over", small.Len(), large.Len())
	}
}

// TestEvictionOrder: dead clients go first, then the oldest singletons, and no
// pair while there is a singleton.
func TestEvictionOrder(t *testing.T) {
	const limit = 800
	table, c := simple(limit, Window{Name: "a", Span: 1000, Limit: 50})
	key := func(i int) netip.Prefix { return netip.PrefixFrom(host4(0x0a000000+uint32(i)*999), 32) }
	add := func(i int, at int64) { table.Add(Offence{Time: epoch + at, Key: key(i), Class: c}) }
	for i := range 200 { // pairs, the oldest of all
		add(i, 0)
		add(i, 1)
	}
	for i := 200; i < 800; i++ { // singletons, in order of age
		add(i, int64(i))
	}
	held := func(i int) bool { return table.v4.get(addrKey4(key(i).Addr())) != nil }
	add(800, 801)
	for i := range 801 {
		want := i < 200 || i >= 300 // one eighth of 800 is gone
		if held(i) != want {
			t.Fatalf("client %d held %v, want %v", i, held(i), want)
		}
	}
	if table.Evicted() != 100 || table.Len() != 701 {
		t.Errorf("%d evicted, %d left", table.Evicted(), table.Len())
	}
	// Now the pairs are dead: their going is no eviction.
	for i := 801; i < 910; i++ {
		add(i, 1125)
	}
	if table.Evicted() != 100 || held(0) || !held(300) {
		t.Errorf("%d evicted; pair held %v, singleton held %v", table.Evicted(), held(0), held(300))
	}
}

// TestEvictionSparesNetworks: singletons of a network that a window may soon
// fire for are kept like pairs, so that a flood from elsewhere does not hide
// the network.
func TestEvictionSparesNetworks(t *testing.T) {
	for _, clients := range []int{8, 40} {
		table, c := simple(5000, Window{Name: "net", Span: 3600, Limit: 12, Width4: 24, Width6: 56, Clients: clients})
		fired := 0
		at := int64(epoch)
		for i := range 12 {
			for j := range 500 {
				at += 1 // one client of the network for 500 others
				o := Offence{Time: at / 10, Key: netip.PrefixFrom(host4(uint32(i*500+j)*0x9e3779b1), 32), Class: c}
				table.Add(o)
			}
			o := Offence{Time: at / 10, Key: netip.PrefixFrom(host4(0xc0000200+uint32(i)), 32), Class: c}
			for _, f := range table.Add(o) {
				fired += len(f.Clients)
			}
		}
		want := 12
		if clients > 12 {
			want = 0
		}
		if fired != want {
			t.Errorf("window that asks for %d clients: %d fired", clients, fired)
		}
	}
}

// unmix is the inverse of mix.
func unmix(x uint64) uint64 {
	inverse := func(a uint64) uint64 { // of an odd number
		y := a
		for range 6 {
			y *= 2 - a*y
		}
		return y
	}
	unshift := func(x uint64, n int) uint64 {
		y := x
		for range 64/n + 1 {
			y = x ^ y>>n
		}
		return y
	}
	x = unshift(x, 31) * inverse(0x94d049bb133111eb)
	x = unshift(x, 27) * inverse(0xbf58476d1ce4e5b9)
	return unshift(x, 30) - 0x9e3779b97f4a7c15
}

// TestHostileKeys: clients chosen to hash to one place can't make look-ups
// long, nor take much memory, and lose only one another.
func TestHostileKeys(t *testing.T) {
	for _, x := range []uint64{0, 1, 0xdeadbeef12345678} {
		if unmix(mix(x)) != x {
			t.Fatal("unmix is wrong")
		}
	}
	table, c := simple(1_000_000, Window{Name: "a", Span: 600, Limit: 5})
	for i := range uint64(20_000) {
		k := key6(unmix(0xabc<<52 | i<<32 | 0x12345678))
		table.Add(Offence{Time: epoch, Key: k.prefix(), Class: c})
		if i%1000 == 0 {
			table.Add(Offence{Time: epoch, Key: netip.PrefixFrom(host6(0x20010db8_00000000+i, 0), 64), Class: c})
		}
	}
	g := &table.v6.segs[0xabc]
	longest := 0
	for i := range g.groups {
		b := &g.groups[i]
		for _, k := range b.keys[:b.len()] {
			_, _, probes, found := g.find(k, uint32(k.hash()))
			if !found {
				t.Fatal("a client is lost")
			}
			longest = max(longest, probes)
		}
	}
	if longest > maxProbe+3 || len(g.groups) > 6*maxProbe {
		t.Errorf("longest look-up %d, %d groups for %d clients", longest, len(g.groups), g.n)
	}
	if table.Evicted() == 0 || table.Len() != g.n+20 {
		t.Errorf("%d held, %d of them in the segment, %d evicted", table.Len(), g.n, table.Evicted())
	}
	var set keyset[key6]
	for i := range uint64(20_000) {
		set.add(key6(unmix(i<<32 | 0x12345678)))
	}
	if set.n > maxRun {
		t.Errorf("%d of 20000 keys of one place in a set", set.n)
	}
}

// TestHeldBack: a share holds a client back, which then keeps its newest
// events only.
func TestHeldBack(t *testing.T) {
	g := NewGood(0)
	table := NewTable(Options{Windows: []Window{{Name: "a", Span: 86400, Limit: 1, Share: 900}}}, g)
	c := table.Class(Class{Rules: []string{"r"}, Weights: []Weight{{0, Unit, false}}})
	a := netip.MustParseAddr("192.0.2.1")
	g.Message(a, epoch, 1000)
	for i := range int64(5000) {
		if f := table.Add(offence(epoch+i, "192.0.2.1", c)); len(f) > 0 {
			t.Fatalf("fired: %+v", f)
		}
	}
	if n := len(table.State().Time); n != 16 {
		t.Errorf("%d events held, want 16 = limit * 4 quarters * factor 4", n)
	}
}

// TestLimits: what nonsense does not do.
func TestLimits(t *testing.T) {
	table, c := simple(10, Window{Name: "a", Span: 600, Limit: 2})
	for _, o := range []Offence{
		{Time: epoch, Class: c},
		{Time: epoch, Class: c, Key: netip.MustParsePrefix("192.0.2.0/24")},
		{Time: epoch, Class: c, Key: netip.MustParsePrefix("2001:db8::/56")},
		{Time: epoch, Class: c, Key: netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)},
		{Time: epoch, Class: c + 1, Key: netip.MustParsePrefix("192.0.2.1/32")},
		{Time: epoch, Class: 0, Key: netip.MustParsePrefix("192.0.2.1/32")},
		{Time: epoch - 721, Class: c, Key: netip.MustParsePrefix("192.0.2.1/32")},
	} {
		if f := table.Add(o); f != nil || table.Len() != 0 {
			t.Errorf("%+v: %v, %d held", o, f, table.Len())
		}
		table.Clear(o.Key)
		if s := table.Standing(o.Key, epoch); len(s) > 0 && s[0].Units != 0 {
			t.Errorf("%+v: %v", o, s)
		}
	}
	for i := range 1<<16 + 5 {
		id := table.Class(Class{Rules: []string{fmt.Sprint(i)}, Weights: []Weight{{0, Unit, false}}})
		if (id == 0) != (i >= 1<<16-2) {
			t.Fatalf("class %d has ID %d", i, id)
		}
	}
	if f := table.Add(Offence{Time: -5, Class: c, Key: netip.MustParsePrefix("192.0.2.1/32"), Count: 1 << 31}); f != nil {
		t.Errorf("an event before 1970 fired: %v", f)
	}
	if f := table.Add(Offence{Time: 1 << 40, Class: c, Key: netip.MustParsePrefix("192.0.2.1/32"), Count: 1 << 31}); len(f) != 1 {
		t.Error("an event after 2106 did not fire")
	}
}

// TestMaxLimit: one client reaches the highest limit with events that count a
// quarter each, and not before.
func TestMaxLimit(t *testing.T) {
	const last = epoch + MaxLimit*Unit
	for _, missing := range []int64{0, 1} {
		table := NewTable(Options{Windows: []Window{{Name: "a", Span: daySecs, Limit: MaxLimit}}}, nil)
		c := table.Class(Class{Rules: []string{"rule"}, Weights: []Weight{{0, 1, false}}})
		table.Add(offence(last-1, "192.0.2.1", c))
		s := table.State()
		s.Events, s.Time, s.Value, s.Class, s.Count = nil, nil, nil, nil, nil
		var recs []rec
		for at := epoch + 1 + missing; at < last; at++ { // all but one, read back since Add takes its time
			recs = append(recs, rec{t: uint32(at), class: uint16(c), n: 1})
		}
		s.add(recs)
		if err := table.Restore(s); err != nil {
			t.Fatal(err)
		}
		if fired := table.Add(offence(last, "192.0.2.1", c)); len(fired) != 1-int(missing) {
			t.Errorf("%d events of a quarter fired %d times", MaxLimit*Unit-missing, len(fired))
		}
	}
}

// TestAllocations: what does not fire does not allocate.
func TestAllocations(t *testing.T) {
	table := NewTable(Options{Windows: defaults(), Late: 120}, NewGood(0))
	c := table.Class(benchClass())
	i := int64(0)
	o := offence(epoch, "192.0.2.1", c)
	n := testing.AllocsPerRun(1000, func() {
		i += 600
		o.Time, o.Value = epoch+i*12, uint64(i)
		if table.Add(o) != nil {
			t.Fatal("fired")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations an offence", n)
	}
}
