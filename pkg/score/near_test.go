package score

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// Near passes over most clients without asking where they stand. What it
// returns is what asking all of them would give.
func TestNearIsNearest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		good := NewGood(0)
		table := NewTable(Options{Windows: []Window{
			{Name: "burst", Span: 600, Limit: 10},
			{Name: "day", Span: 86400, Limit: 25},
			{Name: "net", Span: 3600, Limit: 1000, Width4: 24, Width6: 48},
		}}, good)
		at := int64(1_800_000_000)
		var keys []netip.Prefix
		for i := range 200 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 4), byte(i)}), 32)
			switch i % 5 {
			case 3:
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(i)}), 64)
			case 4:
				p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 1, 15: byte(i)}), 128)
			}
			keys = append(keys, p)
		}
		for day := int64(0); day < 4; day++ { // some have a good record
			for _, p := range keys[:40] {
				if p.IsSingleIP() {
					good.Login(p.Addr(), at-(5-day)*86400, 3, 0)
				}
			}
		}
		var classes []ClassID
		for _, w := range [][]Weight{{{0, 4, false}, {1, 4, false}}, {{0, 6, true}, {1, 2, false}}, {{1, 8, true}}, {{2, 4, false}}} {
			classes = append(classes, table.Class(Class{Rules: []string{"x"}, Weights: w}))
		}
		for range rnd.IntN(900) {
			key := keys[rnd.IntN(len(keys))]
			at += rnd.Int64N(30)
			table.Add(Offence{Time: at - rnd.Int64N(20), Key: key, Client: key.Addr(), Class: classes[rnd.IntN(len(classes))], Value: rnd.Uint64N(3), Count: uint32(rnd.IntN(2))})
		}
		now := at + rnd.Int64N(1200) - 300
		var want []Standing
		for _, key := range keys {
			var best *Standing
			for _, s := range table.Standing(key, now) {
				if s.Units > 0 && !table.o.Windows[s.Window].wide() && (best == nil || s.nearer(best) < 0) {
					best = &s
				}
			}
			if best != nil {
				want = append(want, *best)
			}
		}
		slices.SortFunc(want, func(a, b Standing) int { return a.nearer(&b) })
		for _, n := range []int{1, 3, 7, 1000} {
			got := table.Near(n, now)
			if len(got) != min(n, len(want)) {
				t.Fatalf("%d of %d, want %d", len(got), n, len(want))
			}
			for i, s := range got {
				if w := want[i]; s.Key != w.Key || s.Window != w.Window || s.Units != w.Units || s.Limit != w.Limit {
					t.Fatalf("%d of %d is %s, %d of %d, want %s, %d of %d", i, n, s.Key, s.Units, s.Limit, w.Key, w.Units, w.Limit)
				}
			}
		}
	}
}
