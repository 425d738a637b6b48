package engine

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

// Live tells the engine the wall clock, Unix seconds: no line counts later
// than two seconds after it, and one up to there is believed at once.
func (e *Engine) Live(wall int64) {
	e.front.clock.horizon = wall + ahead
	e.front.clock.cap = wall + ahead
}

// Start gives the scoring clock a beginning where no line has: so that an
// operator may ban on a host whose log is still empty.
func (e *Engine) Start(now int64) {
	if e.front.clock.mark == 0 {
		e.front.clock.mark = now
	}
}

// Hold stops new bans: all of them, or only those wider than a host. Scoring
// goes on, running bans stay, and those by hand are made.
func (e *Engine) Hold(all, wide bool) {
	e.held = all
	// A ban that is carved, or too many of them, must not make a wider one then.
	e.breaker.Hold(all || wide)
}

// Ban bans a prefix by hand until a time (ban.Forever: until it is lifted),
// around what the allowlist holds of it, and returns what this made. A host is
// banned at all ports by one entry, a network needs one at each door.
func (e *Engine) Ban(p netip.Prefix, until int64, because string) ([]*ban.Ban, error) {
	defer e.settle()
	p = prefix.Canonical(p)
	var out []*ban.Ban
	var errs []error
	for d, b := range e.books {
		if d > 0 && (ban.Entry{Prefix: p}).Everywhere() {
			break
		}
		parts, err := b.Ban(e.Now(), p, until, because)
		errs = append(errs, err)
		for _, q := range parts {
			if x := b.Lookup(q.Addr()); x != nil {
				out = append(out, x)
			}
		}
	}
	return out, errors.Join(errs...)
}

// Unban lifts the bans inside of a prefix at all doors and carves it out of
// wider ones. It returns the prefixes that were lifted or carved, sorted, each
// once.
func (e *Engine) Unban(p netip.Prefix) []netip.Prefix {
	defer e.settle()
	var out []netip.Prefix
	for _, b := range e.books {
		out = append(out, b.Unban(e.Now(), p)...)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// Resume lets widening go on at once if the breaker stopped it.
func (e *Engine) Resume() { e.breaker.Resume(e.Now()) }

// Knock tells of n packets to a running ban that a firewall counted, between
// its last count and t.
func (e *Engine) Knock(p netip.Prefix, d maillog.Door, t int64, n uint64) {
	if x := e.Running(p, d); x != nil {
		e.books[d].Knock(x, t, n)
	}
}

// LastQuarter is when the last quarter of a running ban's term begins: a knock
// from then on renews it.
func (e *Engine) LastQuarter(x *ban.Ban) int64 { return e.books[x.Door].LastQuarter(x) }

// Running is the running ban of exactly this prefix, nil if there is none.
func (e *Engine) Running(p netip.Prefix, d maillog.Door) *ban.Ban {
	if x := e.books[d].Lookup(p.Addr()); x != nil && x.Prefix == p {
		return x
	}
	return nil
}

// settle runs what a change from outside has made due.
func (e *Engine) settle() {
	e.share()
	e.next = e.wake(e.Now())
}

// Hidden returns the manual bans that lie beneath a wider running one.
func (e *Engine) Hidden() []*ban.Ban {
	var all []*ban.Ban
	for _, b := range e.books {
		all = append(all, b.Hidden()...)
	}
	return all
}

// Lookup returns the running bans that hold an address, by door.
func (e *Engine) Lookup(a netip.Addr) []*ban.Ban {
	var all []*ban.Ban
	for _, b := range e.books {
		if x := b.Lookup(a); x != nil {
			all = append(all, x)
		}
	}
	return all
}

// Standing says how close an address is to the limits at a door, for each
// window.
func (e *Engine) Standing(a netip.Addr, d maillog.Door) []score.Standing {
	return e.tables[d].Standing(e.key(a), e.Now())
}

// Near returns the n clients of a door that are closest to a limit. It reads
// the whole table.
func (e *Engine) Near(n int, d maillog.Door) []score.Standing {
	return e.tables[d].Near(n, e.Now())
}

// A Sender is what is known of a client that sends wanted mail.
type Sender struct {
	Known    int64 // since when it is known good, Unix seconds; 0: it is not
	Messages int   // decayed evidence, in tenths of a message
	Factor   int   // what its limits are multiplied by, in 1/256
}

// Sender tells what good evidence there is of an address.
func (e *Engine) Sender(a netip.Addr) Sender {
	return Sender{Known: e.good.Since(a), Messages: e.good.Messages(a), Factor: e.good.Factor(a)}
}

// KnownGood is the number of known good clients.
func (e *Engine) KnownGood() int { return e.good.KnownLen() }

// BreakerUntil is when widening goes on, 0 if it is not stopped.
func (e *Engine) BreakerUntil() int64 { return e.breaker.Until(e.Now()) }

// Windows are the windows by number, as Standing names them.
func (e *Engine) Windows() []score.Window { return e.o.Windows }

// Adopt takes over a ban that a firewall holds and of which nothing else is
// known, as one by hand. It says whether it could.
func (e *Engine) Adopt(x ban.Entry, until int64, because string) bool {
	defer e.settle()
	_, err := e.books[x.Door].Ban(e.Now(), x.Prefix, until, because)
	return err == nil
}
