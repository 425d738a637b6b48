package score

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// GoodState is all that a Good knows. Everything in it is sorted.
type GoodState struct {
	Mark     int64 // Unix seconds
	Clients  []GoodClient
	Accounts []GoodAccount
	Fresh    []netip.Addr
	// Offenders without a Client: today's and yesterday's.
	Bad4    [2][]uint32
	Bad6    [2][][2]uint64
	Evicted uint64
}

// GoodClient is what is known of one client.
type GoodClient struct {
	Addr             netip.Addr
	Old              uint32 // evidence from before yesterday, decayed, in 1/65536
	Yesterday, Today uint8
	Unknown          bool // a login of an unknown user has counted today
	Days             uint16
	Last, Off        uint32 // day of the last mail and of the last offence
	Since            int64  // when it became known good, Unix seconds; 0: it is not
	Buckets, Counts  []uint32
}

// GoodAccount is where a SASL user has logged in from, the oldest address
// first.
type GoodAccount struct {
	User   uint64
	Logins []GoodLogin
}

// GoodLogin is one address of a GoodAccount.
type GoodLogin struct {
	Addr        netip.Addr
	Last, Stale uint32 // last login and last counted failure, Unix seconds
	Maker       bool   // logins from there are good evidence
}

// State returns a copy of all that the Good knows.
func (g *Good) State() GoodState {
	s := GoodState{Mark: g.mark, Evicted: g.evicted}
	for _, chunk := range g.order.chunks {
		for _, a := range chunk {
			r := g.clients[a]
			c := GoodClient{
				Addr: a, Old: r.old, Yesterday: r.yesterday, Today: r.today, Unknown: r.unknown,
				Days: r.days, Last: r.last, Off: r.off, Since: r.since,
			}
			for _, b := range r.volume {
				c.Buckets, c.Counts = append(c.Buckets, b.at), append(c.Counts, b.n)
			}
			s.Clients = append(s.Clients, c)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(g.accounts)) {
		a := GoodAccount{User: user}
		for _, l := range g.accounts[user].logins {
			a.Logins = append(a.Logins, GoodLogin{l.addr, l.last, l.stale, l.maker})
		}
		s.Accounts = append(s.Accounts, a)
	}
	s.Fresh = slices.Clone(g.fresh)
	slices.SortFunc(s.Fresh, netip.Addr.Compare)
	s.Fresh = slices.Compact(s.Fresh)
	for i := range g.bad {
		for _, k := range g.bad[i].v4.sorted(func(a, b key4) int { return cmp.Compare(a, b) }) {
			s.Bad4[i] = append(s.Bad4[i], uint32(k))
		}
		for _, k := range g.bad[i].v6.sorted(func(a, b key16) int { return slices.Compare(a[:], b[:]) }) {
			s.Bad6[i] = append(s.Bad6[i], k)
		}
	}
	return s
}

func (s *GoodState) check() error {
	if s.Mark < 0 || s.Mark > 1<<32-1 {
		return errors.New("time out of range")
	}
	day := uint32(s.Mark / daySecs)
	for i := range s.Clients {
		c := &s.Clients[i]
		switch {
		case !c.Addr.IsValid() || c.Addr != plain(c.Addr):
			return errors.New("invalid address")
		case i > 0 && s.Clients[i-1].Addr.Compare(c.Addr) >= 0:
			return errors.New("clients are not sorted")
		case len(c.Buckets) != len(c.Counts) || !ascending(c.Buckets, cmp.Compare):
			return errors.New("accepted messages are not sorted")
		case c.Yesterday > dayMax || c.Today > dayMax || c.Old > 1<<24 || c.Last > day || c.Off > day || c.Days == 1<<16-1:
			return fmt.Errorf("impossible evidence of %v", c.Addr)
		}
	}
	if !ascending(s.Accounts, func(a, b GoodAccount) int { return cmp.Compare(a.User, b.User) }) {
		return errors.New("accounts are not sorted")
	}
	for _, a := range s.Accounts {
		makers := 0
		for i, l := range a.Logins {
			if !l.Addr.IsValid() || l.Addr != plain(l.Addr) {
				return errors.New("invalid address of an account")
			}
			if slices.ContainsFunc(a.Logins[:i], func(o GoodLogin) bool { return o.Addr == l.Addr }) {
				return errors.New("an address twice in an account")
			}
			if l.Maker {
				makers++
			}
		}
		if len(a.Logins) > maxLogins || makers > maxMakers {
			return errors.New("too many addresses in an account")
		}
	}
	for i := range s.Bad4 {
		if !ascending(s.Bad4[i], cmp.Compare) ||
			!ascending(s.Bad6[i], func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }) {
			return errors.New("offenders are not sorted")
		}
	}
	return nil
}

// Restore puts the Good in a state that State returned; what it knew is lost,
// and it behaves as the one that was asked. Call it after the Tables that use
// it are made. An error leaves the Good as it was.
func (g *Good) Restore(s GoodState) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("state of good clients: %w", err)
	}
	*g = Good{
		max: g.max, keep: g.keep, mark: s.Mark, day: s.Mark / daySecs, evicted: s.Evicted,
		clients: make(map[netip.Addr]*record, len(s.Clients)), accounts: map[uint64]*account{},
	}
	for i := range s.Bad4 {
		for _, k := range s.Bad4[i] {
			g.bad[i].v4.add(key4(k))
		}
		for _, k := range s.Bad6[i] {
			g.bad[i].v6.add(key16(k))
		}
	}
	for _, c := range s.Clients {
		if len(g.clients) >= g.max {
			g.evict()
		}
		r := &record{
			old: c.Old, yesterday: c.Yesterday, today: c.Today, unknown: c.Unknown,
			days: c.Days, last: c.Last, off: c.Off,
		}
		for i := range c.Buckets {
			r.volume = append(r.volume, bucket{c.Buckets[i], c.Counts[i]})
		}
		g.clients[c.Addr] = r
		g.order.insert(c.Addr)
		g.judge(c.Addr, r)
		if r.known {
			r.since = c.Since
		}
	}
	g.fresh = slices.Clone(s.Fresh)
	for _, a := range s.Accounts {
		x := &account{}
		for _, l := range a.Logins {
			x.logins = append(x.logins, login{l.Addr, l.Last, l.Stale, l.Maker})
		}
		g.accounts[a.User] = x
	}
	return nil
}
