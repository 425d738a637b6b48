package rule

import (
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// maxCombos bounds the combinations of rules that are kept: from there on a
// new one is taken for its heaviest rule alone.
const maxCombos = 1 << 16

// A Set is a compiled set of rules. It keeps scratch space and what it has
// learnt, so it is not safe for concurrent use.
type Set struct {
	windows []string
	rules   []*Rule
	idle    []string
	preds   []pred
	kinds   [maillog.NumKinds]*kindTable
	custom  *plan
	all     cell // of custom

	hits   map[string]*Hit
	combos map[uint64]*combo
	n      int // of combos

	// Scratch of one Match, void when its epoch has passed.
	epoch    uint64
	memo     []uint64 // by pred: epoch<<1 and the answer
	seen     []uint64 // by rule: epoch when it was tried
	found    []*Rule
	low      [numTexts][]byte
	lowEpoch [numTexts]uint64
}

// A combo is one combination of rules that matched in one cell.
type combo struct {
	cell  uint32
	rules []*Rule
	hits  Hits
	next  *combo
}

// Rules are the rules in force, in order of definition. They must not be
// changed.
func (s *Set) Rules() []*Rule { return s.rules }

// Idle names the shipped rules that are out because none of their windows is
// configured.
func (s *Set) Idle() []string { return s.idle }

// Unused names the windows that no rule in force names: nothing ever counts
// there.
func (s *Set) Unused() []string {
	var out []string
	for i, w := range s.windows {
		if !slices.ContainsFunc(s.rules, func(r *Rule) bool { return slices.Contains(r.Windows, i) }) {
			out = append(out, w)
		}
	}
	return out
}

// HasCustom says whether any rule has a pattern of its own.
func (s *Set) HasCustom() bool { return s.custom != nil }

// Asks says whether any rule may match an event, by its kind and its numbers.
func (s *Set) Asks(ev *maillog.Event) bool {
	t := s.kinds[ev.Kind]
	return t != nil && (t.numbers == 0 || t.numbers.in(ev))
}

// Match says which rules an event matches. A session-rule matches once a
// session; ses may be nil, then it matches on each line. It does not allocate
// but for a combination of rules that it sees for the first time.
func (s *Set) Match(ev *maillog.Event, ses *maillog.Session) Hits {
	t := s.kinds[ev.Kind]
	if t == nil {
		return Hits{}
	}
	var door maillog.Door
	if t.doors {
		door = ev.Door()
	}
	c := t.at(ev.Stage, ev.Reason, door)
	if c.plans[0] == nil {
		return c.base
	}
	if c.numbers != 0 && !c.numbers.in(ev) {
		return c.base
	}
	a := c.asked
	if a == nil {
		return s.ask(c, ev, ses)
	}
	n := a.answers(ev)
	if a.known>>n&1 == 0 {
		a.hits[n] = s.ask(c, ev, ses)
		a.known |= 1 << n
	}
	return a.hits[n]
}

// ask searches the plans of a cell.
func (s *Set) ask(c *cell, ev *maillog.Event, ses *maillog.Session) Hits {
	s.begin()
	for _, p := range c.plans {
		if p != nil {
			s.search(p, ev)
		}
	}
	if len(s.found) == 0 {
		return c.base
	}
	if c.marks && ses != nil {
		s.found = slices.DeleteFunc(s.found, func(r *Rule) bool { return r.PerSession && !ses.Mark(r.mark) })
	}
	if k := c.last; k != nil && slices.Equal(k.rules, s.found) {
		return k.hits
	}
	return s.combine(c)
}

func (s *Set) begin() {
	s.epoch++
	s.found = s.found[:0]
}

// combine is the Hits of the rules of a cell and those found, interned.
func (s *Set) combine(c *cell) Hits {
	if len(s.found) == 0 {
		return c.base
	}
	for i := 1; i < len(s.found); i++ {
		for j := i; j > 0 && s.found[j].index < s.found[j-1].index; j-- {
			s.found[j], s.found[j-1] = s.found[j-1], s.found[j]
		}
	}
	h := uint64(fnvOffset) ^ uint64(c.id)*fnvPrime
	for _, r := range s.found {
		h = (h ^ uint64(r.index)) * fnvPrime
	}
	for k := s.combos[h]; k != nil; k = k.next {
		if k.cell == c.id && slices.Equal(k.rules, s.found) {
			c.last = k
			return k.hits
		}
	}
	if s.n >= maxCombos && len(s.found) > 1 {
		s.found[0] = slices.MaxFunc(s.found, func(a, b *Rule) int { return a.Weight - b.Weight })
		s.found = s.found[:1]
		return s.combine(c)
	}
	all := slices.Concat(c.rules, s.found)
	slices.SortFunc(all, func(a, b *Rule) int { return a.index - b.index })
	k := &combo{cell: c.id, rules: slices.Clone(s.found), hits: s.compose(all, c.door), next: s.combos[h]}
	s.combos[h] = k
	s.n++
	return k.hits
}

// compose is the Hits of rules that match together, in order of definition.
func (s *Set) compose(rules []*Rule, door maillog.Door) (out Hits) {
	var at [maillog.NumDoors][]*Rule
	for _, r := range rules {
		d := door
		if r.fixed {
			d = r.door
		}
		at[d] = append(at[d], r)
	}
	for d := range at {
		if len(at[d]) > 0 {
			out[d] = s.intern(at[d])
		}
	}
	return out
}

func (s *Set) intern(rules []*Rule) *Hit {
	times := func(r *Rule) bool { return r.TimesAuthFailed }
	hit := &Hit{TimesAuthFailed: slices.ContainsFunc(rules, times)}
	for _, r := range rules {
		if !hit.TimesAuthFailed || r.TimesAuthFailed {
			hit.Rules = append(hit.Rules, r)
		}
	}
	key := rulesKey(hit.Rules)
	if known := s.hits[key]; known != nil {
		return known
	}
	for w := range s.windows {
		var best *Rule
		for _, r := range hit.Rules {
			if slices.Contains(r.Windows, w) && (best == nil || r.Weight > best.Weight) {
				best = r
			}
		}
		if best != nil {
			hit.Weights = append(hit.Weights, WindowWeight{Window: w, Weight: best.Weight, Distinct: best.Distinct, Rule: best})
		}
	}
	hit.ID = len(s.hits)
	s.hits[key] = hit
	return hit
}
