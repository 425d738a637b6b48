package allow

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// A List is the effective allowlist at one moment. It never changes and may be
// read by several goroutines; the slices it gives are not to be written to.
type List struct {
	serial   uint64
	entries  []Entry
	merged   []netip.Prefix
	problems []Problem
	sources  []Source
}

// Entries gives all entries, sorted by prefix, kind and origin. The same prefix
// may stand there more than once, with different origins.
func (l *List) Entries() []Entry { return l.entries }

// Prefixes gives the union of the entries as the fewest disjoint prefixes, sorted.
func (l *List) Prefixes() []netip.Prefix { return l.merged }

// Set gives the union of the entries as a new set that the caller owns.
func (l *List) Set() *prefix.Set {
	s := new(prefix.Set)
	for _, p := range l.merged {
		s.Insert(p)
	}
	return s
}

// Lookup gives the entries that hold the address, in the order of Entries; nil when it is not allowlisted. A zone and an IPv4-mapped form do not matter.
func (l *List) Lookup(a netip.Addr) []Entry {
	a = a.Unmap().WithZone("")
	var found []Entry
	for _, e := range l.entries {
		if e.Prefix.Contains(a) {
			found = append(found, e)
		}
	}
	return found
}

// Problems gives what is wrong, worst first.
func (l *List) Problems() []Problem { return l.problems }

// Sources says for each source how much it gave, or why it gave nothing.
func (l *List) Sources() []Source { return l.sources }

// BanNothing says that a part of the allowlist was never read, so that no new
// ban may be made.
func (l *List) BanNothing() bool { return l.worst() >= BanNothing }

// NoWidening says that only hosts may be banned: an entry may be missing.
// It is also true while BanNothing is.
func (l *List) NoWidening() bool { return l.worst() >= NoWidening }

// Serial grows with each list of one Collector: where two lists cross on their
// way to the consumer, the one with the greater serial is the newer.
func (l *List) Serial() uint64 { return l.serial }

func (l *List) worst() Severity {
	if len(l.problems) == 0 {
		return Note
	}
	return l.problems[0].Severity
}

// Diff gives the entries that are new in l and those of old that are gone;
// both sorted. A nil old counts as empty.
func (l *List) Diff(old *List) (added, removed []Entry) {
	var a, b []Entry = nil, l.entries
	if old != nil {
		a = old.entries
	}
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && compareEntries(a[0], b[0]) < 0:
			removed, a = append(removed, a[0]), a[1:]
		case len(a) == 0 || compareEntries(a[0], b[0]) > 0:
			added, b = append(added, b[0]), b[1:]
		default:
			a, b = a[1:], b[1:]
		}
	}
	return added, removed
}

func compareEntries(a, b Entry) int {
	return cmp.Or(
		a.Prefix.Compare(b.Prefix),
		cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Origin, b.Origin),
		cmp.Compare(a.Until, b.Until),
	)
}

func compareProblems(a, b Problem) int {
	return cmp.Or(
		-cmp.Compare(a.Severity, b.Severity),
		cmp.Compare(a.Origin, b.Origin),
		cmp.Compare(a.Text, b.Text),
	)
}

// newList sorts and merges. It takes the slices over.
func newList(entries []Entry, problems []Problem, sources []Source) *List {
	slices.SortFunc(entries, compareEntries)
	entries = slices.Compact(entries)
	problems = append(problems, tooWide(entries)...)
	slices.SortFunc(problems, compareProblems)
	problems = slices.CompactFunc(problems, sameProblem)
	all := make([]netip.Prefix, len(entries))
	for i, e := range entries {
		all[i] = e.Prefix
	}
	return &List{entries: entries, merged: prefix.Merge(all), problems: problems, sources: sources}
}

// sameProblem leaves the time out: two looks find the same problem.
func sameProblem(a, b Problem) bool { return compareProblems(a, b) == 0 }

func (l *List) equal(o *List) bool {
	return slices.Equal(l.entries, o.entries) &&
		slices.EqualFunc(l.problems, o.problems, sameProblem) &&
		slices.Equal(l.sources, o.sources)
}

// Wider than this, an entry takes a good part of the Internet out of the game,
// which is hardly ever meant: the widest blocks that registries hand out are
// IPv4 /8, and IPv6 /12 to the registries themselves.
const (
	widest4 = 8
	widest6 = 16
)

func tooWide(entries []Entry) []Problem {
	var problems []Problem
	for _, e := range entries {
		if e.Kind == Special || e.Kind == Private || !GreatPart(e.Prefix) {
			continue
		}
		problems = append(problems, Problem{Severity: Alarm, Origin: e.Origin,
			Text: e.Prefix.String() + " is a great part of the Internet and nothing in it is ever banned: list the networks that are meant"})
	}
	return problems
}

// GreatPart says whether p holds so much of the Internet that hardly anybody who
// puts it on the allowlist means that.
func GreatPart(p netip.Prefix) bool {
	wide := p.Bits() < widest6
	if p.Addr().Is4() {
		wide = p.Bits() < widest4
	}
	return p.IsValid() && wide && !inside(p, prefix.Special()) && !inside(p, prefix.Private())
}

// inside says whether p is wholly inside one of the prefixes.
func inside(p netip.Prefix, of []netip.Prefix) bool {
	return slices.ContainsFunc(of, func(q netip.Prefix) bool { return prefix.Covers(q, p) })
}
