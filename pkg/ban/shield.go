package ban

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// maxSpared is how many unbanned prefixes are remembered; with more, those that
// end first are forgotten.
const maxSpared = 1024

// shieldsIn returns what must not be inside a wide ban in p: allowlist entries,
// known-good senders that are not offenders themselves, and what was unbanned.
// keys are the offenders, sorted. The result is scratch memory that lasts until
// the next call.
func (b *Book) shieldsIn(now int64, p netip.Prefix, keys []netip.Prefix) []Shield {
	b.shields = b.shields[:0]
	for _, q := range b.allow.Within(p) {
		b.shields = append(b.shields, Shield{Allowlisted, q})
	}
	if b.good != nil {
		for _, a := range b.good.KnownIn(p) {
			if b.allow.Contains(a) || b.isOffender(a, keys) {
				continue
			}
			b.shields = append(b.shields, Shield{KnownGood, prefix.Host(a)})
		}
	}
	if b.spared.Len() > 0 {
		for q, end := range b.spared.Supernets(p) {
			if now < end {
				b.shields = append(b.shields, Shield{Unbanned, q})
			}
		}
		for q, end := range b.spared.Subnets(p) {
			if q != p && now < end {
				b.shields = append(b.shields, Shield{Unbanned, q})
			}
		}
	}
	return b.shields
}

// isOffender says whether an address is one of the sorted keys, or a member of
// a running ban.
func (b *Book) isOffender(a netip.Addr, keys []netip.Prefix) bool {
	if _, ok := slices.BinarySearchFunc(keys, prefix.Unit(a), netip.Prefix.Compare); ok {
		return true
	}
	if _, ok := slices.BinarySearchFunc(keys, prefix.Host(a), netip.Prefix.Compare); ok {
		return true
	}
	x := b.Lookup(a)
	if x == nil || x.Pinned {
		return false
	}
	_, ok := x.member(prefix.Host(a)) // below the keys of the cover
	return ok
}

// touched says whether some shield and p have an address in common, where an
// IPv6 address stands for its /64.
func touched(shields []Shield, p netip.Prefix) bool {
	for _, s := range shields {
		if s.Prefix.Overlaps(p) {
			return true
		}
	}
	return false
}

// isSpared says whether a member must leave its ban: the allowlist holds some
// of it, or some of it was unbanned.
func (b *Book) isSpared(now int64, key netip.Prefix) bool {
	if b.allow.Overlaps(key) {
		return true
	}
	if b.spared.Len() == 0 {
		return false
	}
	for _, end := range b.spared.Supernets(key) {
		if now < end {
			return true
		}
	}
	for _, end := range b.spared.Subnets(key) {
		if now < end {
			return true
		}
	}
	return false
}

// knownGood says whether a known-good sender lives in a key.
func (b *Book) knownGood(key netip.Prefix) bool {
	return b.good != nil && b.good.AnyIn(key)
}

// spare keeps wide bans away from p for the length of a parole, or until
// somebody in it offends.
func (b *Book) spare(now int64, p netip.Prefix) {
	b.spared.Insert(p, now+max(b.o.Parole, 1))
	var over, first netip.Prefix
	for end := int64(0); ; {
		over, first, end = netip.Prefix{}, netip.Prefix{}, 0
		for q, e := range b.spared.All() {
			if e <= now {
				over = q
			}
			if !first.IsValid() || e < end {
				first, end = q, e
			}
		}
		switch {
		case over.IsValid():
			b.spared.Delete(over)
		case b.spared.Len() > maxSpared:
			b.spared.Delete(first)
		default:
			return
		}
	}
}

// offended ends the sparing of what a client that offended lies in.
func (b *Book) offended(key netip.Prefix) {
	if b.spared.Len() == 0 {
		return
	}
	for {
		q, _, ok := b.spared.LookupPrefix(key)
		if !ok {
			break
		}
		b.spared.Delete(q)
	}
	b.unspare(key)
}

// unspare ends the sparing of everything inside p.
func (b *Book) unspare(p netip.Prefix) {
	var inside []netip.Prefix
	for q := range b.spared.Subnets(p) {
		inside = append(inside, q)
	}
	for _, q := range inside {
		b.spared.Delete(q)
	}
}
