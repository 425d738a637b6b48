package rule

import "github.com/postmoat/postmoat/pkg/maillog"

// search adds the rules of a plan that the event matches to s.found.
func (s *Set) search(p *plan, ev *maillog.Event) {
	s.found = append(s.found, p.always...)
	for _, t := range p.texts {
		s.searchText(t, ev)
	}
	for _, x := range p.numbers {
		v := number(ev, x.field)
		if v == 0 {
			continue
		}
		s.try(x.exact[v], x.field, ev)
		s.postings(x.ranges, x.field, ev)
	}
	if p.clients != nil {
		_, n, _ := p.clients.Lookup(ev.Client)
		for ; n != nil; n = n.up {
			s.try(n.rules, fieldClient, ev)
		}
	}
}

func (s *Set) searchText(t *textIndex, ev *maillog.Event) {
	v := text(ev, t.field)
	switch {
	case v == nil:
		return
	case len(v) == 0:
		s.try(t.empty, t.field, ev)
	default:
		s.try(t.some, t.field, ev)
	}
	if len(t.exact) > 0 {
		s.try(t.exact[string(s.lowered(t.field, v))], t.field, ev)
	}
	s.climb(&t.heads, t.field, v, false, ev)
	s.climb(&t.tails, t.field, v, true, ev)
	s.postings(t.globs, t.field, ev)
}

// climb tries the globs whose literal end is that of the text.
func (s *Set) climb(l *ladder, f field, v []byte, tail bool, ev *maillog.Event) {
	if l.globs == nil {
		return
	}
	v = s.lowered(f, v)
	h, at := uint64(fnvOffset), 0
	for i, n := range ladderLengths {
		if n > len(v) {
			return
		}
		for ; at < n; at++ {
			c := v[at]
			if tail {
				c = v[len(v)-1-at]
			}
			h = (h ^ uint64(c)) * fnvPrime
		}
		if l.used[i] {
			s.postings(l.globs[h], f, ev)
		}
	}
}

func (s *Set) postings(all []posting, f field, ev *maillog.Event) {
	for i := range all {
		if s.holds(all[i].pred, ev) {
			s.try(all[i].rules, f, ev)
		}
	}
}

// try adds those rules, found by field f, whose other fields fit as well.
func (s *Set) try(rules []*Rule, f field, ev *maillog.Event) {
	for _, r := range rules {
		if s.seen[r.index] == s.epoch {
			continue
		}
		s.seen[r.index] = s.epoch
		if s.fits(r, f, ev) {
			s.found = append(s.found, r)
		}
	}
}

func (s *Set) fits(r *Rule, but field, ev *maillog.Event) bool {
	for i := range r.conds {
		c := &r.conds[i]
		if c.field != but && !s.any(c, ev) {
			return false
		}
	}
	return true
}

func (s *Set) any(c *cond, ev *maillog.Event) bool {
	for _, id := range c.preds {
		if s.holds(id, ev) {
			return true
		}
	}
	return false
}

// holds answers a predicate, once for each event.
func (s *Set) holds(id int, ev *maillog.Event) bool {
	if m := s.memo[id]; m>>1 == s.epoch {
		return m&1 != 0
	}
	p := &s.preds[id]
	ok := false
	switch {
	case p.field == fieldClient:
		ok = p.prefix.Contains(ev.Client)
	case p.field < numTexts:
		if v := text(ev, p.field); v != nil {
			ok = p.glob.match(s.lowered(p.field, v))
		}
	default:
		v := number(ev, p.field)
		ok = v != 0 && p.lo <= v && v <= p.hi
	}
	s.memo[id] = s.epoch << 1
	if ok {
		s.memo[id] |= 1
	}
	return ok
}

// lowered is a text field in lower case, made once for each event.
func (s *Set) lowered(f field, v []byte) []byte {
	if s.lowEpoch[f] != s.epoch {
		s.lowEpoch[f] = s.epoch
		s.low[f] = lower(s.low[f][:0], v)
	}
	return s.low[f]
}
