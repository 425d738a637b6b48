package ban

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// Encode writes everything the book knows, straight from its memory. The same
// book gives the same bytes.
func (b *Book) Encode(w *wire.Writer) {
	w.Int(b.clock)
	w.Uint(uint64(b.bans.Len()))
	for _, x := range b.bans.All() {
		x.encode(w)
	}
	w.Uint(uint64(len(b.hidden)))
	for _, x := range b.hidden {
		x.encode(w)
	}
	units := b.parole.state()
	w.Uint(uint64(len(units)))
	for i := range units {
		w.Prefix(units[i].Prefix)
		w.Int(units[i].Until)
		encodeMembers(w, units[i].Members)
	}
	w.Uint(uint64(len(b.history.past)))
	for _, k := range slices.SortedFunc(maps.Keys(b.history.past), netip.Prefix.Compare) {
		m := b.history.past[k]
		w.Prefix(k)
		w.Int(int64(m.level))
		w.Int(m.end)
	}
	w.Uint(uint64(b.spared.Len()))
	for p, end := range b.spared.All() {
		w.Prefix(p)
		w.Int(end)
	}
	w.Uint(uint64(len(b.touched)))
	for _, p := range slices.SortedFunc(maps.Keys(b.touched), netip.Prefix.Compare) {
		e := b.touched[p]
		w.Prefix(p)
		w.Prefix(e.Prefix)
		w.Int(e.Until)
		w.Int(e.Deadline)
	}
	w.Uint(uint64(len(b.ended)))
	for i := range b.ended {
		x := &b.ended[i]
		x.encode(w)
		w.String(x.End)
		w.Prefix(x.Into)
		w.Int(x.Ended)
	}
	four, _ := b.four.price()
	six, _ := b.six.price()
	for _, x := range []int64{four, six, int64(b.budget)} {
		w.Int(x)
	}
	for _, x := range []uint64{b.squeezes, b.dropped, b.refused, b.held} {
		w.Uint(x)
	}
}

func (b *Ban) encode(w *wire.Writer) {
	w.Prefix(b.Prefix)
	for _, x := range [...]int64{b.From, b.Until, b.TermStart, b.Deadline, int64(b.Level), int64(b.Renewals)} {
		w.Int(x)
	}
	w.Bool(b.Revived)
	encodeMembers(w, b.Members)
	w.Prefix(b.Site)
	w.Bool(b.Pinned)
	w.String(b.Because)
	w.Uint(b.Knocks)
	w.Int(b.LastKnock)
	w.Uint(b.Earlier)
	b.Why.encode(w)
}

func encodeMembers(w *wire.Writer, ms []Member) {
	w.Uint(uint64(len(ms)))
	for i := range ms {
		m := &ms[i]
		w.Prefix(m.Key)
		w.Int(m.Since)
		w.Int(m.LastOffence)
		w.Int(int64(m.Level))
		m.Cause.encode(w)
	}
}

func (c *Cause) encode(w *wire.Writer) {
	w.String(c.Window)
	for _, x := range [...]int64{c.Span, int64(c.Units), int64(c.Limit), int64(c.Events), c.First, c.Last, int64(c.Factor)} {
		w.Int(x)
	}
	w.Prefix(c.Network)
	w.Uint(uint64(len(c.Rules)))
	for _, r := range c.Rules {
		w.String(r.Rule)
		w.Int(int64(r.Count))
	}
}

func (y *Why) encode(w *wire.Writer) {
	w.Uint(uint64(y.Kind))
	for _, x := range [...]int64{int64(y.Need), int64(y.Members), y.Cost, y.Apart, y.Price} {
		w.Int(x)
	}
	w.Bool(y.Raised)
	y.Around.encode(w)
	n := &y.Next
	for _, x := range [...]int64{int64(n.Bits), int64(n.Need), int64(n.Members), n.Cost, n.Apart} {
		w.Int(x)
	}
	w.Uint(uint64(n.Bar))
	n.Veto.encode(w)
}

func (s Shield) encode(w *wire.Writer) {
	w.Uint(uint64(s.Kind))
	w.Prefix(s.Prefix)
}

// Encode writes everything the breaker knows.
func (k *Breaker) Encode(w *wire.Writer) {
	w.Uint(uint64(len(k.covered)))
	for _, c := range k.covered {
		w.Int(c.Time)
		w.Int(c.Addresses)
	}
	w.Uint(uint64(len(k.met)))
	for _, s := range k.met {
		w.Addr(s.Addr)
		w.Int(s.Time)
	}
	w.Int(k.from)
	w.Int(k.until)
	w.Int(int64(k.trips))
}
