package ban

import (
	"net/netip"
	"slices"
)

// expire ends or renews the bans whose time is over.
func (b *Book) expire(now int64) {
	for {
		x, ok := b.due.first()
		if !ok || x.at > now {
			return
		}
		b.due.pop()
		b.lapse(x.value, x.at)
	}
}

// lapse ends a unit at its time, or renews it for as long again if something in
// it knocked in the last quarter of its term, at most until a day after the
// last scored offence of a member.
func (b *Book) lapse(x *Ban, at int64) {
	if x.Pinned {
		b.release(at, x.Prefix, []*Ban{x}, Expired)
		return
	}
	parts := b.parts(x)
	var knock, offence int64
	for _, y := range parts {
		knock, offence = max(knock, y.LastKnock), max(offence, y.lastOffence())
	}
	term := b.o.term(x.Level)
	until := min(x.Until+term, offence+day)
	if knock < b.LastQuarter(x) || until <= x.Until {
		b.release(at, unitPrefix(x), parts, Expired)
		return
	}
	for _, y := range parts {
		y.TermStart = y.Until
		y.Renewals++
		b.until(y, until, term)
	}
}

// LastQuarter is when the last quarter of a ban's term begins: a knock from
// then on renews it.
func (b *Book) LastQuarter(x *Ban) int64 { return x.Until - b.o.term(x.Level)/4 }

// unitPrefix is the prefix of the unit that a ban is, or is part of.
func unitPrefix(x *Ban) netip.Prefix {
	if x.Site.IsValid() {
		return x.Site
	}
	return x.Prefix
}

// release ends a unit. Its members are remembered, and on parole.
func (b *Book) release(now int64, p netip.Prefix, parts []*Ban, how string) {
	u := &Parole{Prefix: p, Until: now + b.o.Parole}
	for _, x := range parts {
		b.end(x, now, how, netip.Prefix{})
		for _, m := range x.Members {
			b.history.add(m.Key, m.Level, now)
		}
		u.Members = append(u.Members, x.Members...)
	}
	if b.o.Parole > 0 {
		u.Members = slices.Clone(u.Members) // the spell keeps its own
		b.parole.add(u)
	}
}
