package prefix

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// A Set is a set of prefixes, which may lie inside each other. The zero value
// is empty and ready to use; a Set must not be copied. It is safe for
// concurrent readers while nobody writes. Looking up allocates nothing.
type Set struct {
	members bart.Lite
}

// Insert adds p. An invalid p is left out.
func (s *Set) Insert(p netip.Prefix) {
	if p = Canonical(p); p.IsValid() {
		s.members.Insert(p)
	}
}

// Delete removes exactly p; members inside of p stay.
func (s *Set) Delete(p netip.Prefix) {
	if p = Canonical(p); p.IsValid() {
		s.members.Delete(p)
	}
}

// Replace gives s the members of o, for those who hold a pointer to s. The two
// stay apart afterwards.
func (s *Set) Replace(o *Set) {
	members := o.All()
	for _, p := range s.All() {
		s.members.Delete(p)
	}
	for _, p := range members {
		s.members.Insert(p)
	}
}

// Has says whether exactly p is a member.
func (s *Set) Has(p netip.Prefix) bool {
	p = Canonical(p)
	return p.IsValid() && s.members.Get(p)
}

// Contains says whether a lies in a member.
func (s *Set) Contains(a netip.Addr) bool {
	return s.members.Contains(Addr(a))
}

// Overlaps says whether p and some member have an address in common.
func (s *Set) Overlaps(p netip.Prefix) bool {
	p = Canonical(p)
	return p.IsValid() && s.members.OverlapsPrefix(p)
}

// Covers says whether p lies wholly inside one member. Several members that
// hold p only together do not cover it.
func (s *Set) Covers(p netip.Prefix) bool {
	p = Canonical(p)
	return p.IsValid() && s.members.LookupPrefix(p)
}

// Within returns what the set has of p: the longest member that holds all of p
// if there is one, or else the members inside p, sorted. Nothing in common
// gives nil.
func (s *Set) Within(p netip.Prefix) []netip.Prefix {
	p = Canonical(p)
	if !p.IsValid() {
		return nil
	}
	if holder, ok := s.members.LookupPrefixLPM(p); ok {
		return []netip.Prefix{holder}
	}
	if !s.members.OverlapsPrefix(p) {
		return nil
	}
	return slices.Collect(s.members.Subnets(p))
}

// All returns the members, sorted by address and then by length, IPv4 first.
func (s *Set) All() []netip.Prefix {
	if s.members.Size() == 0 {
		return nil
	}
	all := make([]netip.Prefix, 0, s.members.Size())
	for p := range s.members.AllSorted() {
		all = append(all, p)
	}
	return all
}

// Len returns the number of members.
func (s *Set) Len() int { return s.members.Size() }
