//go:build linux

package iptables

import (
	"net/netip"
	"strings"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// A family is one of the two kinds of addresses.
type family uint8

const (
	ipv4 family = iota
	ipv6
)

var families = [...]family{ipv4, ipv6}

func familyOf(p netip.Prefix) family {
	if p.Addr().Is6() {
		return ipv6
	}
	return ipv4
}

// digit is the end of our names.
func (f family) digit() string { return [...]string{"4", "6"}[f] }

// inet is the family's name in ipset.
func (f family) inet() string { return [...]string{"inet", "inet6"}[f] }

// program is the family's name in iptables.
func (f family) program() string { return [...]string{"iptables", "ip6tables"}[f] }

// A set is one of ours: the allowlist of a family, or the bans of a family and
// door, the hosts apart from the networks.
type set struct {
	family family
	kind   kind
	door   maillog.Door // of ban sets
}

type kind uint8

const (
	allowed kind = iota
	hosts        // cut at all ports
	nets         // cut at the ports of their door
)

// setOf is where an entry is kept.
func setOf(e ban.Entry) set {
	s := set{familyOf(e.Prefix), nets, e.Door}
	if e.Everywhere() {
		s.kind = hosts
	}
	return s
}

// banSets are all sets of bans, in an order that never changes.
func banSets() []set {
	var all []set
	for _, f := range families {
		for door := range maillog.NumDoors {
			all = append(all, set{f, hosts, door}, set{f, nets, door})
		}
	}
	return all
}

// allSets are the ban sets and the allowlists.
func allSets() []set {
	return append(banSets(), set{family: ipv4}, set{family: ipv6})
}

// name is the set's in the kernel, at most 30 bytes (31 is the limit): an owner
// has no "-", so that the sets of two owners never meet.
func (s set) name(owner string) string {
	switch s.kind {
	case hosts:
		return owner + "-" + s.door.String() + s.family.digit() + "-hosts"
	case nets:
		return owner + "-" + s.door.String() + s.family.digit() + "-nets"
	}
	return owner + "-allow" + s.family.digit()
}

// aside is the name of the set that is filled before it takes the place of s.
func (s set) aside(owner string) string { return s.name(owner) + "+" }

// header is the set's in the words of `ipset create`, but for its sizes.
func (s set) header() string {
	if s.kind == allowed {
		return " hash:net family " + s.family.inet()
	}
	return " hash:net family " + s.family.inet() + " timeout 0 counters"
}

// chainOf is the name of our chain, at most 16 bytes (28 is the limit).
func chainOf(owner string) string { return strings.ToUpper(owner) }
