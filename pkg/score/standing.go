package score

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Standing says how close a client, or its network, is to firing a window.
type Standing struct {
	Window   int          // index in Options.Windows
	Key      netip.Prefix // the client, or the network of a window that has a width
	Units    int          // sum of the weights in the span that ends now, quarters
	Limit    int          // what fires, quarters
	Count    int          // events in the span, copies counted
	Accepted int          // recipients of accepted messages in the span, where the window has a share
	Clients  int          // clients that take part, where the window has a width
	Events   []Evidence   // by time
}

// Evidence is an event that a Standing counts.
type Evidence struct {
	Time   int64 // Unix seconds
	Client netip.Prefix
	Rules  []string // those that count in the window
	Units  int      // what it weighs by itself, quarters; a repeat of a distinct value counts less
	Count  int      // copies
}

// Standing says for each window, in order, where a client stands at the time
// now. Windows of networks are those of its network.
func (t *Table) Standing(key netip.Prefix, now int64) []Standing {
	switch familyOf(key) {
	case family4:
		return standing(t, &t.v4, addrKey4(key.Addr()), now)
	case family6:
		return standing(t, &t.v6, key6(addrKey16(key.Addr())[0]), now)
	case family16:
		return standing(t, &t.exact, addrKey16(key.Addr()), now)
	}
	return nil
}

func standing[K key](t *Table, s *store[K], k K, now int64) []Standing {
	var out []Standing
	for w := range t.o.Windows {
		win := &t.o.Windows[w]
		if !win.wide() {
			x := t.clientStanding(w, t.recsOf(s.get(k)), k.prefix(), now)
			t.evidence(&x)
			out = append(out, x)
			continue
		}
		bits := s.widths[w]
		if bits == 0 {
			continue
		}
		key := t.gather(w, k.prefix().Addr().Is4(), s.spot(k).seg, k.net(bits), bits, now-win.Span, now+1, false)
		items := t.walk.items
		slices.SortStableFunc(items, t.byTimeAndClient)
		sum := exact(t, w, items, ofNetwork)
		x := Standing{
			Window: w, Key: key, Units: sum.units, Limit: win.Limit * Unit, Count: sum.events,
			Clients: len(t.walk.clients),
		}
		x.Accepted, _ = t.shareHolds(win, key, clampTime(now), sum.events)
		t.evidence(&x)
		out = append(out, x)
	}
	return out
}

func (t *Table) byTimeAndClient(a, b item) int {
	return cmp.Or(cmp.Compare(a.t, b.t), comparePrefix(t.walk.clients[a.who], t.walk.clients[b.who]), a.compare(b.rec))
}

func (t *Table) recsOf(held *rec) []rec {
	if held == nil {
		return nil
	}
	return t.events(held, &t.walk.buf)
}

// clientStanding leaves the events it counts in t.walk.items.
func (t *Table) clientStanding(w int, recs []rec, p netip.Prefix, now int64) Standing {
	win, nw := &t.o.Windows[w], len(t.o.Windows)
	t.walk.clients, t.walk.items = append(t.walk.clients[:0], p), t.walk.items[:0]
	for _, r := range recs {
		if int64(r.t) > now-win.Span && int64(r.t) <= now && t.weights[int(r.class)*nw+w].units != 0 {
			t.walk.items = append(t.walk.items, item{r, 0})
		}
	}
	sum := exact(t, w, t.walk.items, ofNetwork)
	x := Standing{Window: w, Key: p, Units: sum.units, Limit: win.Limit * Unit, Count: sum.events}
	if t.good != nil && p.IsSingleIP() {
		x.Limit = x.Limit * t.good.Factor(p.Addr()) / 256
	}
	x.Accepted, _ = t.shareHolds(win, p, clampTime(now), sum.events)
	return x
}

// evidence tells the events in t.walk.items.
func (t *Table) evidence(x *Standing) {
	nw := len(t.o.Windows)
	for _, i := range t.walk.items {
		x.Events = append(x.Events, Evidence{
			Time: int64(i.t), Client: t.walk.clients[i.who], Rules: slices.Clone(t.counted(i.class, x.Window)),
			Units: int(t.weights[int(i.class)*nw+x.Window].units), Count: int(i.n),
		})
	}
}

// Near returns the n clients that are closest to a limit of their own at the
// time now, each with the window it is closest in, the closest first. It
// reads the whole table.
func (t *Table) Near(n int, now int64) []Standing {
	if n <= 0 {
		return nil
	}
	out := near(t, &t.v4, nil, n, now)
	out = near(t, &t.v6, out, n, now)
	out = near(t, &t.exact, out, n, now)
	for i := range out {
		x := t.Standing(out[i].Key, now)
		j := slices.IndexFunc(x, func(s Standing) bool { return s.Window == out[i].Window })
		out[i] = x[j]
	}
	return out
}

func near[K key](t *Table, s *store[K], out []Standing, n int, now int64) []Standing {
	for i := range s.segs {
		for j := range s.segs[i].groups {
			b := &s.segs[i].groups[j]
			for x := range b.len() {
				recs := t.recsOf(&b.recs[x])
				if len(out) == n && !mayBeNearer(t, recs, b.keys[x], &out[n-1], now) {
					continue
				}
				out = t.nearest(out, n, b.keys[x].prefix(), recs, now)
			}
		}
	}
	return out
}

// mayBeNearer says whether a client may be nearer than the last of those found,
// from what its events weigh at most, and from its limits without a good record,
// which only raises them. Of nearly all clients it says no, at a small part of
// the cost of their standing.
func mayBeNearer[K key](t *Table, recs []rec, k K, last *Standing, now int64) bool {
	nw := len(t.o.Windows)
	for w := range t.o.Windows {
		win := &t.o.Windows[w]
		if win.wide() {
			continue
		}
		most := 0
		for _, r := range recs {
			if int64(r.t) > now-win.Span && int64(r.t) <= now {
				most += int(t.weights[int(r.class)*nw+w].units) * int(r.n)
			}
		}
		mine, theirs := int64(most)*int64(last.Limit), int64(last.Units)*int64(win.Limit*Unit)
		if most > 0 && (mine > theirs || mine == theirs && comparePrefix(k.prefix(), last.Key) < 0) {
			return true
		}
	}
	return false
}

// nearest puts a client into its place among the n nearest.
func (t *Table) nearest(out []Standing, n int, p netip.Prefix, recs []rec, now int64) []Standing {
	var best Standing
	for w := range t.o.Windows {
		if t.o.Windows[w].wide() {
			continue
		}
		y := t.clientStanding(w, recs, p, now)
		if y.Units > 0 && (best.Units == 0 || y.nearer(&best) < 0) {
			best = y
		}
	}
	if best.Units == 0 {
		return out
	}
	at, _ := slices.BinarySearchFunc(out, best, func(a, b Standing) int { return a.nearer(&b) })
	if at < n {
		out = slices.Insert(out[:min(len(out), n-1)], min(at, len(out)), best)
	}
	return out
}

// nearer compares by the part of the limit that is reached.
func (s *Standing) nearer(o *Standing) int {
	return cmp.Or(
		cmp.Compare(int64(o.Units)*int64(s.Limit), int64(s.Units)*int64(o.Limit)),
		comparePrefix(s.Key, o.Key), cmp.Compare(s.Window, o.Window))
}
