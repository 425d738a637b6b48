package score

import (
	"iter"
	"net/netip"
	"slices"
)

// An account is the addresses from which a SASL user has logged in within 30
// days. The first 8 are makers: logins from there are good evidence; from any
// other they count nothing until a maker has been silent for 30 days, so that
// one stolen password makes at most 8 addresses good. Up to 8 others are
// remembered too, the longest silent forgotten first, for LoggedIn.
type account struct {
	logins []login
	oldest uint32 // no last login is before it
	makers uint8
	latest uint8 // where the last login may be
}

// A login holds no pointer, so that it is moved without the collector.
type login struct {
	addr  key16  // an IPv4 address in its mapped form
	last  uint32 // last login, Unix seconds
	stale uint32 // last failure that counted, Unix seconds; 0: none
	maker bool
}

const (
	maxMakers = 8
	maxLogins = 16
	loginLife = 30 * daySecs
	staleLife = 3600
)

// account is that of a user, made if need be; nil when there are too many.
func (g *Good) account(user uint64) *account {
	a := g.accounts[user]
	if a == nil {
		if len(g.accounts) >= g.max {
			return nil
		}
		a = new(account)
		g.accounts[user] = a
	}
	return a
}

// login notes a login and says whether it is evidence.
func (a *account) login(c key16, t, now int64) bool {
	a.age(now)
	i := a.find(c)
	if i < 0 {
		i = a.add(c)
	}
	a.latest = uint8(i)
	l := &a.logins[i]
	l.last = max(l.last, clampTime(t))
	a.oldest = min(a.oldest, l.last)
	if !l.maker && a.makers < maxMakers {
		l.maker = true
		a.makers++
	}
	return l.maker
}

func (a *account) find(c key16) int {
	if i := int(a.latest); i < len(a.logins) && a.logins[i].addr == c {
		return i
	}
	for i := range a.logins {
		if l := &a.logins[i]; l.addr[1] == c[1] && l.addr[0] == c[0] { // an IPv4 address is in the second half
			return i
		}
	}
	return -1
}

// add makes room for an address: that of the longest silent that is no maker, if
// need be.
func (a *account) add(c key16) int {
	if len(a.logins) < maxLogins {
		a.logins = append(a.logins, login{addr: c})
		return len(a.logins) - 1
	}
	oldest, last := 0, uint64(1<<32)
	for i := range a.logins {
		if l := &a.logins[i]; !l.maker && uint64(l.last) < last {
			oldest, last = i, uint64(l.last)
		}
	}
	a.logins[oldest] = login{addr: c}
	return oldest
}

// age forgets the addresses that have been silent for 30 days.
func (a *account) age(now int64) {
	if int64(a.oldest)+loginLife <= now {
		a.forget(now)
	}
}

func (a *account) forget(now int64) {
	a.logins = slices.DeleteFunc(a.logins, func(l login) bool { return int64(l.last)+loginLife <= now })
	a.oldest, a.makers = 1<<32-1, 0
	for i := range a.logins {
		a.oldest = min(a.oldest, a.logins[i].last)
		if a.logins[i].maker {
			a.makers++
		}
	}
}

func (g *Good) ageAccounts() {
	for user, a := range g.accounts { // each for itself: the order does not matter
		a.age(g.mark)
		if len(a.logins) == 0 {
			delete(g.accounts, user)
		}
	}
}

// from are the logins of a user in the 30 days before t from where c is: its
// address, or the /64 of an IPv6 address, of which a phone changes the rest
// every day.
func (g *Good) from(c netip.Addr, user uint64, t int64) iter.Seq[*login] {
	return func(yield func(*login) bool) {
		a := g.accounts[user]
		if a == nil || user == 0 {
			return
		}
		c = plain(c)
		k, v6 := addrKey16(c), c.Is6()
		for i := range a.logins {
			l := &a.logins[i]
			if (l.addr == k || v6 && l.addr[0] == k[0]) && int64(l.last)+loginLife > t && !yield(l) {
				return
			}
		}
	}
}

// LoggedIn says whether the user has logged in from there in the 30 days
// before t.
func (g *Good) LoggedIn(c netip.Addr, user uint64, t int64) bool {
	for range g.from(c, user, t) {
		return true
	}
	return false
}

// StalePassword says whether a failure of the user at t need not count,
// because one from there has counted less than an hour ago: a phone with an
// old password. If not, this one is noted as counted. It is never true unless
// LoggedIn is.
func (g *Good) StalePassword(c netip.Addr, user uint64, t int64) bool {
	var first *login
	for l := range g.from(c, user, t) {
		if gap := t - int64(l.stale); l.stale != 0 && gap < staleLife && gap > -staleLife {
			return true
		}
		if first == nil {
			first = l
		}
	}
	if first != nil {
		first.stale = max(clampTime(t), 1)
	}
	return false
}
