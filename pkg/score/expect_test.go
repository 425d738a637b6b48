package score

import (
	"net/netip"
	"slices"
	"testing"
)

// TestExpect: whatever client is expected, of whatever table, changes nothing.
func TestExpect(t *testing.T) {
	strangers := []netip.Addr{{}, host4(0), host4(1<<32 - 1), host4(77), netip.IPv6Unspecified(), netip.MustParseAddr("::ffff:192.0.2.1")}
	narrow := defaults()[:1]
	for _, windows := range [][]Window{nil, narrow, {{Name: "v6", Span: 60, Limit: 9, Width6: 48}}, defaults()} {
		g := NewGood(0)
		tab := NewTable(Options{Windows: windows, MaxClients: 1 << 20, Late: 120}, g)
		var weights []Weight
		for w := range windows {
			weights = append(weights, Weight{w, Unit, false})
		}
		c := tab.Class(Class{Rules: []string{"rule"}, Weights: weights})
		for i := range uint32(5000) {
			if i%997 == 0 { // also while it grows
				before := slices.Concat(encoded(t, tab), encoded(t, g))
				for _, a := range append(strangers, host4(i), host4(i+1)) {
					tab.Expect(a)
					g.Expect(a)
				}
				if !slices.Equal(before, slices.Concat(encoded(t, tab), encoded(t, g))) {
					t.Fatalf("with %d windows and %d clients: expecting has changed the table", len(windows), tab.Len())
				}
			}
			a := host4(i)
			tab.Add(Offence{Time: epoch, Key: netip.PrefixFrom(a, 32), Client: a, Class: c, Value: uint64(i), Count: 1})
			g.Offended(a, epoch)
		}
	}
}
