package allow

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// A part is what one look at one sort of source gave.
type part struct {
	entries  []Entry
	uses     []use
	problems []Problem
	sources  []Source
}

func (pt *part) problem(s Severity, origin, format string, args ...any) {
	pt.problems = append(pt.problems, Problem{Severity: s, Origin: origin, Text: fmt.Sprintf(format, args...)})
}

// host adds an address, unless it is one that nobody can ban anyway.
func (pt *part) host(k Kind, a netip.Addr, origin string) {
	a = prefix.Addr(a)
	if p := prefix.Host(a); p.IsValid() && !inside(p, prefix.Special()) {
		pt.entries = append(pt.entries, Entry{Prefix: p, Kind: k, Origin: origin})
	}
}

// equal leaves the uses out: they show in what the names give.
func (pt part) equal(o part) bool {
	return slices.Equal(pt.entries, o.entries) && slices.Equal(pt.problems, o.problems) && slices.Equal(pt.sources, o.sources)
}

func (pt *part) add(o part) {
	pt.entries = append(pt.entries, o.entries...)
	pt.uses = append(pt.uses, o.uses...)
	pt.problems = append(pt.problems, o.problems...)
	pt.sources = append(pt.sources, o.sources...)
}
