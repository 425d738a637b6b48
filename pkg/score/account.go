package score

import (
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
}

type login struct {
	addr  netip.Addr
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
func (a *account) login(c netip.Addr, t, now int64) bool {
	a.age(now)
	makers := 0
	for _, l := range a.logins {
		if l.maker {
			makers++
		}
	}
	i := a.find(c)
	if i < 0 {
		if len(a.logins) == maxLogins {
			a.dropOldest()
		}
		i = len(a.logins)
		a.logins = append(a.logins, login{addr: c})
	}
	l := &a.logins[i]
	l.last = max(l.last, clampTime(t))
	a.oldest = min(a.oldest, l.last)
	l.maker = l.maker || makers < maxMakers
	return l.maker
}

func (a *account) find(c netip.Addr) int {
	return slices.IndexFunc(a.logins, func(l login) bool { return l.addr == c })
}

// age forgets the addresses that have been silent for 30 days.
func (a *account) age(now int64) {
	if int64(a.oldest)+loginLife > now {
		return
	}
	a.logins = slices.DeleteFunc(a.logins, func(l login) bool { return int64(l.last)+loginLife <= now })
	a.oldest = 1<<32 - 1
	for _, l := range a.logins {
		a.oldest = min(a.oldest, l.last)
	}
}

// dropOldest forgets the longest silent address that is no maker.
func (a *account) dropOldest() {
	oldest := -1
	for i, l := range a.logins {
		if !l.maker && (oldest < 0 || l.last < a.logins[oldest].last) {
			oldest = i
		}
	}
	a.logins = slices.Delete(a.logins, oldest, oldest+1)
}

func (g *Good) ageAccounts() {
	for user, a := range g.accounts { // each for itself: the order does not matter
		a.age(g.mark)
		if len(a.logins) == 0 {
			delete(g.accounts, user)
		}
	}
}

// login is that of a user from an address in the 30 days before t, or nil.
func (g *Good) login(c netip.Addr, user uint64, t int64) *login {
	a := g.accounts[user]
	if a == nil || user == 0 {
		return nil
	}
	i := a.find(plain(c))
	if i < 0 || int64(a.logins[i].last)+loginLife <= t {
		return nil
	}
	return &a.logins[i]
}

// LoggedIn says whether the user has logged in from there in the 30 days
// before t.
func (g *Good) LoggedIn(c netip.Addr, user uint64, t int64) bool {
	return g.login(c, user, t) != nil
}

// StalePassword says whether a failure of the user at t need not count,
// because one from the same address has counted less than an hour ago: a
// phone with an old password. If not, this one is noted as counted. It is
// never true unless LoggedIn is.
func (g *Good) StalePassword(c netip.Addr, user uint64, t int64) bool {
	l := g.login(c, user, t)
	if l == nil {
		return false
	}
	if gap := t - int64(l.stale); l.stale != 0 && gap < staleLife && gap > -staleLife {
		return true
	}
	l.stale = max(clampTime(t), 1)
	return false
}
