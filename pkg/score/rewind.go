package score

// Rewind tells that the scoring clock was set back. What is too old already is
// forgotten. The rest keeps its time, also what is newer than the clock is now:
// it may go to and fro, where lines of several hosts come in turn.
func (t *Table) Rewind(to int64) {
	at := clampTime(to)
	if at >= t.now {
		return
	}
	sweep(t, &t.v4, 0, segments)
	sweep(t, &t.v6, 0, segments)
	sweep(t, &t.exact, 0, segments)
	t.now, t.swept = at, min(t.swept, at)
	for w := range t.sketches {
		t.sketches[w] = sketch{}
	}
	t.mark = max(at, redraw(t, &t.v4), redraw(t, &t.v6), redraw(t, &t.exact))
	for w := range t.sketches {
		t.sketches[w].start = int64(t.mark) // none of what is in it is newer
	}
}

// redraw brings all clients of a store into the sketches, and returns the
// newest time of an event.
func redraw[K key](t *Table, s *store[K]) (newest uint32) {
	for i := range s.segs {
		for x := range s.segs[i].groups {
			b := &s.segs[i].groups[x]
			for j := range b.len() {
				k := b.keys[j]
				draw(t, s, k, mix(k.net(s.netBits)), t.events(&b.recs[j], &t.walk.buf))
				newest = max(newest, b.recs[j].t)
			}
		}
	}
	return newest
}

// draw brings the events of a client into the sketches; net is the hash of its
// network of netBits.
func draw[K key](t *Table, s *store[K], k K, net uint64, recs []rec) {
	for _, r := range recs {
		for _, m := range t.plans[r.class].wide {
			bits := s.widths[m.window]
			if bits == 0 {
				continue
			}
			part := m.part
			if r.n != 1 {
				part = partOf(m.units*int(r.n), m.limit)
			}
			hash := net
			if bits != s.netBits {
				hash = mix(k.net(bits))
			}
			t.sketches[m.window].mark(hash, part)
		}
	}
}

// Rewind tells that the scoring clock was set back. Days are not: the day stays
// that of the newest time, so that a clock that goes to and fro does not make
// many of one. Only when all of a day was lived through more than a day before
// that was it wrong.
func (g *Good) Rewind(to int64) {
	if to < g.now {
		g.now, g.behind = max(to, 0), 0
		g.follow()
	}
}

// follow is called when the clock has moved while it is behind the newest time.
func (g *Good) follow() {
	switch {
	case g.now >= g.mark-daySecs:
		g.behind = 0
	case g.behind == 0:
		g.behind = g.now
	case g.now-g.behind >= daySecs:
		g.believe()
	}
}

// believe takes the clock for right and the newest time for wrong.
func (g *Good) believe() {
	g.mark, g.day, g.behind = g.now, g.now/daySecs, 0
	for _, r := range g.clients.all {
		r.last, r.off = min(r.last, uint32(g.day)), min(r.off, uint32(g.day))
		r.since = min(r.since, uint32(g.now))
		r.volume.rewind(uint32(g.now / volumeBucket))
	}
	for _, a := range g.accounts {
		for i := range a.logins {
			l := &a.logins[i]
			l.last, l.stale = min(l.last, uint32(g.now)), min(l.stale, uint32(g.now))
		}
	}
}

// rewind forgets the buckets behind at.
func (v *volume) rewind(at uint32) {
	for v.newest.n != 0 && v.newest.at > at {
		v.newest = bucket{}
		if n := len(v.older); n > 0 {
			v.newest, v.older = v.older[n-1], v.older[:n-1]
		}
	}
}
