package ban

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

// A twin is a Book by definition: plain slices, searched from end to end, no
// queue, no table, no bookkeeping. It knows no budget and no breaker.
type twin struct {
	o      Options
	allow  *prefix.Set
	good   *score.Good
	all    []netip.Addr // every address that may be good
	bans   []*tban      // in force or hidden
	parole []*tparole
	past   map[netip.Prefix]mark
	spared map[netip.Prefix]int64
	ended  []string
}

type tban struct {
	p, site netip.Prefix
	pinned  bool
	hidden  bool // settled when a call is over
	until   int64
	level   int
	knock   int64
	members map[netip.Prefix]tmember
}

type tmember struct {
	level       int
	last, since int64
}

type tparole struct {
	until   int64
	members map[netip.Prefix]tmember
}

func (w *twin) term(level int) int64 {
	t := w.o.Time
	for range level {
		t = min(2*t, w.o.Max)
	}
	return min(t, w.o.Max)
}

func in(p, q netip.Prefix) bool { return q.Bits() <= p.Bits() && q.Contains(p.Addr()) }

// force returns the bans that have an entry.
func (w *twin) force() []*tban {
	return slices.DeleteFunc(slices.Clone(w.bans), func(x *tban) bool { return x.hidden })
}

func (w *twin) holder(p netip.Prefix) *tban {
	for _, x := range w.force() {
		if in(p, x.p) {
			return x
		}
	}
	return nil
}

func (w *twin) end(x *tban, now int64, how string, into netip.Prefix) {
	i := slices.Index(w.bans, x)
	w.bans = slices.Delete(w.bans, i, i+1)
	w.ended = append(w.ended, fmt.Sprintf("%d %s %s %s", now, x.p, how, into))
}

// pinsRule hides the manual bans that lie in a wider ban, brings up the others,
// and lets these swallow what is inside of them.
func (w *twin) pinsRule(now int64) {
	for _, x := range w.bans {
		x.hidden = x.pinned && slices.ContainsFunc(w.bans, func(y *tban) bool { return y != x && in(x.p, y.p) && x.p != y.p })
	}
	for _, x := range w.force() {
		if !x.pinned {
			continue
		}
		for _, y := range slices.Clone(w.bans) {
			if y != x && !y.pinned && in(y.p, x.p) {
				for k, m := range y.members {
					if old, ok := x.members[k]; !ok || m.since >= old.since {
						x.members[k] = m
					}
				}
				x.level, x.knock = max(x.level, y.level), max(x.knock, y.knock)
				w.end(y, now, Absorbed, x.p)
			}
		}
	}
}

func (w *twin) unit(x *tban) []*tban {
	if !x.site.IsValid() {
		return []*tban{x}
	}
	var out []*tban
	for _, y := range w.bans {
		if y.site == x.site {
			out = append(out, y)
		}
	}
	return out
}

func (w *twin) tick(now int64) {
	for {
		due := now + 1
		for _, x := range w.bans {
			due = min(due, x.until)
		}
		for _, u := range w.parole {
			due = min(due, u.until)
		}
		if due > now {
			return
		}
		for {
			i := slices.IndexFunc(w.bans, func(x *tban) bool { return x.until <= due })
			if i < 0 {
				break
			}
			w.lapse(w.bans[i])
		}
		w.parole = slices.DeleteFunc(w.parole, func(u *tparole) bool { return u.until <= due })
		w.pinsRule(due)
	}
}

func (w *twin) lapse(x *tban) {
	unit, at := w.unit(x), x.until
	var knock, last int64
	for _, y := range unit {
		knock = max(knock, y.knock)
		for _, m := range y.members {
			last = max(last, m.last)
		}
	}
	term := w.term(x.level)
	until := min(at+term, last+86400)
	if !x.pinned && knock >= at-term/4 && until > at {
		for _, y := range unit {
			y.until = until
		}
		return
	}
	u := &tparole{at + w.o.Parole, map[netip.Prefix]tmember{}}
	for _, y := range unit {
		for k, m := range y.members {
			w.past[k] = mark{m.level, at}
			u.members[k] = m
		}
		w.end(y, at, Expired, netip.Prefix{})
	}
	for k := range u.members {
		for _, v := range w.parole {
			delete(v.members, k)
		}
	}
	w.parole = slices.DeleteFunc(w.parole, func(u *tparole) bool { return len(u.members) == 0 })
	if len(u.members) > 0 {
		w.parole = append(w.parole, u)
	}
}

func (w *twin) strike(p netip.Prefix) {
	for _, u := range w.parole {
		maps.DeleteFunc(u.members, func(k netip.Prefix, _ tmember) bool { return in(k, p) })
	}
	w.parole = slices.DeleteFunc(w.parole, func(u *tparole) bool { return len(u.members) == 0 })
}

type tclaim struct {
	key   netip.Prefix
	m     tmember
	until int64
	knock int64
}

func (w *twin) fresh(now int64, key netip.Prefix, last int64) tclaim {
	level := 0
	if h, ok := w.past[key]; ok && now-h.end <= w.o.Memory {
		level = max(h.level+1-int((now-h.end)/(7*86400)), 0)
		for level > 0 && w.term(level) == w.term(level-1) {
			level--
		}
	}
	maps.DeleteFunc(w.spared, func(p netip.Prefix, _ int64) bool { return p.Overlaps(key) })
	return tclaim{key: key, m: tmember{level, last, now}, until: now + w.term(level)}
}

func (w *twin) offend(now int64, keys []netip.Prefix, last int64) {
	w.tick(now)
	var cs []tclaim
	for _, k := range keys {
		if !w.allow.Overlaps(k) && !slices.ContainsFunc(cs, func(c tclaim) bool { return c.key == k }) {
			cs = append(cs, w.fresh(now, k, last))
		}
	}
	w.place(now, cs)
	w.pinsRule(now)
}

func (w *twin) offence(now int64, key netip.Prefix) bool {
	w.tick(now)
	for i, u := range w.parole {
		if _, ok := u.members[key]; !ok || w.allow.Overlaps(key) {
			continue
		}
		var cs []tclaim
		for k, m := range u.members {
			if k == key {
				m.last = max(m.last, now)
			} else if w.allow.Overlaps(k) || slices.ContainsFunc(w.all, func(a netip.Addr) bool { return k.Contains(a) && w.good.Known(a) }) {
				continue
			}
			cs = append(cs, w.fresh(now, k, m.last))
		}
		w.parole = slices.Delete(w.parole, i, i+1)
		w.place(now, cs)
		w.pinsRule(now)
		return true
	}
	return false
}

func (w *twin) place(now int64, cs []tclaim) {
	slices.SortFunc(cs, func(a, b tclaim) int { return a.key.Compare(b.key) })
	for len(cs) > 0 { // wide keys first, bucket by bucket
		i := slices.IndexFunc(cs, func(c tclaim) bool { return !isExact(c.key) })
		if i < 0 {
			break
		}
		b := w.bucket(cs[i].key)
		var mine []tclaim
		cs = slices.DeleteFunc(cs, func(c tclaim) bool {
			if isExact(c.key) || !in(c.key, b) {
				return false
			}
			mine = append(mine, c)
			return true
		})
		w.resolve(now, b, mine)
	}
	w.singles(now, cs)
}

func (w *twin) bucket(k netip.Prefix) netip.Prefix {
	o, bits := w.o.Cover4, 32
	if !k.Addr().Is4() {
		o, bits = w.o.Cover6, 64
	}
	for _, r := range o.Rungs {
		bits = min(bits, r.Bits)
	}
	p, _ := k.Addr().Prefix(min(bits, k.Bits()))
	return p
}

func (w *twin) join(x *tban, c tclaim) {
	if x.pinned {
		return
	}
	if m, ok := x.members[c.key]; ok {
		m.last = max(m.last, c.m.last)
		x.members[c.key] = m
		return
	}
	x.members[c.key] = c.m
	for _, y := range w.unit(x) {
		y.level, y.until = max(y.level, c.m.level), max(y.until, c.until)
	}
	w.strike(c.key)
}

// shields by definition. offenders are those of the whole book and the claims.
func (w *twin) shields(now int64, p netip.Prefix, cs []tclaim) []netip.Prefix {
	var out []netip.Prefix
	for _, q := range w.allow.All() {
		if q.Overlaps(p) {
			out = append(out, q)
		}
	}
	offender := func(k netip.Prefix) bool {
		if slices.ContainsFunc(cs, func(c tclaim) bool { return c.key == k }) {
			return true
		}
		x := w.holder(k)
		if x == nil || x.pinned {
			return false
		}
		_, ok := x.members[k]
		return ok
	}
	for _, a := range w.all {
		if p.Contains(a) && w.good.Known(a) && !w.allow.Contains(a) && !offender(prefix.Host(a)) && !offender(prefix.Unit(a)) {
			out = append(out, prefix.Host(a))
		}
	}
	for q, end := range w.spared {
		if q.Overlaps(p) && now < end {
			out = append(out, q)
		}
	}
	return out
}

func (w *twin) isSpared(now int64, k netip.Prefix) bool {
	if w.allow.Overlaps(k) {
		return true
	}
	for q, end := range w.spared {
		if q.Overlaps(k) && now < end {
			return true
		}
	}
	return false
}

func overlaps(ps []netip.Prefix, p netip.Prefix) bool { return slices.ContainsFunc(ps, p.Overlaps) }

func (w *twin) resolve(now int64, bucket netip.Prefix, cs []tclaim) {
	cs = slices.DeleteFunc(cs, func(c tclaim) bool {
		x := w.holder(c.key)
		if x != nil {
			w.join(x, c)
		}
		return x != nil
	})
	vs := w.shields(now, bucket, cs)
	var keys []netip.Prefix
	var single []tclaim
	fresh := len(cs)
	for _, x := range slices.Clone(w.force()) {
		if !in(x.p, bucket) || x.pinned || x.site.IsValid() || isExact(x.p) {
			continue
		}
		if !overlaps(vs, x.p) {
			for k := range x.members {
				keys = append(keys, k)
			}
			continue
		}
		how := Lifted
		for k, m := range x.members {
			if w.isSpared(now, k) {
				continue
			}
			how = Carved
			c := tclaim{k, m, x.until, x.knock}
			if isExact(k) {
				single = append(single, c)
			} else {
				cs = append(cs, c)
			}
		}
		w.end(x, now, how, netip.Prefix{})
	}
	if fresh == 0 && len(cs) == 0 {
		w.singles(now, single)
		return
	}
	for _, c := range cs {
		keys = append(keys, c.key)
	}
	keys = slices.DeleteFunc(keys, func(k netip.Prefix) bool { return isExact(k) || overlaps(vs, k) })
	slices.SortFunc(keys, netip.Prefix.Compare)
	// Of the pieces and the running bans the outermost are left.
	for _, p := range w.solve(bucket, keys, vs) {
		if w.holder(p) != nil {
			continue
		}
		x := &tban{p: p, members: map[netip.Prefix]tmember{}}
		w.fill(now, x, cs)
	}
	w.singles(now, single)
}

// fill makes a ban of all that is inside of it.
func (w *twin) fill(now int64, x *tban, cs []tclaim) {
	for _, c := range cs {
		if in(c.key, x.p) {
			x.members[c.key] = c.m
			x.level, x.until, x.knock = max(x.level, c.m.level), max(x.until, c.until), max(x.knock, c.knock)
		}
	}
	for _, y := range slices.Clone(w.bans) {
		if y.pinned && in(y.p, x.p) {
			y.hidden = true
		}
		if y.pinned || !in(y.p, x.p) {
			continue
		}
		for k, m := range y.members {
			x.members[k] = m
		}
		x.level, x.until, x.knock = max(x.level, y.level), max(x.until, y.until), max(x.knock, y.knock)
		w.end(y, now, Absorbed, x.p)
	}
	w.bans = append(w.bans, x)
	w.strike(x.p)
}

func (w *twin) solve(bucket netip.Prefix, keys, vs []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	if bucket.Addr().Is4() {
		var ks []uint32
		var vetoes []cover.Veto[uint32]
		for _, k := range keys {
			ks = append(ks, cover.Key4(k.Addr()))
		}
		for _, v := range vs {
			vetoes = append(vetoes, cover.Veto4(v, 0))
		}
		for _, p := range cover.New[uint32](w.o.Cover4).Solve(ks, cover.SortVetoes(vetoes)) {
			out = append(out, p.Prefix())
		}
		return out
	}
	var ks []uint64
	var vetoes []cover.Veto[uint64]
	for _, k := range keys {
		ks = append(ks, cover.Key6(k.Addr()))
	}
	for _, v := range vs {
		vetoes = append(vetoes, cover.Veto6(v, 0))
	}
	for _, p := range cover.New[uint64](w.o.Cover6).Solve(ks, cover.SortVetoes(vetoes)) {
		out = append(out, p.Prefix())
	}
	return out
}

func (w *twin) singles(now int64, cs []tclaim) {
	slices.SortFunc(cs, func(a, b tclaim) int { return a.key.Compare(b.key) })
	for len(cs) > 0 {
		site := prefix.Unit(cs[0].key.Addr())
		var mine []tclaim
		cs = slices.DeleteFunc(cs, func(c tclaim) bool {
			if !in(c.key, site) {
				return false
			}
			mine = append(mine, c)
			return true
		})
		mine = slices.DeleteFunc(mine, func(c tclaim) bool {
			x := w.holder(c.key)
			if x != nil {
				w.join(x, c)
			}
			return x != nil
		})
		n, parts := len(mine), false
		for _, x := range w.force() {
			if !x.pinned && in(x.p, site) {
				n += len(x.members)
				parts = parts || x.site.IsValid()
			}
		}
		switch {
		case len(mine) == 0:
		case n >= 17 && !parts:
			w.parts(now, site, mine, w.shields(now, site, mine), 0)
		default:
			for _, c := range mine {
				w.fill(now, &tban{p: c.key, members: map[netip.Prefix]tmember{}}, []tclaim{c})
			}
		}
	}
}

// parts makes the bans of a /64 around holes; they share their lifetime.
func (w *twin) parts(now int64, site netip.Prefix, cs []tclaim, holes []netip.Prefix, until int64) {
	var made []*tban
	level, knock := 0, int64(0)
	for _, c := range cs {
		level, until, knock = max(level, c.m.level), max(until, c.until), max(knock, c.knock)
	}
	for _, x := range w.force() {
		if in(x.p, site) && !x.pinned {
			level, until, knock = max(level, x.level), max(until, x.until), max(knock, x.knock)
		}
	}
	for _, p := range prefix.Subtract(site, holes) {
		if w.holder(p) == nil {
			x := &tban{p: p, site: site, members: map[netip.Prefix]tmember{}}
			w.fill(now, x, cs)
			made = append(made, x)
		}
	}
	for _, x := range made {
		x.level, x.until, x.knock = level, until, knock
	}
}

func (w *twin) carve(now int64, holes []netip.Prefix) {
	w.tick(now)
	for _, x := range slices.Clone(w.bans) {
		if x.pinned && overlaps(holes, x.p) && w.allow.Overlaps(x.p) {
			w.cutPin(now, x, w.allow.All())
		}
	}
	w.around(now, holes)
	w.pinsRule(now)
}

func (w *twin) cutPin(now int64, x *tban, holes []netip.Prefix) {
	parts, how := prefix.Subtract(x.p, holes), Lifted
	if len(parts) > 0 {
		how = Carved
	}
	w.end(x, now, how, netip.Prefix{})
	for _, p := range parts {
		y := &tban{p: p, pinned: true, hidden: true, until: x.until, knock: x.knock, members: map[netip.Prefix]tmember{}}
		for k, m := range x.members {
			if in(k, p) {
				y.members[k], y.level = m, max(y.level, m.level)
			}
		}
		i := slices.IndexFunc(w.bans, func(z *tban) bool { return z.pinned && z.p == p })
		if i < 0 {
			w.bans = append(w.bans, y)
			continue
		}
		z := w.bans[i]
		z.until, z.level, z.knock = max(z.until, y.until), max(z.level, y.level), max(z.knock, y.knock)
		for k, m := range y.members {
			if old, ok := z.members[k]; !ok || m.since > old.since {
				z.members[k] = m
			}
		}
	}
}

func (w *twin) around(now int64, holes []netip.Prefix) {
	for _, x := range slices.Clone(w.bans) {
		if !slices.Contains(w.bans, x) || x.pinned || !overlaps(holes, x.p) {
			continue
		}
		switch {
		case x.site.IsValid():
			w.site(now, x.site)
		case isExact(x.p):
			if w.isSpared(now, x.p) {
				w.end(x, now, Lifted, netip.Prefix{})
			}
		}
	}
	for _, x := range slices.Clone(w.bans) {
		if slices.Contains(w.bans, x) && !x.pinned && overlaps(holes, x.p) && !x.site.IsValid() && !isExact(x.p) {
			w.resolve(now, w.bucket(x.p), nil)
		}
	}
}

func (w *twin) site(now int64, site netip.Prefix) {
	var cs []tclaim
	var old []*tban
	vs := w.shields(now, site, nil)
	var knock, until int64
	level := 0
	for _, x := range slices.Clone(w.bans) {
		if x.site != site {
			continue
		}
		old = append(old, x)
		level, knock, until = max(level, x.level), max(knock, x.knock), x.until
		for k, m := range x.members {
			if !w.isSpared(now, k) {
				cs = append(cs, tclaim{k, m, x.until, x.knock})
			}
		}
	}
	parts := prefix.Subtract(site, vs)
	if len(cs) == 0 {
		parts = nil
	}
	for _, x := range old {
		if !slices.Contains(parts, x.p) {
			how := Lifted
			if overlaps(parts, x.p) {
				how = Carved
			}
			w.end(x, now, how, netip.Prefix{})
		}
	}
	for _, p := range parts {
		if w.holder(p) == nil {
			x := &tban{p: p, site: site, members: map[netip.Prefix]tmember{}}
			w.fill(now, x, cs)
			x.level, x.until, x.knock = level, until, knock
		}
	}
}

func (w *twin) ban(now int64, p netip.Prefix, until int64) {
	w.tick(now)
	parts := prefix.Subtract(p, w.allow.All())
	if len(parts) > 0 {
		maps.DeleteFunc(w.spared, func(q netip.Prefix, _ int64) bool { return in(q, p) })
	}
	for _, q := range parts {
		i := slices.IndexFunc(w.bans, func(x *tban) bool { return x.pinned && x.p == q })
		if i >= 0 {
			w.bans[i].until = until
			continue
		}
		w.bans = append(w.bans, &tban{p: q, pinned: true, hidden: true, until: until, members: map[netip.Prefix]tmember{}})
	}
	w.pinsRule(now)
}

func (w *twin) unban(now int64, p netip.Prefix) {
	w.tick(now)
	w.strike(p)
	maps.DeleteFunc(w.past, func(k netip.Prefix, _ mark) bool { return in(k, p) })
	if isExact(p) {
		k := prefix.Unit(p.Addr())
		for _, u := range w.parole {
			delete(u.members, k)
		}
		w.parole = slices.DeleteFunc(w.parole, func(u *tparole) bool { return len(u.members) == 0 })
		delete(w.past, k)
	}
	w.spared[p] = now + w.o.Parole
	for _, x := range slices.Clone(w.bans) {
		if x.pinned && x.p.Overlaps(p) {
			w.cutPin(now, x, []netip.Prefix{p})
		}
	}
	w.around(now, []netip.Prefix{p})
	w.pinsRule(now)
}
