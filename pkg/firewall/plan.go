package firewall

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// Slack is by how many seconds the deadline that a firewall reports may differ
// from the one it was given: some count in whole seconds, and time passes
// between asking and being answered.
const Slack = 2

// A Key names an entry: a backend holds at most one for each.
type Key struct {
	Prefix netip.Prefix
	Door   maillog.Door
}

// KeyOf is the key of an entry.
func KeyOf(e ban.Entry) Key { return Key{e.Prefix, e.Door} }

// Plan is what must change for a firewall that holds have to hold want: after a
// restart, after a repair. Entries of want whose deadline is not after now
// (Unix seconds) are not put back. An entry is refreshed when its deadline is
// off by more than [Slack], or, where that is further off than [MaxAhead], when
// half of that has passed; a firewall without deadlines is never refreshed.
func Plan(have []Active, want []ban.Entry, now int64) ban.Change {
	held := make(map[Key]int, len(have)) // where in have
	for i, a := range have {
		held[KeyOf(a.Entry)] = i
	}
	var c ban.Change
	if n := len(want) - len(have); n > 0 {
		c.Add = make([]ban.Entry, 0, n)
	}
	wanted := make([]bool, len(have))
	for _, e := range want {
		if e.Deadline <= now {
			continue
		}
		i, ok := held[KeyOf(e)]
		if !ok {
			c.Add = append(c.Add, e)
			continue
		}
		wanted[i] = true
		if d := have[i].Deadline; d != 0 && stale(d, e.Deadline, now) {
			c.Refresh = append(c.Refresh, e)
		}
	}
	for _, a := range have {
		if !wanted[held[KeyOf(a.Entry)]] {
			c.Remove = append(c.Remove, a.Entry)
		}
	}
	return c
}

// MaxAhead is the longest that a firewall is told to hold an entry by itself,
// what ipset can take: a ban without end is told again before it is over.
const MaxAhead = 2147483 * time.Second

// Ahead is how long a firewall is to hold an entry by itself, at most MaxAhead,
// and whether that is at least a second: less is not worth a kernel timeout, and
// a timeout that is rounded to zero would be a ban without end.
func Ahead(e ban.Entry, now time.Time) (time.Duration, bool) {
	if e.Deadline-now.Unix() > int64(MaxAhead/time.Second) {
		return MaxAhead, true
	}
	d := time.Unix(e.Deadline, 0).Sub(now)
	return d, d >= time.Second
}

// stale says whether an entry that the firewall drops at held is to be told its
// deadline again.
func stale(held, deadline, now int64) bool {
	most := int64(MaxAhead / time.Second)
	if deadline-now > most {
		return held-now < most/2 || held > deadline
	}
	return abs(held-deadline) > Slack
}

// CheckChange says what is not well formed in a change: an invalid, unmasked,
// IPv4-mapped or zoned prefix, one of length 0, a door that does not exist. The
// error is an ErrBadEntry; a backend refuses such a change whole.
func CheckChange(backend string, c ban.Change) error {
	for _, list := range [][]ban.Entry{c.Add, c.Refresh, c.Remove} {
		for _, e := range list {
			p := e.Prefix
			ok := p.IsValid() && p == p.Masked() && !p.Addr().Is4In6() && p.Bits() > 0 && e.Door < maillog.NumDoors
			if !ok {
				return &Error{Backend: backend, Op: "apply", Kind: ErrBadEntry, Err: fmt.Errorf("%v at door %d", p, e.Door)}
			}
		}
	}
	return nil
}

// CheckAllow says what is not well formed in an allowlist (as CheckChange, but
// length 0 is allowed).
func CheckAllow(backend string, allow []netip.Prefix) error {
	for _, p := range allow {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			return &Error{Backend: backend, Op: "set allowlist", Kind: ErrBadEntry, Err: fmt.Errorf("%v", p)}
		}
	}
	return nil
}

// Compare orders entries by prefix (IPv4 first) and door.
func Compare(a, b ban.Entry) int {
	return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Door, b.Door))
}

// Sort brings what a backend read into the order that Active promises.
func Sort(all []Active) {
	slices.SortFunc(all, func(a, b Active) int { return Compare(a.Entry, b.Entry) })
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
