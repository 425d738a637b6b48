package ban

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/wire"
)

func TestRestoreObeysTheAllowlist(t *testing.T) {
	r := newRig(t)
	r.offend(t0, append(hostsOf("192.0.2.1", 3), "198.51.100.1")...)
	r.Ban(t0, must("203.0.113.0/24"), t0+hour, "")
	r.Flush()
	r.Ended()
	s := r.State()
	next := newRig(t)
	for _, p := range []string{"192.0.2.200", "198.51.100.1", "203.0.113.0/25"} {
		next.allow.Insert(must(p))
	}
	if err := next.Restore(s); err != nil {
		t.Fatal(err)
	}
	next.holds("192.0.2.0/30", "203.0.113.128/25")
	if c := next.Flush(); len(c.Add) != 2 || len(c.Remove) != 3 {
		t.Fatalf("%+v", c)
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := func() State {
		r := newRig(t)
		r.offend(t0, append(hostsOf("192.0.2.1", 3), "198.51.100.1", "198.51.100.3")...)
		r.Tick(t0 + hour)
		r.offend(t0+hour, append(hostsOf("192.0.2.1", 3), "198.51.100.1")...)
		r.Ban(t0+hour, must("192.0.2.0/26"), t0+day, "")
		r.Ban(t0+hour, must("192.0.2.64/26"), t0+day, "")
		r.Unban(t0+hour, must("203.0.113.1"))
		r.Unban(t0+hour, must("203.0.113.2"))
		return r.State()
	}
	if err := newRig(t).Restore(good()); err != nil {
		t.Fatal(err)
	}
	bad := netip.PrefixFrom(must("192.0.2.1").Addr(), 24)
	for name, spoil := range map[string]func(*State){
		"bans overlap":          func(s *State) { s.Bans[1].Prefix = must("192.0.2.128/25") },
		"bans out of order":     func(s *State) { s.Bans[0], s.Bans[1] = s.Bans[1], s.Bans[0] },
		"no prefix":             func(s *State) { s.Bans[0].Prefix = netip.Prefix{} },
		"host bits":             func(s *State) { s.Bans[0].Prefix = bad },
		"a member outside":      func(s *State) { s.Bans[0].Members[0].Key = must("10.0.0.1") },
		"members out of order":  func(s *State) { m := s.Bans[0].Members; m[0], m[1] = m[1], m[0] },
		"a member that is none": func(s *State) { s.Bans[0].Members[0].Key = must("192.0.2.0/31") },
		"level":                 func(s *State) { s.Bans[0].Level = -1 },
		"ends before it began":  func(s *State) { s.Bans[0].Until = 1 },
		"part of a /24":         func(s *State) { s.Bans[0].Site = must("192.0.2.0/24") },
		"hidden, not pinned":    func(s *State) { s.Hidden[0].Pinned = false },
		"hidden out of order":   func(s *State) { s.Hidden[0], s.Hidden[1] = s.Hidden[1], s.Hidden[0] },
		"parole of nobody":      func(s *State) { s.Parole[0].Members = nil },
		"history twice":         func(s *State) { s.History[1] = s.History[0] },
		"history of a /24":      func(s *State) { s.History[0].Key = must("10.0.0.0/24") },
		"spared twice":          func(s *State) { s.Spared[1] = s.Spared[0] },
		"entry of another":      func(s *State) { s.Before[0].Entry.Prefix = must("10.0.0.0/24") },
		"price":                 func(s *State) { s.Price4 = -1 },
		"ended of nothing":      func(s *State) { s.Ended[0].Prefix = netip.Prefix{} },
	} {
		s := good()
		spoil(&s)
		if err := newRig(t).Restore(s); err == nil {
			t.Errorf("%s was restored", name)
		}
	}
	r := newRig(t)
	r.offend(t0, "192.0.2.1")
	if err := r.Restore(good()); err == nil {
		t.Error("restored over a book in use")
	}
}

func TestBreakerState(t *testing.T) {
	k := NewBreaker(1000, 2)
	k.widen(t0, 100, []netip.Addr{must("192.0.2.1").Addr(), must("192.0.2.9").Addr()})
	k.widen(t0+1, 2000, nil)
	again := NewBreaker(1000, 2)
	if err := decoded(again, encoded(t, k)); err != nil || !reflect.DeepEqual(again, k) {
		t.Fatalf("%v\n%+v\n%+v", err, again, k)
	}
	for i, spoil := range []func(*BreakerState){
		func(s *BreakerState) { s.Covered = append(s.Covered, s.Covered[0]) },
		func(s *BreakerState) { s.Covered = []Covered{{t0, -1}} },
		func(s *BreakerState) { s.Met = []Sighting{s.Met[1], s.Met[0]} },
		func(s *BreakerState) { s.Met = []Sighting{{}} },
		func(s *BreakerState) { s.Until = 5 },
		func(s *BreakerState) { s.Trips = -1 },
	} {
		s := k.State()
		spoil(&s)
		if err := NewBreaker(1, 1).Restore(s); err == nil {
			t.Errorf("case %d was restored", i)
		}
	}
}

// Whatever the bytes of a state are: an error, or a book that goes on.
func FuzzRestore(f *testing.F) {
	for seed := range uint64(4) {
		w := newWorld(f, seed, small, false, nil)
		for range 12 {
			w.step()
		}
		f.Add(encoded(f, w.book))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewBook(maillog.SMTP, small, nil, nil, nil)
		if b.Decode(wire.NewReader(bytes.NewReader(data))) != nil {
			return
		}
		now := max(b.clock, 0)%(1<<40) + 1
		r := rand.New(rand.NewPCG(1, 1))
		for range 20 {
			b.Offend(now, []Offender{{Key: must("192.0.2.1"), LastOffence: now}, {Key: must("2001:db8::/64"), LastOffence: now}})
			b.Tick(now)
			b.Unban(now, must("192.0.2.0/28"))
			b.Offence(now, must("192.0.2.1"))
			for _, x := range b.Bans() {
				x.Explain()
			}
			now += r.Int64N(100000)
		}
	})
}
