// Package ban keeps the bans of one door: which prefixes are cut off, since
// when, until when and why. It is pure: time is handed in as Unix seconds.
package ban

import (
	"net/netip"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// An Entry is one prefix as a firewall has to hold it.
type Entry struct {
	Prefix   netip.Prefix // masked, IPv4-mapped addresses unmapped
	Door     maillog.Door
	Until    int64 // when the ban ends, Unix seconds
	Deadline int64 // when the kernel is to drop the entry by itself: Until and a grace, Unix seconds
}

// Everywhere says whether the entry holds at all mail ports: a single host
// (IPv6: a /64 or less) does, a wider network only at its own door.
func (e Entry) Everywhere() bool {
	if e.Prefix.Addr().Is4() {
		return e.Prefix.Bits() == 32
	}
	return e.Prefix.Bits() >= 64
}

// A Change is what a firewall has to add, refresh (give a new deadline) and
// remove. The three lists name disjoint (prefix, door) pairs. Applying it as
// one transaction leaves no moment in which a banned client gets through.
type Change struct {
	Add, Refresh, Remove []Entry
}

// Empty says that there is nothing to do.
func (c *Change) Empty() bool {
	return len(c.Add) == 0 && len(c.Refresh) == 0 && len(c.Remove) == 0
}
