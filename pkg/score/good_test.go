package score

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

const day0 = epoch / daySecs * daySecs

// goodTwin is the known-good memory of one client by definition: a list of
// what happened, from which everything is counted anew.
type goodTwin struct {
	log  []goodEvent
	near bool // a figure came so close to a limit that rounding decides
}

type goodEvent struct {
	kind string // mail, unknown (login), offence, revoke, empty
	day  int64
	n    int
}

// standing is the evidence and the distinct days as of a day.
func (w *goodTwin) standing(day int64) (level float64, days int) {
	start := 0
	bad := map[int64]bool{}
	for i, e := range w.log {
		switch e.kind {
		case "revoke":
			start, bad[e.day] = i+1, true
		case "empty":
			start = i + 1
		case "offence":
			bad[e.day] = true
		}
	}
	counted := map[int64]int{}
	unknown := map[int64]bool{}
	for _, e := range w.log[start:] {
		if bad[e.day-1] || bad[e.day] || bad[e.day+1] {
			continue
		}
		switch e.kind {
		case "mail":
			counted[e.day] += e.n
		case "unknown":
			if !unknown[e.day] {
				unknown[e.day] = true
				counted[e.day]++
			}
		}
	}
	for d, n := range counted {
		level += float64(min(n, 3)) * math.Pow(2, -float64(day-d)/30)
	}
	return level, len(counted)
}

func (w *goodTwin) known(day int64) bool {
	level, days := w.standing(day)
	w.near = w.near || math.Abs(level-2.5) < 0.001
	return level >= 2.5 && days >= 2
}

// step empties the memory when a day begins, or evidence is taken back, with
// less than a quarter of a message left.
func (w *goodTwin) step(day int64) {
	level, _ := w.standing(day)
	w.near = w.near || math.Abs(level-0.25) < 0.001
	if level < 0.25 {
		w.log = append(w.log, goodEvent{"empty", day, 0})
	}
}

func TestGoodTwin(t *testing.T) {
	known, lapses, skipped := 0, 0, 0
	for seed := range 60 {
		r := rand.New(rand.NewPCG(uint64(seed), 9))
		g := NewGood(0)
		if seed%2 == 0 {
			g.keepVolume(86400)
		}
		var addrs []netip.Addr
		for i := range 6 {
			addrs = append(addrs, host4(0xc6336400+uint32(i)), host6(0x20010db8_00000000, uint64(i+1)))
		}
		twins := map[netip.Addr]*goodTwin{}
		was := map[netip.Addr]bool{}
		fresh := map[netip.Addr]bool{}
		for _, a := range addrs {
			twins[a] = &goodTwin{}
		}
		now := int64(day0)
		for range 400 {
			before := now / daySecs
			switch r.IntN(20) {
			case 0:
				now += r.Int64N(40 * daySecs)
			default:
				now += r.Int64N(daySecs / 4)
			}
			day := now / daySecs
			for d := before + 1; d <= day; d++ {
				for _, a := range addrs {
					twins[a].step(d)
				}
			}
			late := now - r.Int64N(120)
			if day != before {
				late = now
			}
			a := addrs[r.IntN(len(addrs))]
			w := twins[a]
			switch x := r.IntN(100); {
			case x < 50:
				n := 1 + r.IntN(4)
				g.Message(a, late, n)
				w.log = append(w.log, goodEvent{"mail", day, n})
			case x < 60:
				n := 1 + r.IntN(2)
				g.Login(a, late, n, uint64(1+r.IntN(3))+uint64(slices.Index(addrs, a))*10)
				w.log = append(w.log, goodEvent{"mail", day, n})
			case x < 75:
				g.Login(a, late, 2, 0)
				w.log = append(w.log, goodEvent{"unknown", day, 1})
			case x < 80:
				g.Offended(a, late)
				w.log = append(w.log, goodEvent{"offence", day, 0})
				w.step(day)
			case x < 81:
				g.Revoke(a, late)
				w.log = append(w.log, goodEvent{"revoke", day, 0})
			case x < 90:
				g.Advance(now)
			case x < 92:
				g2 := NewGood(0)
				g2.keepVolume(g.keep)
				move(t, g, g2)
				g = g2
			}
			g.Advance(now)
			var all []netip.Addr
			for _, a := range addrs {
				w := twins[a]
				level, _ := w.standing(day)
				want := w.known(day)
				if w.near { // start again with this client
					g.Revoke(a, now)
					*w = goodTwin{log: []goodEvent{{"revoke", day, 0}}}
					was[a] = false
					skipped++
					continue
				}
				if got := g.Known(a); got != want {
					t.Fatalf("seed %d: %v known %v, want %v (%.3f): %v", seed, a, got, want, level, w.log)
				}
				if level >= 0.3 && math.Abs(float64(g.Messages(a))-10*level) > 0.6 {
					t.Fatalf("seed %d: %v has %d tenths of a message, want %.2f", seed, a, g.Messages(a), 10*level)
				}
				factor := 256.0
				if want {
					factor = 256 * min(4, 1+level/3)
					all = append(all, a)
				}
				if math.Abs(float64(g.Factor(a))-factor) > 1.1 {
					t.Fatalf("seed %d: factor %d, want %.1f", seed, g.Factor(a), factor)
				}
				if (g.Since(a) != 0) != want {
					t.Fatalf("seed %d: since %d, known %v", seed, g.Since(a), want)
				}
				if want && !was[a] {
					known++
					fresh[a] = true
				}
				if !want && was[a] {
					lapses++
					delete(fresh, a)
				}
				was[a] = want
			}
			var in4 []netip.Addr
			for _, a := range all {
				if a.Is4() {
					in4 = append(in4, a)
				}
			}
			slices.SortFunc(in4, netip.Addr.Compare)
			if got := g.KnownIn(netip.MustParsePrefix("198.51.100.0/28")); !slices.Equal(got, in4) {
				t.Fatalf("seed %d: known good %v, want %v", seed, got, in4)
			}
			if got := g.AnyIn(netip.MustParsePrefix("2001:db8::/64")); got != (len(all) > len(in4)) {
				t.Fatalf("seed %d: any %v", seed, got)
			}
			if r.IntN(10) == 0 {
				got := g.Fresh()
				for _, a := range got { // one may have lapsed and come back within a step
					if !g.Known(a) {
						t.Fatalf("seed %d: %v is fresh and not known good", seed, a)
					}
				}
				for a := range fresh {
					if !slices.Contains(got, a) && g.Known(a) {
						t.Fatalf("seed %d: %v is missing among the fresh", seed, a)
					}
				}
				clear(fresh)
			}
		}
	}
	t.Logf("%d became known good, %d lapsed, %d times too near", known, lapses, skipped)
	if known < 50 || lapses < 50 {
		t.Error("the streams do not reach what they are to test")
	}
}

func TestGood(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	mail := func(g *Good, days ...int) {
		for _, d := range days {
			g.Message(a, day0+int64(d)*daySecs+100, 9)
		}
	}
	for _, c := range []struct {
		name  string
		do    func(*Good)
		known bool
	}{
		{"any number on one day", func(g *Good) { mail(g, 0) }, false},
		{"two days", func(g *Good) { mail(g, 0, 1) }, true},
		{"as an IPv4-mapped address", func(g *Good) {
			b := netip.MustParseAddr("::ffff:192.0.2.1")
			g.Message(b, day0, 3)
			g.Login(b, day0+daySecs, 1, 0)
		}, true},
		{"an offence between", func(g *Good) { mail(g, 0); g.Offended(a, day0+daySecs/2); mail(g, 1, 2) }, false},
		{"an offence between, and a day more", func(g *Good) { mail(g, 0); g.Offended(a, day0+daySecs/2); mail(g, 1, 2, 3) }, true},
		{"an offence before the first mail", func(g *Good) { g.Offended(a, day0); mail(g, 0, 1, 2) }, false},
		{"an offence before, and a day more", func(g *Good) { g.Offended(a, day0); mail(g, 0, 1, 2, 3) }, true},
		{"an offence the day after", func(g *Good) { mail(g, 0, 1); g.Offended(a, day0+2*daySecs) }, false},
		{"an offence two days after", func(g *Good) { mail(g, 0, 1); g.Offended(a, day0+3*daySecs) }, true},
		{"a firing after months", func(g *Good) { mail(g, 0, 10, 20, 30); g.Revoke(a, day0+40*daySecs) }, false},
		{"after a firing again", func(g *Good) { mail(g, 0, 1); g.Revoke(a, day0+3*daySecs); mail(g, 4, 5, 6) }, true},
		{"lapsed", func(g *Good) { mail(g, 0, 1); g.Advance(day0 + 50*daySecs) }, false},
	} {
		for _, keep := range []int64{0, 86400} {
			g := NewGood(0)
			g.keepVolume(keep)
			c.do(g)
			if got := g.Known(a); got != c.known {
				t.Errorf("%s: known good %v", c.name, got)
			}
			if got := len(g.Fresh()); (got > 0) != c.known {
				t.Errorf("%s: %d fresh", c.name, got)
			}
		}
	}
}

// TestAccount: one account makes at most 8 addresses good.
func TestAccount(t *testing.T) {
	g := NewGood(0)
	login := func(host uint32, day int64, user uint64) { g.Login(host4(0xc0000200+host), day0+day*daySecs, 3, user) }
	for d := range int64(2) {
		for h := range uint32(12) {
			login(h, d, 7)
		}
		login(20, d, 8)
	}
	if got := g.KnownIn(netip.MustParsePrefix("192.0.2.0/24")); len(got) != 9 || got[7] != host4(0xc0000207) || got[8] != host4(0xc0000214) {
		t.Errorf("known good: %v", got)
	}
	for h := range uint32(12) {
		if !g.LoggedIn(host4(0xc0000200+h), 7, day0+3*daySecs) {
			t.Errorf("host %d has no login", h)
		}
	}
	if g.LoggedIn(host4(0xc0000200), 8, day0+daySecs) || g.LoggedIn(host4(0xc0000200), 0, day0+daySecs) || g.LoggedIn(host4(0xc0000200), 7, day0+31*daySecs) {
		t.Error("a login of another user, of none, or too old")
	}
	// Seven of the makers fall silent: there is room for others.
	login(0, 20, 7)
	for d := int64(31); d < 33; d++ {
		login(0, d, 7)
		for h := uint32(30); h < 40; h++ {
			login(h, d, 7)
		}
	}
	if got := g.KnownIn(netip.MustParsePrefix("192.0.2.0/24")); !slices.Contains(got, host4(0xc0000200+36)) || slices.Contains(got, host4(0xc0000200+37)) {
		t.Errorf("known good later: %v", got)
	}
}

func TestStalePassword(t *testing.T) {
	g := NewGood(0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	v6, moved, next := netip.MustParseAddr("2001:db8:0:1::1"), netip.MustParseAddr("2001:db8:0:1:a:b:c:d"), netip.MustParseAddr("2001:db8:0:2::1")
	g.Login(a, day0, 1, 5)
	g.Login(v6, day0, 1, 7)
	for _, c := range []struct {
		addr netip.Addr
		user uint64
		t    int64
		want bool
	}{
		{a, 5, 10, false}, {a, 5, 11, true}, {a, 5, 3609, true}, {a, 5, 5, true},
		{a, 5, 3610, false}, {a, 5, 3700, true},
		{a, 6, 3700, false}, {a, 6, 3701, false}, {b, 5, 3702, false}, {b, 5, 3703, false},
		{moved, 7, 10, false}, {moved, 7, 11, true}, {v6, 7, 12, true}, {moved, 7, 3610, false}, {v6, 7, 3611, true},
		{moved, 5, 10, false}, {moved, 5, 11, false}, {next, 7, 10, false}, {next, 7, 11, false},
		{a, 5, 30 * daySecs, false}, {a, 5, 30*daySecs + 1, false},
	} {
		if got := g.StalePassword(c.addr, c.user, day0+c.t); got != c.want {
			t.Errorf("%v user %d at %d: %v", c.addr, c.user, c.t, got)
		}
	}
}

// TestGoodBound: the least useful are forgotten first.
func TestGoodBound(t *testing.T) {
	g := NewGood(80)
	for d := range int64(2) {
		for h := range uint32(20) { // known good, and then silent
			g.Message(host4(0xc6336400+h), day0+d*daySecs, 3)
		}
	}
	for h := range uint32(1000) {
		g.Message(host4(0xc0000200+h), day0+2*daySecs+int64(h)*600, 1)
		g.Offended(host4(0xcb007100+h), day0+2*daySecs+int64(h)*600)
		if g.Len() > 80 {
			t.Fatalf("%d clients", g.Len())
		}
	}
	if got := len(g.KnownIn(netip.MustParsePrefix("198.51.100.0/24"))); got != 20 {
		t.Errorf("%d known good left", got)
	}
	if got := g.bad[0].v4.n; got > 80 {
		t.Errorf("%d offenders", got)
	}
	if g.Evicted() == 0 {
		t.Error("nobody was forgotten")
	}
	if g.Messages(host4(0xc0000200+999)) == 0 {
		t.Error("the newest client was forgotten")
	}
}

// TestGoodOrder has more forgotten offenders at midnight than there is room for:
// who is remembered must not hang on the order of a map.
func TestGoodOrder(t *testing.T) {
	low, high := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 64 {
		g := NewGood(2)
		g.keepVolume(3600)
		for _, c := range []netip.Addr{high, low} {
			g.Message(c, day0+10, 1)
			g.Offended(c, day0+10)
		}
		g.Offended(netip.MustParseAddr("192.0.2.3"), day0+10)
		g.Advance(day0 + daySecs + 7200)
		if g.Len() != 0 || g.offence(low) == 0 || g.offence(high) != 0 || g.Evicted() != 1 {
			t.Fatalf("%d clients; offences %d and %d; evicted %d", g.Len(), g.offence(low), g.offence(high), g.Evicted())
		}
	}
}

func TestAccepted(t *testing.T) {
	g := NewGood(0)
	g.keepVolume(3600)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	base := int64(day0)
	for _, m := range []struct{ at, n int64 }{{0, 1}, {299, 2}, {301, 4}, {900, 8}, {600, 16}} {
		g.Message(a, base+m.at, int(m.n))
		g.Message(b, base+m.at, int(m.n))
	}
	for _, c := range []struct {
		from, to int64
		want     int
	}{
		{-1, 900, 31}, {299, 900, 28}, {298, 900, 31}, {599, 899, 16}, {599, 900, 24}, {2000, 3000, 0}, {-900, -1, 0},
	} {
		for _, p := range prefixes("192.0.2.1/32", "192.0.2.0/24", "2001:db8::1/128", "2001:db8::/64", "2001:db8::/56") {
			if got := g.Accepted(p, base+c.from, base+c.to); got != c.want {
				t.Errorf("%v in (%d, %d]: %d, want %d", p, c.from, c.to, got, c.want)
			}
		}
		if got := g.Accepted(netip.MustParsePrefix("198.51.100.0/24"), base+c.from, base+c.to); got != 0 {
			t.Errorf("elsewhere: %d", got)
		}
	}
	// What is too old goes by the hour.
	for _, m := range []struct {
		at   int64
		want int
	}{{4200, 32}, {7199, 33}, {7200, 3}} {
		g.Message(a, base+m.at, 1)
		if got := g.Accepted(netip.MustParsePrefix("192.0.2.1/32"), base-1, base+m.at); got != m.want {
			t.Errorf("at %d: %d messages remembered, want %d", m.at, got, m.want)
		}
	}
}

// TestGoodSetBack: a clock that is set back teaches nobody twice in a day, and
// is believed when it has gone on for a day.
func TestGoodSetBack(t *testing.T) {
	a, year := netip.MustParseAddr("192.0.2.1"), int64(365*daySecs)
	g := NewGood(0)
	g.keepVolume(daySecs)
	g.Message(a, epoch+year, 1)
	for n := range int64(100) { // to and fro over midnight
		g.Rewind(epoch + year - 3600)
		g.Message(a, epoch+year-3600+n, 1)
		g.Message(a, epoch+year, 1)
	}
	if got := g.State(); got.Mark != epoch+year || got.Clients[0].Days != 1 || got.Clients[0].Today != dayMax {
		t.Errorf("to and fro: %+v", got)
	}
	g.Rewind(epoch)
	for at := int64(epoch); at <= epoch+daySecs; at += 3600 {
		g.Message(a, at, 1)
	}
	if n := g.Accepted(netip.PrefixFrom(a, 32), epoch+daySecs-3600, epoch+daySecs); n != 1 && n != 2 {
		t.Errorf("%d messages accepted in the last hour, want 1, or 2 with all of its first bucket", n)
	}
	if got := g.State(); got.Mark != epoch+daySecs || got.Clients[0].Last != epoch/daySecs+1 {
		t.Errorf("after a day: %+v", got)
	}
	for day := range int64(4) {
		g.Message(a, epoch+(2+day)*daySecs, 3)
	}
	if g.Factor(a) == 256 {
		t.Error("a sender of four days is not known good")
	}
}

func TestGoodRestoreRefuses(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	g := NewGood(0)
	g.Message(a, epoch, 1)
	was := g.State()
	for name, s := range map[string]GoodState{
		"unsorted":        {Clients: []GoodClient{{Addr: b}, {Addr: a}}},
		"twice":           {Clients: []GoodClient{{Addr: a}, {Addr: a}}},
		"invalid":         {Clients: []GoodClient{{}}},
		"mapped":          {Clients: []GoodClient{{Addr: netip.MustParseAddr("::ffff:192.0.2.1")}}},
		"too many a day":  {Clients: []GoodClient{{Addr: a, Today: 4}}},
		"buckets":         {Clients: []GoodClient{{Addr: a, Buckets: []uint32{2, 1}, Counts: []uint32{1, 1}}}},
		"ahead":           {Now: 1},
		"behind itself":   {Mark: 9, Now: 1, Behind: 2},
		"future":          {Clients: []GoodClient{{Addr: a, Off: 1}}},
		"accounts":        {Accounts: []GoodAccount{{User: 2}, {User: 1}}},
		"account address": {Accounts: []GoodAccount{{User: 2, Logins: []GoodLogin{{}}}}},
		"address twice":   {Accounts: []GoodAccount{{User: 2, Logins: []GoodLogin{{Addr: a}, {Addr: a}}}}},
		"logins":          {Accounts: []GoodAccount{{User: 2, Logins: manyLogins(17, false)}}},
		"makers":          {Accounts: []GoodAccount{{User: 2, Logins: manyLogins(9, true)}}},
		"offenders":       {Bad4: [2][]uint32{{5, 5}, nil}},
	} {
		if err := g.Restore(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !reflect.DeepEqual(g.State(), was) {
			t.Errorf("%s: the state has changed", name)
		}
	}
}

func manyLogins(n int, maker bool) []GoodLogin {
	var out []GoodLogin
	for i := range n {
		out = append(out, GoodLogin{Addr: netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)), Maker: maker})
	}
	return out
}
