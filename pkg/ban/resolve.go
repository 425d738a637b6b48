package ban

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// resolve covers a bucket anew: the members of what runs in it, and the claims,
// which lie outside of every running ban. Bans that touch something that is to
// be spared are taken apart first; all others only ever become part of a wider
// one.
func (b *Book) resolve(now int64, bucket netip.Prefix, claims []claim) {
	b.keys = b.keys[:0]
	for _, c := range claims {
		b.keys = append(b.keys, c.member.Key)
	}
	var units []*Ban
	for _, x := range b.within(bucket) {
		if x.Pinned || x.exact() {
			continue
		}
		units = append(units, x)
		b.keys = appendKeys(b.keys, x)
	}
	slices.SortFunc(b.keys, netip.Prefix.Compare)
	shields := b.shieldsIn(now, bucket, b.keys)
	var single []claim
	if len(shields) > 0 {
		claims, single = b.takeApart(now, units, shields, claims)
		b.keys = slices.DeleteFunc(b.keys, func(k netip.Prefix) bool { return touched(shields, k) })
	}
	if len(claims) > 0 {
		f := b.family(bucket)
		b.reconcile(now, f, f.solve(b.keys, shields), claims, shields)
	}
	if len(single) > 0 {
		b.placeExact(now, single)
	}
}

// appendKeys appends the members that the cover counts: single addresses of a
// /64 are below it.
func appendKeys(keys []netip.Prefix, x *Ban) []netip.Prefix {
	for i := range x.Members {
		if k := x.Members[i].Key; !isExact(k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// takeApart ends the bans that touch a shield. Their members that are not
// spared themselves join the claims, or are returned apart if they are single
// addresses of a /64.
func (b *Book) takeApart(now int64, units []*Ban, shields []Shield, claims []claim) (all, single []claim) {
	for _, x := range units {
		if !touched(shields, x.Prefix) {
			continue
		}
		how := Lifted
		for _, m := range x.Members {
			c := claim{member: m, until: x.Until, from: x}
			switch {
			case b.isSpared(now, m.Key):
				continue
			case isExact(m.Key):
				single = append(single, c)
			default:
				claims = append(claims, c)
			}
			how = Carved
		}
		b.end(x, now, how, netip.Prefix{})
	}
	slices.SortFunc(claims, func(x, y claim) int { return x.member.Key.Compare(y.member.Key) })
	return claims, single
}

// reconcile brings the running bans to a cover. A piece inside of a running ban
// is not made; any other takes in what runs inside of it. Claims are sorted.
func (b *Book) reconcile(now int64, f family, pieces []netip.Prefix, claims []claim, shields []Shield) {
	for i, p := range pieces {
		var mine []claim
		for len(claims) > 0 && claims[0].member.Key.Addr().Compare(p.Addr()) < 0 {
			claims = claims[1:] // inside a shield
		}
		for len(claims) > 0 && p.Contains(claims[0].member.Key.Addr()) {
			mine, claims = append(mine, claims[0]), claims[1:]
		}
		if b.holder(p) != nil {
			continue // no claim lies inside a running ban
		}
		why := f.why(i)
		if isWide(p) && !b.mayWiden(now, p, mine, why, shields) {
			b.held++
			for _, c := range mine {
				b.build(now, c.member.Key, netip.Prefix{}, []claim{c}, Why{
					Kind: Held, Need: 1, Members: 1, Price: why.Price, Raised: why.Raised,
					Next: Next{Bits: p.Bits(), Need: why.Need, Members: why.Members, Cost: why.Cost, Apart: why.Apart},
				})
			}
			continue
		}
		b.build(now, p, netip.Prefix{}, mine, why)
	}
}

// mayWiden asks the breaker for a wide ban. Addresses that were banned until
// now, or offended, are not newly covered; a ban that covers none is no
// widening.
func (b *Book) mayWiden(now int64, p netip.Prefix, claims []claim, why Why, shields []Shield) bool {
	fresh := prefix.Size(p)
	less := func(n uint64) { fresh -= min(fresh, n) }
	var last *Ban
	for _, c := range claims {
		switch {
		case c.from == nil:
			less(1)
		case c.from != last:
			last = c.from
			less(prefix.Size(last.Prefix))
		}
	}
	for _, x := range b.within(p) {
		if !x.exact() {
			less(prefix.Size(x.Prefix))
		}
	}
	if fresh == 0 {
		return true
	}
	var met []netip.Addr
	if why.Around.Kind != NoShield {
		hull := netip.PrefixFrom(p.Addr(), why.Next.Bits).Masked()
		for _, s := range shields {
			if s.Kind == KnownGood && hull.Contains(s.Prefix.Addr()) {
				met = append(met, s.Prefix.Addr())
			}
		}
	}
	return b.breaker.widen(now, int64(min(fresh, 1<<62)), met)
}
