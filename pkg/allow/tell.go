package allow

import (
	"net/netip"
	"slices"
	"time"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// tell makes entries and problems of what is known about the names in use.
func (n *names) tell(uses, hosts []use, now int64) part {
	var pt part
	for _, u := range uses {
		// Of hosts the loop below tells.
		if l := n.known[query{u.name, u.mx}]; u.mx && l != nil && l.failing != 0 {
			l.trouble(u, now, &pt)
		}
	}
	for _, u := range hosts {
		l := n.known[query{u.name, false}]
		if l == nil {
			continue
		}
		if l.failing != 0 {
			l.trouble(u, now, &pt)
		}
		for _, a := range l.answer(u, &pt) {
			pt.entries = append(pt.entries, Entry{Prefix: prefix.Host(a), Kind: u.kind, Origin: u.origin})
			if p := prefix.Host(a); inside(p, prefix.Special()) || inside(p, prefix.Private()) {
				pt.problem(Note, u.origin, "%s resolves to %s, which is no address of the Internet", u.name, a)
			}
		}
	}
	pt.sources = []Source{{Name: "names", Entries: len(pt.entries)}}
	if len(uses) == 0 {
		pt.sources[0].Text = "no name is listed"
	}
	return pt
}

// answer gives the addresses of the last good answers, the first ones where
// there are too many.
func (l *lookup) answer(u use, pt *part) []netip.Addr {
	addrs := slices.Concat(l.v4.addrs, l.v6.addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	if len(addrs) > maxAddrs || l.v4.more || l.v6.more {
		pt.problem(Alarm, u.origin, "%s has more than %d addresses, the first %d are taken: list its networks instead", u.name, maxAddrs, maxAddrs)
	}
	return addrs[:min(len(addrs), maxAddrs)]
}

// trouble says what follows from a failure.
func (l *lookup) trouble(u use, now int64, pt *part) {
	at := l.at()
	switch {
	case at != 0:
		s := Note
		if u.strict && now-l.failing >= 86400 {
			s = Alarm
		}
		pt.problem(s, u.origin, "%s is not resolved since %s (%s): the last answer stays in force until %s",
			u.name, stamp(l.failing), l.failure, stamp(at+keepAnswer))
	case !u.strict:
		pt.problem(Note, u.origin, "%s is not resolved (%s)", u.name, l.failure)
	case now < l.asked+grace:
		pt.problem(NoWidening, u.origin, "%s is not resolved yet (%s): no wider bans until %s", u.name, l.failure, stamp(l.asked+grace))
	default:
		pt.problem(Alarm, u.origin, "%s is not resolved (%s): it is not on the allowlist; write its addresses, or take it out", u.name, l.failure)
	}
}

func stamp(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }
