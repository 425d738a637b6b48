package rule

import (
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// maxAsks bounds the questions of a cell whose answers are remembered.
const maxAsks = 4

// An ask is a question that is answered at a glance: whether a number lies in
// a range, or a text is there and empty, or there and not empty.
type ask struct {
	bit    uint8 // of the set of answers
	field  field
	some   bool   // texts: not empty
	lo, hi uint32 // numbers; lo is at least 1, 0 is none
}

// An asked remembers what events of a cell match: where all rules ask is
// answered at a glance, that depends on nothing but the answers.
type asked struct {
	asks  []ask
	known uint16 // bit set of the answers met so far
	hits  [1 << maxAsks]Hits
}

// newAsked is that of a cell with these rules to ask for; nil when they ask
// for more than a glance, or count once a session.
func (s *Set) newAsked(own, general []*Rule) *asked {
	var ids []int
	for _, rules := range [][]*Rule{own, general} {
		for _, r := range rules {
			if r.PerSession {
				return nil
			}
			for _, c := range r.conds {
				for _, id := range c.preds {
					if !s.preds[id].glance() {
						return nil
					}
					if !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
				}
			}
			if len(ids) > maxAsks {
				return nil
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	a := &asked{}
	for i, id := range ids {
		p := &s.preds[id]
		a.asks = append(a.asks, ask{1 << i, p.field, p.glob.some, p.lo, p.hi})
	}
	return a
}

// glance says that an ask is enough for the predicate.
func (p *pred) glance() bool {
	if p.field < numTexts {
		return p.glob.text == "" || p.glob.some
	}
	return p.field != fieldClient
}

// answers are those of an event, as a bit set.
func (a *asked) answers(ev *maillog.Event) (set uint8) {
	for i := range a.asks {
		q := &a.asks[i]
		var yes bool
		if q.field < numTexts {
			v := text(ev, q.field)
			yes = v != nil && (len(v) > 0) == q.some
		} else {
			yes = number(ev, q.field)-q.lo <= q.hi-q.lo // lo is not 0
		}
		if yes {
			set |= q.bit
		}
	}
	return set
}
