package score

import (
	"cmp"
	"net/netip"
	"slices"
)

// A network window keeps no events of its own: the clients of a network lie
// in one segment of their store (two for IPv6, with those watched by
// address), and are walked when the network may have reached the limit. An
// overestimate of a few bytes for all networks together (sketch.go) says when.

// walk is the memory that walks reuse.
type walk struct {
	clients []netip.Prefix
	items   []item
	places  []uint64
	buf     [1]rec
}

// addNetwork counts an event of client k for its network in window w, and
// fires it if the limit is reached. hash is that of its network of netBits.
func addNetwork[K key](t *Table, s *store[K], w int, k K, bits int, hash uint64, r rec) {
	if bits != s.netBits {
		hash = mix(k.net(bits))
	}
	units := int(t.weights[int(r.class)*len(t.o.Windows)+w].units) * int(r.n)
	if t.sketches[w].add(hash, units, t.o.Windows[w].Limit*Unit) {
		checkSpread(t, s, w, k, bits, hash, r)
	}
}

// checkSpread looks whether the network of k, of which the sketch says that it
// may have, has reached the limit of window w by the event r.
func checkSpread[K key](t *Table, s *store[K], w int, k K, bits int, hash uint64, r rec) {
	win := &t.o.Windows[w]
	limit := win.Limit * Unit
	units := int(t.weights[int(r.class)*len(t.o.Windows)+w].units) * int(r.n)
	seg, net := s.spot(k).seg, k.net(bits)
	p := k.prefix()
	b := t.sketches[w].bound(net, hash)
	if b.units != 0 && b.net == net {
		b.units = uint32(min(int64(b.units)+int64(units), 1<<31))
		b.events = uint32(min(int64(b.events)+int64(r.n), 1<<31))
		b.clients++
		if int(b.units) < limit || int(b.clients) < win.Clients {
			return
		}
		if r.t == t.mark { // then no later event is there to be an anchor
			if _, ok := t.shareHolds(win, netip.PrefixFrom(p.Addr(), bits).Masked(), r.t, int(b.events)); !ok {
				return
			}
		}
	}
	b.units = 0
	if !t.excused(p) {
		t.checkNetwork(w, p, seg, net, bits, r.t)
	}
	if len(t.fired) == 0 {
		t.learnBound(w, b, p, seg, net, bits)
	}
}

// learnBound notes what a network holds that can be in the span of an event
// to come, or one that is there.
func (t *Table) learnBound(w int, b *bound, p netip.Prefix, seg int, net uint64, bits int) {
	nw := len(t.o.Windows)
	oldest := int64(t.now) - t.o.Late - t.o.Windows[w].Span
	t.gather(w, p.Addr().Is4(), seg, net, bits, oldest, 1<<32, true)
	units, events := 0, 0
	for _, i := range t.walk.items {
		units += int(t.weights[int(i.class)*nw+w].units) * int(i.n)
		events += int(i.n)
	}
	*b = bound{net, uint32(min(units, 1<<31)), uint32(min(events, 1<<31)), uint32(len(t.walk.clients))}
}

// checkNetwork fires window w of the network that client p, in segment seg,
// belongs to, if the span of an event of its clients, at time at or later,
// reaches the limit.
func (t *Table) checkNetwork(w int, p netip.Prefix, seg int, net uint64, bits int, at uint32) {
	win := &t.o.Windows[w]
	span, limit := int64(win.Span), win.Limit*Unit
	key := t.gather(w, p.Addr().Is4(), seg, net, bits, int64(at)-span, int64(at)+span, false)
	items := t.walk.items
	slices.SortFunc(items, func(a, b item) int { return cmp.Compare(a.t, b.t) })
	first, last := 0, 0
	for last < len(items) && items[last].t < at {
		last++
	}
	for ; last < len(items); last++ {
		a := items[last].t
		for last+1 < len(items) && items[last+1].t == a {
			last++
		}
		for int64(items[first].t) <= int64(a)-span {
			first++
		}
		in := items[first : last+1]
		s := exact(t, w, in, ofNetwork)
		if s.units < limit {
			continue
		}
		clients := t.tookPart(in)
		if len(clients) < win.Clients {
			continue
		}
		accepted, ok := t.shareHolds(win, key, a, s.events)
		if !ok {
			continue
		}
		f := Fired{
			Window: w, Key: key, Time: int64(a), Units: s.units, Limit: limit,
			Events: s.events, Accepted: accepted, Clients: clients,
		}
		t.tell(&f, w, func(yield func(rec) bool) {
			for i := range in {
				if !yield(in[i].rec) {
					return
				}
			}
		})
		t.fired = append(t.fired, f)
		return
	}
}

// gather collects the events that count for a network in window w, with times
// between after and before (both exclusive), and returns its prefix; excused
// clients are left out unless all is set. Segment
// seg holds all its clients: which one depends only on the network of netBits,
// which is as wide or wider.
func (t *Table) gather(w int, is4 bool, seg int, net uint64, bits int, after, before int64, all bool) netip.Prefix {
	t.walk.clients, t.walk.items = t.walk.clients[:0], t.walk.items[:0]
	if is4 {
		gather(t, &t.v4, w, seg, net, bits, after, before, all)
		return network4(net, bits)
	}
	gather(t, &t.v6, w, seg, net, bits, after, before, all)
	gather(t, &t.exact, w, seg, net, bits, after, before, all)
	return network6(net, bits)
}

func gather[K key](t *Table, s *store[K], w, seg int, net uint64, bits int, after, before int64, all bool) {
	if s.n == 0 {
		return
	}
	nw, wk := len(t.o.Windows), &t.walk
	g := &s.segs[seg]
	for i := range g.groups {
		b := &g.groups[i]
		for j := range b.len() {
			if b.keys[j].net(bits) != net {
				continue
			}
			who := uint32(len(wk.clients))
			n := len(wk.items)
			for _, r := range t.events(&b.recs[j], &wk.buf) {
				if int64(r.t) > after && int64(r.t) < before && t.weights[int(r.class)*nw+w].units != 0 {
					wk.items = append(wk.items, item{r, who})
				}
			}
			if len(wk.items) == n {
				continue
			}
			if p := b.keys[j].prefix(); !all && t.excused(p) {
				wk.items = wk.items[:n]
			} else {
				wk.clients = append(wk.clients, p)
			}
		}
	}
}

// tookPart are the clients of the items, sorted.
func (t *Table) tookPart(in []item) []netip.Prefix {
	seen := make([]bool, len(t.walk.clients))
	var out []netip.Prefix
	for i := range in {
		if who := in[i].who; !seen[who] {
			seen[who] = true
			out = append(out, t.walk.clients[who])
		}
	}
	slices.SortFunc(out, comparePrefix)
	return out
}

// excused says whether a client takes no part in windows of networks: it is
// known good, or a /64 with a known-good address.
func (t *Table) excused(p netip.Prefix) bool {
	if t.good == nil {
		return false
	}
	if p.IsSingleIP() {
		return t.good.Known(p.Addr())
	}
	return t.good.AnyIn(p)
}
