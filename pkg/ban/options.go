package ban

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/score"
)

// Options say how long bans last and how wide they may get. Times are seconds.
type Options struct {
	Time   int64 // of a first ban
	Max    int64 // of any ban but a manual one
	Memory int64 // for how long after its end a ban makes the next one a repeat
	Parole int64 // for how long after its end one offence of a member revives a ban

	Cover4, Cover6 cover.Options // sound by their Check
	Budget         int           // entries; see [Book.SetBudget]
}

const (
	// day is also how long after the last scored offence a ban may be renewed:
	// kernel counters count innocents too.
	day = 86400
	// quiet is how long a client has to be out of bans for one level to be
	// forgotten.
	quiet = 7 * day
	// hosts is how many addresses of one IPv6 /64 are banned one by one;
	// when more of them offend, all of it is.
	hosts = 16
)

// An Offender is a client that reached a limit.
type Offender struct {
	// Key is what was scored: an IPv4 address, the /64 of an IPv6 address, or,
	// where an allowlisted or known-good address lives in that /64, a /128.
	Key         netip.Prefix
	LastOffence int64
	Cause       Cause
}

// A Cause is the window that an offender fired.
type Cause struct {
	Window      string
	Span        int64 // seconds
	Units       int   // reached, in quarters of a weight ([score.Unit])
	Limit       int   // in the same unit
	Events      int
	First, Last int64 // of the events
	Rules       []score.RuleCount
	Factor      int          // what the limit was multiplied by for good evidence, in 1/256; 0 or 256: nothing
	Network     netip.Prefix // of a window that counts networks: the one that fired
}

// A Member is an offender inside a ban.
type Member struct {
	Key         netip.Prefix
	Since       int64 // when it was banned, or revived
	LastOffence int64 // that was scored
	Level       int   // repeats before this one that are not forgotten
	Cause       Cause
}

// term is how long a ban of this level lasts.
func (o *Options) term(level int) int64 {
	t := max(o.Time, 1)
	for ; level > 0 && t < o.Max; level-- {
		t *= 2
	}
	return min(t, max(o.Max, 1))
}

// top is the level from which bans get no longer: none is remembered above it,
// or quiet days would not count.
func (o *Options) top() int {
	n := 0
	for t := max(o.Time, 1); t < o.Max; t *= 2 {
		n++
	}
	return n
}
