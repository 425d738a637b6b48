package score

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sort"
)

// twin is a Table by definition: plain lists, everything looked at each time.
type twin struct {
	o       Options
	good    *Good
	mark    int64
	events  map[netip.Prefix][]twinEvent
	mail    []twinMail
	classes []Class // by ClassID of the Table
}

type twinEvent struct {
	t     int64
	value uint64
	class ClassID
	n     int
}

type twinMail struct {
	c netip.Addr
	t int64
	n int
}

// in is what a class weighs in a window: 0 for nothing.
func (w *twin) in(c ClassID, win int) (units int, distinct bool) {
	for _, x := range w.classes[c].Weights {
		if x.Window == win && x.Units > units {
			units, distinct = x.Units, x.Distinct
		}
	}
	return units, distinct
}

func (w *twin) span(c ClassID) int64 {
	longest := int64(0)
	for _, x := range w.classes[c].Weights {
		longest = max(longest, w.o.Windows[x.Window].Span)
	}
	return longest
}

func (w *twin) recsMax() int {
	n := 0
	for _, win := range w.o.Windows {
		spans := 1
		for s := win.Span; s-win.Span < w.o.Late; s += win.Span {
			spans++
		}
		n += spans * win.Limit * 16
	}
	return min(n, 32768)
}

func (w *twin) copiesMax() int {
	n := 1
	for _, win := range w.o.Windows {
		n = max(n, win.Limit*16)
	}
	return min(n, 65535)
}

// units sums events of one client in a window.
func (w *twin) units(es []twinEvent, win int) (units, events int) {
	full := map[uint64]int{}
	for _, e := range es {
		u, distinct := w.in(e.class, win)
		if u == 0 {
			continue
		}
		events += e.n
		if !distinct || e.value == 0 {
			units += u * e.n
			continue
		}
		q := max(u/4, 1)
		units += q * e.n
		full[e.value] = max(full[e.value], u-q)
	}
	for _, u := range full {
		units += u
	}
	return units, events
}

func (w *twin) accepted(p netip.Prefix, from, to int64) int {
	n := 0
	for _, m := range w.mail {
		first := m.t / 300 * 300
		last := first + 299
		if p.Contains(m.c) && last > from && first <= to {
			n += m.n
		}
	}
	return n
}

func (w *twin) add(o Offence) []Fired {
	w.mark = max(w.mark, o.Time)
	if o.Time <= w.mark-w.span(o.Class)-w.o.Late {
		return nil
	}
	e := twinEvent{o.Time, o.Value, o.Class, min(int(max(o.Count, 1)), w.copiesMax())}
	es := w.events[o.Key]
	if i := slices.IndexFunc(es, func(x twinEvent) bool { return x.t == e.t && x.value == e.value && x.class == e.class }); i >= 0 {
		es[i].n = min(es[i].n+e.n, w.copiesMax())
	} else {
		es = slices.DeleteFunc(append(es, e), func(x twinEvent) bool { return x.t <= w.mark-w.span(x.class)-w.o.Late })
		sort.Slice(es, func(i, j int) bool {
			a, b := es[i], es[j]
			return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.value, b.value), cmp.Compare(a.class, b.class)) < 0
		})
		if len(es) > w.recsMax() {
			if es[0] == e {
				return nil
			}
			es = es[1:]
		}
	}
	w.events[o.Key] = es

	var fired []Fired
	for k := range w.o.Windows {
		win := &w.o.Windows[k]
		if u, _ := w.in(o.Class, k); u == 0 {
			continue
		}
		var f *Fired
		if win.Width4 == 0 && win.Width6 == 0 {
			f = w.fireClient(k, o)
		} else {
			f = w.fireNetwork(k, o)
		}
		if f != nil {
			fired = append(fired, *f)
		}
	}
	for _, f := range fired {
		delete(w.events, o.Key)
		for _, c := range f.Clients {
			delete(w.events, c)
		}
	}
	return fired
}

// rewind is [Table.Rewind].
func (w *twin) rewind(to int64) {
	if to >= w.mark {
		return
	}
	for k, es := range w.events {
		w.events[k] = slices.DeleteFunc(es, func(x twinEvent) bool { return x.t <= w.mark-w.span(x.class)-w.o.Late })
	}
	w.mark = to
}

// anchors are the times of events from t on, within the span.
func anchors(es []twinEvent, t, span int64) []int64 {
	var out []int64
	for _, e := range es {
		if e.t >= t && e.t < t+span {
			out = append(out, e.t)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func within(es []twinEvent, a, span int64) []twinEvent {
	var out []twinEvent
	for _, e := range es {
		if e.t > a-span && e.t <= a {
			out = append(out, e)
		}
	}
	return out
}

func (w *twin) fireClient(k int, o Offence) *Fired {
	win := &w.o.Windows[k]
	es := w.events[o.Key]
	for _, a := range anchors(es, o.Time, win.Span) {
		in := within(es, a, win.Span)
		units, events := w.units(in, k)
		limit := win.Limit * 4 * w.good.Factor(o.Client) / 256
		if units < limit {
			continue
		}
		accepted := 0
		if win.Share > 0 {
			accepted = w.accepted(o.Key, a-win.Span, a)
			if accepted > 0 && events*1000 < win.Share*(events+accepted) {
				continue
			}
		}
		f := &Fired{Window: k, Key: o.Key, Time: a, Units: units, Limit: limit, Events: events, Accepted: accepted}
		w.tell(f, in, k)
		return f
	}
	return nil
}

func (w *twin) excused(p netip.Prefix) bool { return len(w.good.KnownIn(p)) > 0 }

func (w *twin) fireNetwork(k int, o Offence) *Fired {
	win := &w.o.Windows[k]
	bits := win.Width6
	if o.Key.Addr().Is4() {
		bits = win.Width4
	}
	if bits == 0 || w.excused(o.Key) {
		return nil
	}
	net, _ := o.Key.Addr().Prefix(bits)
	var all []twinEvent
	var part []netip.Prefix
	for p, es := range w.events {
		if net.Contains(p.Addr()) && !w.excused(p) {
			part = append(part, p)
			for _, e := range es {
				if u, _ := w.in(e.class, k); u > 0 {
					all = append(all, e)
				}
			}
		}
	}
	slices.SortFunc(part, comparePrefix)
	for _, a := range anchors(all, o.Time, win.Span) {
		units, events := 0, 0
		var clients []netip.Prefix
		var in []twinEvent
		for _, p := range part {
			es := within(w.events[p], a, win.Span)
			u, n := w.units(es, k)
			if n > 0 {
				clients = append(clients, p)
				in = append(in, es...)
			}
			units += u
			events += n
		}
		if units < win.Limit*4 || len(clients) < win.Clients {
			continue
		}
		accepted := 0
		if win.Share > 0 {
			accepted = w.accepted(net, a-win.Span, a)
			if accepted > 0 && events*1000 < win.Share*(events+accepted) {
				continue
			}
		}
		f := &Fired{
			Window: k, Key: net, Time: a, Units: units, Limit: win.Limit * 4, Events: events,
			Clients: clients, Accepted: accepted,
		}
		w.tell(f, in, k)
		return f
	}
	return nil
}

func (w *twin) tell(f *Fired, in []twinEvent, k int) {
	counts := map[string]int{}
	f.First = f.Time
	for _, e := range in {
		if u, _ := w.in(e.class, k); u == 0 {
			continue
		}
		f.First = min(f.First, e.t)
		for _, r := range w.classes[e.class].Rules {
			counts[r] += e.n
		}
	}
	for r, n := range counts {
		f.Rules = append(f.Rules, RuleCount{r, n})
	}
	sort.Slice(f.Rules, func(i, j int) bool {
		a, b := f.Rules[i], f.Rules[j]
		return a.Count > b.Count || a.Count == b.Count && a.Rule < b.Rule
	})
}

func host4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

func host6(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}
