package ban

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// Forever is the end of a manual ban that has none.
const Forever = math.MaxInt64

// Ban bans p by hand, around what the allowlist holds of it, and returns the
// prefixes that this made. They are pinned: they end at until or by Unban, and
// take no part in covers. Running bans inside of p end; their members are on
// parole when the manual ban is over. Inside of a wider running ban the manual
// one is hidden as long as that lasts. Known-good senders are no hindrance: the
// operator said so. A prefix that is pinned already gets the new end and
// reason.
func (b *Book) Ban(now int64, p netip.Prefix, until int64, because string) ([]netip.Prefix, error) {
	b.enter(now)
	p = prefix.Canonical(p)
	if !p.IsValid() {
		return nil, errors.New("ban: not a prefix")
	}
	if until <= now {
		return nil, fmt.Errorf("ban %s: its end is not in the future", p)
	}
	parts := prefix.Subtract(p, b.allow.Within(p))
	if len(parts) == 0 {
		return nil, fmt.Errorf("ban %s: the allowlist holds it", p)
	}
	b.unspare(p)
	for _, q := range parts {
		if x := b.pinned(q); x != nil {
			x.Because = because
			b.until(x, until, until-now)
			continue
		}
		x := &Ban{
			Prefix: q, Door: b.door, From: now, TermStart: now,
			Pinned: true, Because: because, Why: Why{Kind: Manual},
		}
		b.pin(now, x, until)
	}
	b.leave(now)
	return parts, nil
}

// pinned returns the manual ban of exactly p, in force or hidden.
func (b *Book) pinned(p netip.Prefix) *Ban {
	if x, ok := b.bans.Get(p); ok && x.Pinned {
		return x
	}
	for _, x := range b.hidden {
		if x.Prefix == p {
			return x
		}
	}
	return nil
}

// pin brings a new manual ban in force, or hides it.
func (b *Book) pin(now int64, x *Ban, until int64) {
	x.hidden = true // it has no entry yet
	b.until(x, until, until-now)
	b.hidden = append(b.hidden, x)
	slices.SortFunc(b.hidden, compare)
	b.surface(now, x)
}

// hide takes a manual ban out of force, for a wider ban above it.
func (b *Book) hide(x *Ban) {
	b.drop(x)
	x.hidden = true
	b.hidden = append(b.hidden, x)
	slices.SortFunc(b.hidden, compare)
}

// surface brings a hidden ban in force, unless something holds it. The bans of
// the solver inside of it become part of it.
func (b *Book) surface(now int64, x *Ban) {
	if h := b.holder(x.Prefix); h != nil && (h.Pinned || h.Prefix != x.Prefix) {
		return
	}
	b.hidden = slices.DeleteFunc(b.hidden, func(y *Ban) bool { return y == x })
	for _, y := range slices.Clone(b.within(x.Prefix)) {
		if y.Pinned {
			b.hide(y)
			continue
		}
		b.absorb(x, y, now)
	}
	x.tidy()
	b.put(x)
}

// uncover brings the hidden bans in force above which nothing is left.
func (b *Book) uncover(now int64) {
	if !b.freed {
		return
	}
	for _, x := range slices.Clone(b.hidden) { // an outer one comes before those inside of it
		b.surface(now, x)
	}
	b.freed = false
}

// Unban lifts the bans inside of p and carves p out of wider ones; the ban of a
// single IPv6 /64 is lifted as a whole even if p is only an address of it. What
// was known of the clients in p is forgotten: the next ban of one is its first.
// Until one of them offends, or a parole's time is over, no wide ban of the
// solver will hold any of p. It returns the prefixes of the bans that were
// lifted or carved, sorted.
func (b *Book) Unban(now int64, p netip.Prefix) []netip.Prefix {
	b.enter(now)
	p = prefix.Canonical(p)
	if !p.IsValid() {
		return nil
	}
	b.parole.revoke(p)
	b.history.forget(p)
	if isExact(p) { // it may have been scored by its /64
		unit := prefix.Unit(p.Addr())
		b.parole.strike(unit)
		delete(b.history.past, unit)
	}
	b.spare(now, p)
	before := len(b.ended)
	holes := []netip.Prefix{p}
	for _, x := range b.pinsAt(p) {
		b.carvePin(now, x, holes)
	}
	b.carve(now, holes)
	b.leave(now)
	var lifted []netip.Prefix
	for _, s := range b.ended[before:] {
		if s.End == Lifted || s.End == Carved {
			lifted = append(lifted, s.Prefix)
		}
	}
	slices.SortFunc(lifted, netip.Prefix.Compare)
	return slices.Compact(lifted)
}

// Carve brings running bans in line with prefixes that were added to the
// allowlist, or senders that became known good, which the shared allowlist and
// memory must hold already: what they touch is carved around them, or lifted. A
// sender that became good keeps the ban of its own.
func (b *Book) Carve(now int64, holes []netip.Prefix) {
	b.enter(now)
	var clean []netip.Prefix
	for _, h := range holes {
		if h = prefix.Canonical(h); h.IsValid() {
			clean = append(clean, h)
		}
	}
	for _, h := range clean {
		for _, x := range b.pinsAt(h) {
			if not := b.allow.Within(x.Prefix); len(not) > 0 {
				b.carvePin(now, x, not)
			}
		}
	}
	b.carve(now, clean)
	b.leave(now)
}

// pinsAt returns the manual bans that have an address in common with p, in
// force or hidden.
func (b *Book) pinsAt(p netip.Prefix) []*Ban {
	var pins []*Ban
	if b.pins > 0 {
		if x := b.holder(p); x != nil && x.Pinned {
			pins = append(pins, x)
		}
		for _, x := range b.within(p) {
			if x.Pinned && x.Prefix != p {
				pins = append(pins, x)
			}
		}
	}
	for _, x := range b.hidden {
		if x.Prefix.Overlaps(p) {
			pins = append(pins, x)
		}
	}
	return pins
}

// carvePin ends a manual ban and makes it anew around holes.
func (b *Book) carvePin(now int64, x *Ban, holes []netip.Prefix) {
	parts := prefix.Subtract(x.Prefix, holes)
	how := Lifted
	if len(parts) > 0 {
		how = Carved
	}
	b.end(x, now, how, netip.Prefix{})
	for _, p := range parts {
		y := &Ban{
			Prefix: p, Door: b.door, From: now, TermStart: x.TermStart, LastKnock: x.LastKnock,
			Earlier: x.Knocks + x.Earlier, Pinned: true, Because: x.Because, Why: x.Why,
		}
		for _, m := range x.Members {
			if p.Contains(m.Key.Addr()) && p.Bits() <= m.Key.Bits() {
				y.Members = append(y.Members, m)
				y.Level = max(y.Level, m.Level)
			}
		}
		if z := b.pinned(p); z != nil {
			b.merge(z, y, x.Until)
			continue
		}
		b.pin(now, y, x.Until)
	}
}

// merge makes one of two manual bans of the same prefix, parts of others that
// were carved: the one that lasts longer.
func (b *Book) merge(x, y *Ban, until int64) {
	x.Members = append(x.Members, y.Members...)
	x.tidy()
	x.Level, x.LastKnock, x.Earlier = max(x.Level, y.Level), max(x.LastKnock, y.LastKnock), x.Earlier+y.Earlier
	if until > x.Until {
		x.Because = y.Because
		b.until(x, until, until-b.clock)
	}
}

// tidy sorts the members. One that is there twice, since it was in a ban and in
// one that was hidden beneath, is the later one.
func (b *Ban) tidy() {
	slices.SortStableFunc(b.Members, func(m, n Member) int {
		return cmp.Or(m.Key.Compare(n.Key), cmp.Compare(n.Since, m.Since))
	})
	b.Members = slices.CompactFunc(b.Members, func(m, n Member) bool { return m.Key == n.Key })
}

// carve covers anew, around what is to be spared now, the buckets of the bans
// of the solver that holes touch.
func (b *Book) carve(now int64, holes []netip.Prefix) {
	var buckets, sites []netip.Prefix
	var lift []*Ban
	meet := func(x *Ban) {
		switch {
		case x.Pinned:
		case x.Site.IsValid():
			sites = append(sites, x.Site)
		case x.exact():
			if b.isSpared(now, x.Prefix) {
				lift = append(lift, x)
			}
		default:
			buckets = append(buckets, b.bucket(x.Prefix))
		}
	}
	for _, h := range holes {
		if x := b.holder(h); x != nil {
			meet(x)
			continue
		}
		for _, x := range b.within(h) {
			meet(x)
		}
	}
	for _, x := range lift {
		if !x.dead {
			b.end(x, now, Lifted, netip.Prefix{})
		}
	}
	for _, list := range [2][]netip.Prefix{sites, buckets} {
		slices.SortFunc(list, netip.Prefix.Compare)
	}
	for _, p := range slices.Compact(sites) {
		b.carveSite(now, p)
	}
	for _, p := range slices.Compact(buckets) {
		b.resolve(now, p, nil)
	}
}
