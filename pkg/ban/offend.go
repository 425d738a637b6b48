package ban

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// A claim is an offender to be placed in a ban.
type claim struct {
	member  Member
	until   int64 // the end it brings
	revived bool
	from    *Ban // the ban that was carved from around it; nil for a new offender
}

// Offend bans those who reached a limit. The buckets they lie in are covered
// anew at once: running bans stay as they are or become part of a wider one.
// Offenders that the allowlist holds are refused; those inside a running ban
// become members of it.
func (b *Book) Offend(now int64, os []Offender) {
	b.enter(now)
	claims := make([]claim, 0, len(os))
	for i := range os {
		o := &os[i]
		key := prefix.Canonical(o.Key)
		if !isKey(key) {
			continue
		}
		if b.allow.Overlaps(key) {
			b.refused++
			continue
		}
		cause := o.Cause
		cause.Rules = slices.Clone(cause.Rules)
		claims = append(claims, b.claim(now, Member{Key: key, LastOffence: o.LastOffence, Cause: cause}))
	}
	b.place(now, claims)
	b.leave(now)
}

// Offence tells of one scored offence. If the client was a member of a unit
// that is on parole, the unit is banned again as a whole, one level up, as far
// as allowlist and known-good senders let it, and Offence returns the ban that
// now holds the client. Otherwise it does nothing and returns nil.
func (b *Book) Offence(now int64, key netip.Prefix) *Ban {
	b.enter(now)
	key = prefix.Canonical(key)
	u := b.parole.of(key, now)
	if u == nil || b.allow.Overlaps(key) {
		return nil
	}
	claims := make([]claim, 0, len(u.Members))
	for _, m := range u.Members {
		switch {
		case m.Key == key:
			m.LastOffence = max(m.LastOffence, now)
		case b.allow.Overlaps(m.Key), b.knownGood(m.Key):
			continue
		}
		c := b.claim(now, m)
		c.revived = true
		claims = append(claims, c)
	}
	b.parole.remove(u)
	b.place(now, claims)
	b.leave(now)
	return b.holder(key)
}

// claim makes a client that offended now into a claim.
func (b *Book) claim(now int64, m Member) claim {
	m.Since = now
	m.Level = b.history.level(m.Key, now, b.o.top())
	b.offended(m.Key)
	return claim{member: m, until: now + b.o.term(m.Level)}
}

// isKey says whether p is something that is scored.
func isKey(p netip.Prefix) bool {
	return p.IsSingleIP() || p.IsValid() && !p.Addr().Is4() && p.Bits() == 64
}

// place puts claims into bans: the running one around them, or those of a new
// cover of their buckets.
func (b *Book) place(now int64, claims []claim) {
	slices.SortFunc(claims, func(x, y claim) int { return x.member.Key.Compare(y.member.Key) })
	claims = slices.CompactFunc(claims, func(x, y claim) bool { return x.member.Key == y.member.Key })
	var single []claim
	for len(claims) > 0 {
		key := claims[0].member.Key
		if isExact(key) {
			single, claims = append(single, claims[0]), claims[1:]
			continue
		}
		bucket := b.bucket(key)
		var mine []claim
		rest := claims[:0:0]
		for i, c := range claims {
			k := c.member.Key
			if !bucket.Contains(k.Addr()) {
				rest = claims[i:]
				break
			}
			switch x := b.holder(k); {
			case isExact(k):
				single = append(single, c)
			case x != nil:
				b.join(now, x, c)
			default:
				mine = append(mine, c)
			}
		}
		claims = rest
		if len(mine) > 0 {
			b.resolve(now, bucket, mine)
		}
	}
	b.placeExact(now, single)
}

// bucket is the prefix that has to be covered anew when something changes in
// p: its widest rung, or a running ban that is wider still, from other options.
func (b *Book) bucket(p netip.Prefix) netip.Prefix {
	bucket := b.family(p).bucket(p)
	if x := b.holder(bucket); x != nil && !x.Pinned {
		return x.Prefix
	}
	return bucket
}

// join makes a client a member of the running ban that holds it. The ban takes
// the later end and the higher level, as if they had met in one cover.
func (b *Book) join(now int64, x *Ban, c claim) {
	if x.Pinned {
		return // it is the operator's
	}
	i, ok := x.member(c.member.Key)
	if ok {
		x.Members[i].LastOffence = max(x.Members[i].LastOffence, c.member.LastOffence)
		return
	}
	x.Members = slices.Insert(x.Members, i, c.member)
	level := max(x.Level, c.member.Level)
	for _, y := range b.parts(x) {
		y.Level = level
		b.until(y, max(y.Until, c.until), b.o.term(level))
	}
	b.parole.revoke(c.member.Key)
}

// build brings a new ban in force, which takes in everything that runs inside
// of it.
func (b *Book) build(now int64, p, site netip.Prefix, claims []claim, why Why) *Ban {
	x := &Ban{Prefix: p, Door: b.door, From: now, TermStart: now, Site: site, Why: why}
	var until int64
	for _, c := range claims {
		x.Members = append(x.Members, c.member)
		x.Level = max(x.Level, c.member.Level)
		x.Revived = x.Revived || c.revived
		until = max(until, c.until)
	}
	inherit(x, claims)
	for _, y := range slices.Clone(b.within(p)) {
		if y.Pinned {
			b.hide(y)
			continue
		}
		until = max(until, y.Until)
		b.absorb(x, y, now)
	}
	slices.SortFunc(x.Members, func(m, n Member) int { return m.Key.Compare(n.Key) })
	b.until(x, until, b.o.term(x.Level))
	b.put(x)
	b.parole.revoke(p)
	return x
}

// inherit gives a ban what was known of those that were carved for it.
func inherit(x *Ban, claims []claim) {
	var last *Ban
	for _, c := range claims {
		if c.from == nil || c.from == last {
			continue
		}
		last = c.from
		x.LastKnock = max(x.LastKnock, last.LastKnock)
		x.Earlier += last.Knocks + last.Earlier
	}
}

// absorb ends y for x, which takes over its members.
func (b *Book) absorb(x, y *Ban, now int64) {
	x.Members = append(x.Members, y.Members...)
	x.Level = max(x.Level, y.Level)
	x.LastKnock = max(x.LastKnock, y.LastKnock)
	x.Earlier += y.Knocks + y.Earlier
	b.end(y, now, Absorbed, x.Prefix)
}
