package ban

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

func TestBreakerMeasure(t *testing.T) {
	k := NewBreaker(1000, -1)
	steps := []struct {
		at, addresses int64
		ok, tripped   bool
		until         int64
	}{
		{at: t0, addresses: 400, ok: true},
		{at: t0 + 20, addresses: 600, ok: true}, // 1000 is not more than 1000
		{at: t0 + 60, addresses: 400, ok: true}, // the first is a minute ago
		// 600 + 400 + 1. It is down to half when the 600 are a minute ago.
		{at: t0 + 70, addresses: 1, tripped: true, until: t0 + 80 + 600},
		{at: t0 + 679, addresses: 1, tripped: true, until: t0 + 680},
		{at: t0 + 680, addresses: 1000, ok: true},
		{at: t0 + 680, addresses: 1, tripped: true, until: t0 + 740 + 600},
	}
	for i, s := range steps {
		if ok := k.widen(s.at, s.addresses, nil); ok != s.ok || k.Tripped(s.at) != s.tripped || k.Until(s.at) != s.until {
			t.Fatalf("step %d: %t, tripped %t until %d", i, ok, k.Tripped(s.at), k.Until(s.at)-t0)
		}
	}
	if k.Trips() != 2 {
		t.Errorf("%d trips", k.Trips())
	}
	// A clock that is set back does not keep it tripped.
	if k.Tripped(t0-day) || !k.Tripped(t0+680-slack) {
		t.Error("tripped in the wrong past")
	}
	k.Resume(t0 + 700)
	if k.Tripped(t0+700) || !k.widen(t0+700, 1000, nil) {
		t.Error("not resumed")
	}
}

func TestBreakerKnownGood(t *testing.T) {
	k := NewBreaker(-1, 2)
	a := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	for i, s := range []struct {
		at    int64
		goods []netip.Addr
		ok    bool
	}{
		{t0, []netip.Addr{a(1)}, true},
		{t0 + 30, []netip.Addr{a(1), a(2)}, true}, // two different ones
		{t0 + 50, nil, true},                      // none is no harm
		{t0 + 89, []netip.Addr{a(3)}, false},
	} {
		if ok := k.widen(s.at, 1<<40, s.goods); ok != s.ok {
			t.Fatalf("step %d: %t", i, ok)
		}
	}
	if got := k.Until(t0 + 89); got != t0+90+600 {
		t.Errorf("until %d", got-t0)
	}
}

func TestBreakerHoldsWideBans(t *testing.T) {
	k := NewBreaker(300, -1) // one /24 a minute
	b := NewBook(maillog.SMTP, real, new(prefix.Set), score.NewGood(0), k)
	r := &rig{b, t, 0}
	r.offend(t0, hostsOf("192.0.2.1", 3)...)
	r.offend(t0+1, hostsOf("198.51.100.1", 3)...)
	r.offend(t0+1, "198.51.100.4")
	r.holds("192.0.2.0/24", "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4")
	if w := r.of("198.51.100.1").Why; w.Kind != Held || w.Next.Bits != 24 {
		t.Fatalf("%+v", w)
	}
	if k.Trips() != 1 || r.Stats().Held != 2 {
		t.Fatalf("%d trips, %+v", k.Trips(), r.Stats())
	}
	// Running wide bans are renewed and carved as ever.
	r.Knock(r.of("192.0.2.0/24"), t0+hour-1, 1)
	r.allowed(t0+9, "192.0.2.128/25")
	r.holds("192.0.2.0/30", "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4")
	// A later firing makes up for it.
	r.offend(t0+700, "198.51.100.5")
	r.holds("192.0.2.0/30", "198.51.100.0/24")
}

// What a wide ban takes over from others is not newly covered.
func TestBreakerCountsWhatIsNew(t *testing.T) {
	k := NewBreaker(762, -1)
	r := &rig{NewBook(maillog.SMTP, real, nil, nil, k), t, 0}
	r.offend(t0, hostsOf("192.0.2.1", 3)...)
	r.offend(t0+100, "192.0.0.1", "192.0.0.2", "192.0.1.1", "192.0.1.2", "192.0.3.1", "192.0.3.2")
	r.holds("192.0.0.0/22") // 1024 less the /24 and the 6
	if s := k.State(); len(s.Covered) != 1 || s.Covered[0] != (Covered{t0 + 100, 762}) {
		t.Fatalf("%+v", s)
	}
}

// The books of all doors share a breaker, and good senders that were carved
// around count.
func TestBreakerOfTwoDoors(t *testing.T) {
	k := NewBreaker(-1, 1)
	good := score.NewGood(0)
	one := &rig{NewBook(maillog.SMTP, real, nil, good, k), t, t0 - 50*day}
	two := &rig{NewBook(maillog.Login, real, nil, good, k), t, t0 - 20*day}
	one.makeGood("192.0.2.200")
	two.makeGood("198.51.100.200")
	one.offend(t0, hostsOf("192.0.2.1", 3)...)
	one.holds("192.0.2.0/30")
	two.offend(t0, hostsOf("198.51.100.1", 3)...)
	two.holds("198.51.100.1", "198.51.100.2", "198.51.100.3")
	if e := two.AppendEntries(nil)[0]; e.Door != maillog.Login || !e.Everywhere() {
		t.Fatalf("%+v", e)
	}
}

func TestBudget(t *testing.T) {
	o := real
	o.Cover4.Price = 128
	o.Cover4.Rungs = o.Cover4.Rungs[:2:2]
	o.Cover4.Rungs[1].Need = 4 // at price 128 it takes 9 to pay
	o.Budget = 40
	r := newRigOf(t, o)
	for i := range 10 { // 10 /22 with 4 offenders each, one in a /24
		for j := range 4 {
			r.offend(t0, fmt.Sprintf("10.%d.%d.1", i, j))
		}
	}
	if r.Len() != 40 || r.Next() != t0+hour {
		t.Fatalf("%d bans, next %d", r.Len(), r.Next()-t0)
	}
	r.offend(t0, "192.0.2.1")
	if r.Len() != 41 || r.Next() != t0 {
		t.Fatalf("%d bans, next %d", r.Len(), r.Next()-t0)
	}
	r.Tick(t0)
	// 35 fit: two /22 save 3 each, with one entry to spare.
	s := r.Stats()
	if !s.Raised || s.Price4 < 340 || s.Price4 > 341 || s.Price6 != 4096 || s.Squeezes != 1 || s.Dropped != 0 || r.Len() != 35 {
		t.Fatalf("%+v", s)
	}
	for _, x := range r.Bans() {
		if x.wide() && (x.Prefix.Bits() != 22 || !x.Why.Raised || len(x.Members) != 4) {
			t.Fatalf("%+v", x)
		}
	}
	// The price stays up for what comes.
	r.Tick(t0 + 60)
	for j := range 4 {
		r.offend(t0+60, fmt.Sprintf("172.16.%d.1", j))
	}
	r.of("172.16.0.0/22")
	r.Tick(t0 + hour)
	if s := r.Stats(); r.Len() != 1 || s.Raised || s.Price4 != 128 {
		t.Fatalf("%+v", s)
	}
}

// What no price makes fit ends: the fewest knocks first, then the earliest end.
func TestBudgetSheds(t *testing.T) {
	r := newRig(t)
	for i := range 20 {
		r.offend(t0+int64(i), fmt.Sprintf("10.%d.0.1", i))
	}
	r.Ban(t0+20, must("203.0.113.0/24"), t0+day, "pinned")
	for i := range 5 {
		r.Knock(r.of(fmt.Sprintf("10.%d.0.1", i)), t0+30, 1)
	}
	r.SetBudget(13) // 12 besides the pinned one
	if r.Next() != t0+20 {
		t.Fatalf("next %d", r.Next()-t0)
	}
	r.Tick(t0 + 40)
	var want []string
	for _, i := range []int{0, 1, 2, 3, 4, 13, 14, 15, 16, 17, 18, 19} {
		want = append(want, fmt.Sprintf("10.%d.0.1", i))
	}
	r.holds(append(want, "203.0.113.0/24")...)
	if s := r.Stats(); s.Dropped != 8 {
		t.Fatalf("%+v", s)
	}
	for _, s := range r.Ended() {
		if s.End != Dropped {
			t.Fatalf("%s %s", s.Prefix, s.End)
		}
	}
	if x := r.Offence(t0+50, must("10.5.0.1")); x == nil || x.Level != 1 {
		t.Fatal("what was dropped is not on parole")
	}
}
