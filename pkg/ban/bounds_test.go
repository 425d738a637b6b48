package ban

import (
	"net/netip"
	"testing"
)

func nth(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// What is remembered is bounded; the oldest is forgotten first.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	h.init(30 * day)
	for i := range maxHistory + 10 {
		h.add(nth(i), 2, t0+int64(i/1000))
	}
	if len(h.past) != maxHistory || len(h.oldest.items) > 2*maxHistory+65 {
		t.Fatalf("%d, %d in the queue", len(h.past), len(h.oldest.items))
	}
	if a, b := h.level(nth(9), t0+200, 8), h.level(nth(10), t0+200, 8); a != 0 || b != 3 {
		t.Fatalf("the oldest is at level %d, the next at %d", a, b)
	}
	// With time all of it goes.
	h.add(nth(1<<20), 0, t0+40*day)
	if len(h.past) != 1 {
		t.Fatalf("%d are left after their time", len(h.past))
	}
}

func TestParoleIsBounded(t *testing.T) {
	var p parole
	p.init()
	for i := range maxParoled/2 + 5 {
		p.add(&Parole{Prefix: nth(2 * i), Until: t0 + int64(i), Members: []Member{{Key: nth(2 * i)}, {Key: nth(2*i + 1)}}})
	}
	if n := p.index.Len(); n != maxParoled || p.units != maxParoled/2 {
		t.Fatalf("%d clients in %d units", n, p.units)
	}
	if p.of(nth(9), t0) != nil || p.of(nth(10), t0) == nil || p.of(nth(10), t0+5) != nil {
		t.Fatal("it was not the oldest that went")
	}
	// A client is in the unit it was in last.
	u := &Parole{Prefix: nth(11), Until: t0 + day, Members: []Member{{Key: nth(11)}}}
	p.add(u)
	if p.of(nth(11), t0) != u || len(p.of(nth(10), t0).Members) != 1 {
		t.Fatal("in two units")
	}
}

func TestSparedIsBounded(t *testing.T) {
	r := newRig(t)
	for i := range maxSpared + 3 {
		r.Unban(t0+int64(i), nth(i))
	}
	if r.spared.Len() != maxSpared || r.isSpared(t0, nth(2)) || !r.isSpared(t0, nth(3)) {
		t.Fatalf("%d", r.spared.Len())
	}
	r.Unban(t0+3*day, nth(0))
	if r.spared.Len() != 1 {
		t.Fatalf("%d are left after their time", r.spared.Len())
	}
}

// The queue does not keep what is long gone.
func TestQueueIsBounded(t *testing.T) {
	r := newRig(t)
	for i := range 5000 {
		r.offend(t0+int64(i), "192.0.2.1")
		r.Unban(t0+int64(i), must("192.0.2.1"))
	}
	if n := len(r.due.items); n > 70 {
		t.Fatalf("%d items for no ban", n)
	}
}
