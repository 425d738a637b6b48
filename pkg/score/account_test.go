package score

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// accountTwin is an account by definition.
type accountTwin []GoodLogin

func (w *accountTwin) login(a netip.Addr, t, now int64) (evidence bool) {
	w.age(now)
	makers := 0
	for _, l := range *w {
		if l.Maker {
			makers++
		}
	}
	i := w.find(a)
	if i < 0 {
		if len(*w) == 16 {
			oldest := slices.MinFunc(*w, func(a, b GoodLogin) int {
				if a.Maker != b.Maker {
					return less(b.Maker)
				}
				return int(a.Last) - int(b.Last)
			})
			i = w.find(oldest.Addr)
			(*w)[i] = GoodLogin{Addr: a}
		} else {
			i = len(*w)
			*w = append(*w, GoodLogin{Addr: a})
		}
	}
	l := &(*w)[i]
	l.Last = max(l.Last, uint32(t))
	l.Maker = l.Maker || makers < 8
	return l.Maker
}

func (w *accountTwin) age(now int64) {
	*w = slices.DeleteFunc(*w, func(l GoodLogin) bool { return int64(l.Last)+30*daySecs <= now })
}

func (w *accountTwin) find(a netip.Addr) int {
	return slices.IndexFunc(*w, func(l GoodLogin) bool { return l.Addr == a })
}

func (w *accountTwin) stale(a netip.Addr, t int64) (loggedIn, stale bool) {
	unit := netip.PrefixFrom(a, 32)
	if a.Is6() {
		unit = netip.PrefixFrom(a, 64).Masked()
	}
	var from []*GoodLogin
	for i := range *w {
		if l := &(*w)[i]; unit.Contains(l.Addr) && int64(l.Last)+30*daySecs > t {
			from = append(from, l)
		}
	}
	for _, l := range from {
		if gap := t - int64(l.Stale); l.Stale != 0 && -3600 < gap && gap < 3600 {
			return true, true
		}
	}
	if len(from) == 0 {
		return false, false
	}
	from[0].Stale = uint32(t)
	return true, false
}

func TestAccountTwin(t *testing.T) {
	dropped, aged, stales, refused := 0, 0, 0, 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 11))
		g := NewGood(0)
		twins := map[uint64]*accountTwin{1: {}, 2: {}}
		now, hosts := int64(day0), 2+r.IntN(40)
		for step := range 600 {
			switch r.IntN(40) {
			case 0:
				now += r.Int64N(20 * daySecs)
			default:
				now += r.Int64N(3) * r.Int64N(2000)
			}
			user := uint64(1 + r.IntN(2))
			w := twins[user]
			n := uint32(r.IntN(hosts))
			a := host4(0xc0000200 + n)
			if n%3 == 0 {
				a = host6(0x20010db8_00000000+uint64(n)%4, uint64(n))
			}
			at := now - r.Int64N(100)
			switch r.IntN(8) {
			case 0:
				for range 3 {
					in, stale := w.stale(a, at)
					if got := g.LoggedIn(a, user, at); got != in {
						t.Fatalf("seed %d, step %d: logged in %v, want %v", seed, step, got, in)
					}
					if got := g.StalePassword(a, user, at); got != stale {
						t.Fatalf("seed %d, step %d: stale %v, want %v", seed, step, got, stale)
					}
					if stale {
						stales++
					}
					at += r.Int64N(5000)
				}
				continue
			case 1:
				if r.IntN(10) == 0 {
					g2 := NewGood(0)
					move(t, g, g2)
					g = g2
				}
			}
			for _, w := range twins {
				n := len(*w)
				if now/daySecs != g.day {
					w.age(now)
				}
				aged += n - len(*w)
			}
			g.Advance(now)
			before, had := len(*w), w.find(a) >= 0
			evidence, was := w.login(a, at, now), g.Messages(a)
			g.Login(a, at, 1, user)
			if !evidence {
				refused++
				if g.Messages(a) != was {
					t.Fatalf("seed %d, step %d: a login that is none counts", seed, step)
				}
			}
			if before == 16 && !had {
				dropped++
			}
			for _, got := range g.State().Accounts {
				if want := *twins[got.User]; !slices.Equal(got.Logins, want) && (got.User == user || len(want) > 0) {
					t.Fatalf("seed %d, step %d, user %d:\n%v, want\n%v", seed, step, got.User, got.Logins, want)
				}
			}
		}
	}
	if dropped < 500 || aged < 500 || stales < 100 || refused < 1000 {
		t.Errorf("%d dropped, %d aged, %d stale, %d refused: the streams do not reach what they are to test", dropped, aged, stales, refused)
	}
}
