package engine

import (
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

// offend scores an offence at every door whose rules it matched.
func (e *Engine) offend(ev *maillog.Event, at int64, out *Outcome) {
	key := e.key(ev.Client)
	e.good.Offended(ev.Client, at)
	for d, hit := range out.Hits {
		if hit == nil {
			continue
		}
		book, table := e.books[d], e.tables[d]
		if x := book.Lookup(ev.Client); x != nil {
			// Inside a ban of the rule's door, though not of its own.
			book.Knock(x, at, uint64(ev.Count))
			continue
		}
		if !e.held && book.Offence(e.Now(), key) != nil {
			out.Fired = true
			e.good.Revoke(ev.Client, at)
			table.Clear(key)
			continue
		}
		fired := table.Add(score.Offence{
			Time:   at,
			Key:    key,
			Client: ev.Client,
			Class:  e.class(maillog.Door(d), hit),
			Value:  value(hit, ev),
			Count:  copies(hit, ev),
		})
		if len(fired) > 0 {
			out.Fired = true
			e.fire(book, ev.Client, key, fired)
		}
	}
	e.next = min(e.next, e.due())
}

// fire hands those who fired to the book: at the scoring clock, all at once.
func (e *Engine) fire(book *ban.Book, client netip.Addr, key netip.Prefix, fired []score.Fired) {
	now := e.Now()
	e.offenders = e.offenders[:0]
	add := func(k netip.Prefix, f *score.Fired, network netip.Prefix) {
		for i := range e.offenders {
			if e.offenders[i].Key == k {
				return
			}
		}
		w := &e.o.Windows[f.Window]
		factor := 0 // networks get none
		if !network.IsValid() {
			factor = e.good.Factor(client)
		}
		e.offenders = append(e.offenders, ban.Offender{
			Key:         k,
			LastOffence: f.Time,
			Cause: ban.Cause{
				Window: w.Name, Span: w.Span, Units: f.Units, Limit: f.Limit, Events: f.Events,
				First: f.First, Last: f.Time, Rules: f.Rules, Network: network, Factor: factor,
			},
		})
		if k.IsSingleIP() {
			e.good.Revoke(k.Addr(), now)
		}
	}
	for i := range fired {
		f := &fired[i]
		if e.o.Windows[f.Window].Width4 == 0 && e.o.Windows[f.Window].Width6 == 0 {
			add(f.Key, f, netip.Prefix{})
			continue
		}
		for _, k := range f.Clients {
			if k == key || !e.excused(k) {
				add(k, f, f.Key)
			}
		}
	}
	e.good.Revoke(client, now)
	if e.held {
		return
	}
	book.Offend(now, e.offenders)
}

// counted are those of the rules of an event that count in a window: the one
// that weighs most there, and any that was in force only when the event came.
func (e *Engine) counted(rules []string, window int) []string {
	var out []string
	var most *rule.Rule
	all := e.front.rules.Rules()
	for _, name := range rules {
		switch i := slices.IndexFunc(all, func(r *rule.Rule) bool { return r.Name == name }); {
		case i < 0:
			out = append(out, name)
		case slices.Contains(all[i].Windows, window) && (most == nil || all[i].Weight > most.Weight):
			most = all[i]
		}
	}
	if most != nil {
		out = append(out, most.Name)
	}
	return out
}

// excused says whether a client of a network that fired has no part in it: a
// known-good or allowlisted one.
func (e *Engine) excused(k netip.Prefix) bool {
	return e.allow.Overlaps(k) || e.good.AnyIn(k)
}

// class is the score class of a hit, asked for once.
func (e *Engine) class(d maillog.Door, h *rule.Hit) score.ClassID {
	known := e.classes[d]
	if h.ID < len(known) && known[h.ID] != 0 {
		return known[h.ID] - 1
	}
	c := score.Class{}
	for _, r := range h.Rules {
		if slices.ContainsFunc(h.Weights, func(w rule.WindowWeight) bool { return w.Rule == r }) {
			c.Rules = append(c.Rules, r.Name) // the others never count beside these
		}
	}
	for _, w := range h.Weights {
		c.Weights = append(c.Weights, score.Weight{
			Window: w.Window, Units: w.Weight * score.Unit, Distinct: w.Distinct != rule.DistinctNone,
		})
	}
	id := e.tables[d].Class(c)
	for len(e.classes[d]) <= h.ID {
		e.classes[d] = append(e.classes[d], 0)
	}
	e.classes[d][h.ID] = id + 1
	return id
}

// value is what a repeat is told by: the recipient or the SASL user.
func value(h *rule.Hit, ev *maillog.Event) uint64 {
	for _, w := range h.Weights {
		switch w.Distinct {
		case rule.DistinctRecipient:
			return hash(ev.Text(maillog.Recipient))
		case rule.DistinctSASLUser:
			return hash(ev.Text(maillog.SASLUser))
		}
	}
	return 0
}
