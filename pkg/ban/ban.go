package ban

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// A Ban is one prefix that is cut off. Those that a [Book] hands out are its
// own: they must not be changed, and change with it.
type Ban struct {
	Prefix netip.Prefix
	Door   maillog.Door

	From      int64 // since when the prefix is cut off
	Until     int64 // when it ends
	TermStart int64 // when its running term began: From, or the last renewal
	Deadline  int64 // what the kernel was told, see [Entry]
	Level     int   // the highest of its members'
	Renewals  int
	Revived   bool // from parole

	// Members are the offenders in it, sorted by key.
	Members []Member

	// Site is the IPv6 /64 of which this ban is a part: from the 17th address
	// of it that offends the /64 is banned around the addresses to be spared.
	// The parts live as one unit, each with the members inside of it, if any.
	Site netip.Prefix

	Pinned  bool   // manual: neither renewed nor dropped, never part of a wider one
	Because string // of a manual ban, the operator's words

	Knocks    uint64 // lines or packets of clients inside of it
	LastKnock int64
	Earlier   uint64 // knocks on the bans that it took the place of

	Why Why

	dead   bool // ended
	hidden bool // a pinned ban beneath a wider one: it has no entry as long as that runs
}

// Entry is the ban as a firewall has to hold it.
func (b *Ban) Entry() Entry {
	return Entry{Prefix: b.Prefix, Door: b.Door, Until: b.Until, Deadline: b.Deadline}
}

// wide says whether the ban holds more than one key.
func (b *Ban) wide() bool { return isWide(b.Prefix) }

func isWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < 32
	}
	return p.Bits() < 64
}

// exact says whether the ban is below the /64 that the cover counts in, or was
// made of such.
func (b *Ban) exact() bool { return b.Site.IsValid() || isExact(b.Prefix) }

func isExact(p netip.Prefix) bool { return !p.Addr().Is4() && p.Bits() > 64 }

// member returns the index of a member, or where it belongs.
func (b *Ban) member(key netip.Prefix) (int, bool) {
	return slices.BinarySearchFunc(b.Members, key, func(m Member, k netip.Prefix) int { return m.Key.Compare(k) })
}

// lastOffence is the last scored one of any member.
func (b *Ban) lastOffence() int64 {
	var last int64
	for i := range b.Members {
		last = max(last, b.Members[i].LastOffence)
	}
	return last
}

// How a spell ended.
const (
	Running  = "running"  // it has not
	Expired  = "expired"  // its time was over
	Absorbed = "absorbed" // a wider ban took it in, see Spell.Into
	Lifted   = "lifted"   // by the operator or the allowlist
	Carved   = "carved"   // around something that is to be spared; what is left of it goes on as other bans
	Dropped  = "dropped"  // there were more bans than the budget of entries allows
)

// A Spell is a ban that ended.
type Spell struct {
	Ban          // as it was; a copy
	End   string // Expired, Absorbed, Lifted, Carved or Dropped
	Into  netip.Prefix
	Ended int64
}

// compare orders bans by their prefix.
func compare(a, b *Ban) int { return a.Prefix.Compare(b.Prefix) }
