package ban

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// placeExact bans single addresses of IPv6 /64s in which others are to be
// spared: one by one, and from the 17th of a /64 on the whole of it around what
// is to be spared.
func (b *Book) placeExact(now int64, claims []claim) {
	slices.SortFunc(claims, func(x, y claim) int { return x.member.Key.Compare(y.member.Key) })
	for len(claims) > 0 {
		site := prefix.Unit(claims[0].member.Key.Addr())
		n := 1
		for n < len(claims) && site.Contains(claims[n].member.Key.Addr()) {
			n++
		}
		b.placeIn(now, site, claims[:n])
		claims = claims[n:]
	}
}

func (b *Book) placeIn(now int64, site netip.Prefix, claims []claim) {
	var mine []claim
	for _, c := range claims {
		if x := b.holder(c.member.Key); x != nil {
			b.join(now, x, c)
			continue
		}
		mine = append(mine, c)
	}
	if len(mine) == 0 {
		return
	}
	members, asSite := 0, false
	for _, x := range b.within(site) {
		if !x.Pinned {
			members += len(x.Members)
			asSite = asSite || x.Site.IsValid()
		}
	}
	if !asSite && members+len(mine) > hosts {
		b.buildSite(now, site, mine)
		return
	}
	// In a /64 that is banned in parts already, this is one of the holes.
	why := Why{Kind: Single, Need: 1, Members: 1}
	if shields := b.shieldsOf(now, site, mine); len(shields) > 0 {
		why.Around = shields[0]
	}
	for _, c := range mine {
		b.build(now, c.member.Key, netip.Prefix{}, []claim{c}, why)
	}
}

// shieldsOf returns what is to be spared in a /64, where claims are not.
func (b *Book) shieldsOf(now int64, site netip.Prefix, claims []claim) []Shield {
	keys := make([]netip.Prefix, len(claims))
	for i, c := range claims {
		keys[i] = c.member.Key
	}
	return b.shieldsIn(now, site, keys)
}

// around returns a /64 without what is to be spared in it.
func around(site netip.Prefix, shields []Shield) []netip.Prefix {
	holes := make([]netip.Prefix, len(shields))
	for i, s := range shields {
		holes[i] = s.Prefix
	}
	return prefix.Subtract(site, holes)
}

// buildSite bans a /64 around what is to be spared, with all that runs in it.
func (b *Book) buildSite(now int64, site netip.Prefix, claims []claim) {
	shields := b.shieldsOf(now, site, claims)
	why := Why{Kind: Site, Need: hosts + 1, Members: len(claims)}
	if len(shields) > 0 {
		why.Around = shields[0]
	}
	var until, knock int64
	level := 0
	for _, c := range claims {
		until, level = max(until, c.until), max(level, c.member.Level)
	}
	for _, x := range b.within(site) {
		if !x.Pinned {
			until, level, knock = max(until, x.Until), max(level, x.Level), max(knock, x.LastKnock)
			why.Members += len(x.Members)
		}
	}
	for _, p := range around(site, shields) {
		b.buildPart(now, p, site, claims, why, until, level, knock)
	}
}

// buildPart bans one part of a /64, unless the operator banned all of it.
func (b *Book) buildPart(now int64, p, site netip.Prefix, claims []claim, why Why, until int64, level int, knock int64) {
	if b.holder(p) != nil {
		return
	}
	var mine []claim
	for _, c := range claims {
		if p.Contains(c.member.Key.Addr()) {
			mine = append(mine, c)
		}
	}
	x := b.build(now, p, site, mine, why)
	x.Level, x.LastKnock = level, max(x.LastKnock, knock)
	b.until(x, max(x.Until, until), b.o.term(level))
}

// carveSite brings the parts of a /64 in line with what is to be spared in it
// now. Some of it must be banned in parts. Those that stay as they are go on;
// the others are made anew and take over the end of the unit.
func (b *Book) carveSite(now int64, site netip.Prefix) {
	var parts []*Ban
	for _, x := range b.bans.Subnets(site) {
		if x.Site == site {
			parts = append(parts, x)
		}
	}
	shields := b.shieldsOf(now, site, nil)
	left := 0
	for _, x := range parts {
		for _, m := range x.Members {
			if !b.isSpared(now, m.Key) {
				left++
			}
		}
	}
	var wanted []netip.Prefix
	if left > 0 {
		wanted = around(site, shields)
	}
	first := parts[0]
	why := first.Why
	if len(shields) > 0 {
		why.Around = shields[0]
	}
	var claims []claim
	var knock int64
	for _, x := range parts {
		knock = max(knock, x.LastKnock)
		if slices.Contains(wanted, x.Prefix) {
			continue
		}
		for _, m := range x.Members {
			if !b.isSpared(now, m.Key) {
				claims = append(claims, claim{member: m, until: x.Until, from: x})
			}
		}
		how := Lifted
		if slices.ContainsFunc(wanted, x.Prefix.Overlaps) {
			how = Carved
		}
		b.end(x, now, how, netip.Prefix{})
	}
	for _, p := range wanted {
		if x, ok := b.bans.Get(p); !ok || x.Site != site {
			b.buildPart(now, p, site, claims, why, first.Until, first.Level, knock)
		}
	}
}
