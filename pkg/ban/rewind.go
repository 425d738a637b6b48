package ban

import "net/netip"

// Rewind tells that the scoring clock was set back. What was written down at a
// time that is still to come counts as of now, so that nothing lasts longer
// than if it began now: a ban that a clock of 2099 made ends after its term.
// Manual bans end when the operator said.
func (b *Book) Rewind(now int64) {
	b.clock = min(b.clock, now)
	for _, x := range b.Bans() {
		x.rewind(now)
		if term := b.o.term(x.Level); !x.Pinned && x.Until > now+term {
			b.until(x, now+term, term)
		}
	}
	for _, x := range b.hidden {
		x.rewind(now)
	}
	b.parole.rewind(now, now+b.o.Parole)
	b.history.rewind(now)
	last := now + max(b.o.Parole, 1)
	var late []netip.Prefix
	for q, end := range b.spared.All() {
		if end > last {
			late = append(late, q)
		}
	}
	for _, q := range late {
		b.spared.Insert(q, last)
	}
}

func (b *Ban) rewind(now int64) {
	b.From, b.TermStart, b.LastKnock = min(b.From, now), min(b.TermStart, now), min(b.LastKnock, now)
	rewindMembers(b.Members, now)
}

func rewindMembers(ms []Member, now int64) {
	for i := range ms {
		m := &ms[i]
		m.Since, m.LastOffence = min(m.Since, now), min(m.LastOffence, now)
	}
}

// rewind lets no parole last longer than to a time.
func (p *parole) rewind(now, last int64) {
	for i := range p.due.items {
		u := p.due.items[i].value
		rewindMembers(u.Members, now)
		u.Until = min(u.Until, last)
		p.due.items[i].at = min(p.due.items[i].at, last)
	}
	p.due.order()
}

func (h *history) rewind(now int64) {
	for key, m := range h.past {
		if m.end > now {
			h.past[key] = mark{m.level, now}
		}
	}
	for i := range h.oldest.items {
		h.oldest.items[i].at = min(h.oldest.items[i].at, now)
	}
	h.oldest.order()
}
