package ban

import (
	"fmt"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/score"
	"github.com/postmoat/postmoat/pkg/wire"
)

// Bounds of what a state may hold; the bytes that are there bound the rest.
const (
	maxList = 1 << 31
	maxName = 1 << 16 // bytes of the name of a rule or a window
	maxWord = 1 << 20 // bytes of an operator's words
	atOnce  = 1 << 16 // things of a list for which there is memory before they have been read
)

// Decode takes over what Encode wrote, see [Book.Restore].
func (b *Book) Decode(r *wire.Reader) error {
	d := decoder{r, map[string]string{}, new([]byte)}
	s := State{Clock: r.Int()}
	one := func(x **Ban) {
		*x = new(Ban)
		d.ban(b, *x)
	}
	s.Bans, s.Hidden = list(d, one), list(d, one)
	s.Parole = list(d, func(u *Parole) { u.Prefix, u.Until, u.Members = r.Prefix(), r.Int(), d.members() })
	s.History = list(d, func(p *Past) { p.Key, p.Level, p.End = r.Prefix(), int(r.Int()), r.Int() })
	s.Spared = list(d, func(q *Spared) { q.Prefix, q.Until = r.Prefix(), r.Int() })
	s.Before = list(d, func(t *Before) {
		t.Prefix = r.Prefix()
		t.Entry = Entry{Prefix: r.Prefix(), Until: r.Int(), Deadline: r.Int()}
		if t.Entry.Prefix.IsValid() {
			t.Entry.Door = b.door
		}
	})
	s.Ended = list(d, func(x *Spell) {
		d.ban(b, &x.Ban)
		x.End, x.Into, x.Ended = d.name(), r.Prefix(), r.Int()
	})
	s.Price4, s.Price6, s.Budget = r.Int(), r.Int(), int(r.Int())
	s.Squeezes, s.Dropped, s.Refused, s.Held = r.Uint(), r.Uint(), r.Uint(), r.Uint()
	if err := r.Err(); err != nil {
		return fmt.Errorf("bans: %w", err)
	}
	return b.Restore(s)
}

// A decoder keeps each name once: most bans have the same.
type decoder struct {
	*wire.Reader
	names map[string]string
	text  *[]byte // of the last one
}

func (d decoder) name() string {
	b := d.AppendBytes((*d.text)[:0], maxName)
	*d.text = b
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	d.names[s] = s
	return s
}

// list reads a list as long as there are bytes for it.
func list[T any](d decoder, read func(*T)) []T {
	n := d.Len(maxList)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, min(n, atOnce))
	for range n {
		out = append(out, *new(T))
		read(&out[len(out)-1]) // a variable of its own would be garbage
		if d.Err() != nil {
			return nil
		}
	}
	return out
}

func (d decoder) ban(b *Book, x *Ban) {
	x.Prefix, x.Door = d.Prefix(), b.door
	x.From, x.Until, x.TermStart, x.Deadline = d.Int(), d.Int(), d.Int(), d.Int()
	x.Level, x.Renewals, x.Revived = int(d.Int()), int(d.Int()), d.Bool()
	x.Members = d.members()
	x.Site, x.Pinned, x.Because = d.Prefix(), d.Bool(), d.String(maxWord)
	x.Knocks, x.LastKnock, x.Earlier = d.Uint(), d.Int(), d.Uint()
	d.why(&x.Why)
}

func (d decoder) members() []Member {
	return list(d, func(m *Member) {
		m.Key, m.Since, m.LastOffence, m.Level = d.Prefix(), d.Int(), d.Int(), int(d.Int())
		c := &m.Cause
		c.Window, c.Span = d.name(), d.Int()
		c.Units, c.Limit, c.Events = int(d.Int()), int(d.Int()), int(d.Int())
		c.First, c.Last, c.Factor, c.Network = d.Int(), d.Int(), int(d.Int()), d.Prefix()
		c.Rules = list(d, func(r *score.RuleCount) { r.Rule, r.Count = d.name(), int(d.Int()) })
	})
}

func (d decoder) why(y *Why) {
	y.Kind = Kind(d.Upto(uint64(Manual)))
	y.Need, y.Members, y.Cost, y.Apart, y.Price = int(d.Int()), int(d.Int()), d.Int(), d.Int(), d.Int()
	y.Raised, y.Around = d.Bool(), d.shield()
	n := &y.Next
	n.Bits, n.Need, n.Members, n.Cost, n.Apart = int(d.Int()), int(d.Int()), int(d.Int()), d.Int(), d.Int()
	n.Bar, n.Veto = cover.Bar(d.Upto(1<<8-1)), d.shield()
}

func (d decoder) shield() Shield {
	return Shield{ShieldKind(d.Upto(uint64(Unbanned))), d.Prefix()}
}

// Decode takes over what Encode wrote, see [Breaker.Restore].
func (k *Breaker) Decode(r *wire.Reader) error {
	d := decoder{Reader: r}
	s := BreakerState{
		Covered: list(d, func(c *Covered) { c.Time, c.Addresses = r.Int(), r.Int() }),
		Met:     list(d, func(m *Sighting) { m.Addr, m.Time = r.Addr(), r.Int() }),
		From:    r.Int(), Until: r.Int(), Trips: int(r.Int()),
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("breaker: %w", err)
	}
	return k.Restore(s)
}
