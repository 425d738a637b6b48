package score

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestMessageOf: a Ref changes nothing, also when the record it knows was
// forgotten.
func TestMessageOf(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	a, b := NewGood(30), NewGood(30)
	a.keepVolume(7200)
	b.keepVolume(7200)
	refs := map[netip.Addr]*Ref{}
	at, stale := int64(1_800_000_000), 0
	for step := range 20000 {
		at += int64(r.IntN(4000))
		c := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(20))})
		if refs[c] == nil {
			refs[c] = &Ref{}
		}
		switch r.IntN(8) {
		case 0:
			a.Offended(c, at)
			b.Offended(c, at)
		case 1:
			a.Revoke(c, at)
			b.Revoke(c, at)
		case 2, 3:
			user := uint64(r.IntN(3))
			a.Login(c, at, 1+step%2, user)
			b.LoginOf(refs[c], c, at, 1+step%2, user)
		default:
			if x := refs[c].r; x != nil && x.gone {
				stale++
			}
			a.Message(c, at, 1+step%2)
			b.MessageOf(refs[c], c, at, 1+step%2, 1+step%2)
		}
		if a.Len() != b.Len() || a.Known(c) != b.Known(c) || a.Messages(c) != b.Messages(c) || a.Evicted() != b.Evicted() {
			t.Fatalf("step %d: %v: %d clients, known %v, %d; want %d, %v, %d", step, c,
				b.Len(), b.Known(c), b.Messages(c), a.Len(), a.Known(c), a.Messages(c))
		}
	}
	if !bytes.Equal(encoded(t, a), encoded(t, b)) {
		t.Error("the states differ")
	}
	if stale < 100 {
		t.Errorf("only %d records were forgotten", stale)
	}
}
