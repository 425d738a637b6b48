package score

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// Encode writes all that the Good knows, straight from its memory. The same
// state gives the same bytes.
func (g *Good) Encode(w *wire.Writer) {
	w.Fixed32(uint32(g.mark))
	w.Fixed32(uint32(g.now))
	w.Fixed32(uint32(g.behind))
	w.Uint(g.evicted)
	w.Uint(uint64(g.clients.len()))
	for a := range g.order.all {
		w.Addr(a)
		g.clients.get(a).encode(w)
	}
	w.Uint(uint64(len(g.accounts)))
	for _, user := range slices.Sorted(maps.Keys(g.accounts)) {
		w.Fixed64(user)
		g.accounts[user].encode(w)
	}
	slices.SortFunc(g.fresh, netip.Addr.Compare)
	g.fresh = slices.Compact(g.fresh) // as Fresh will do
	w.Uint(uint64(len(g.fresh)))
	for _, a := range g.fresh {
		w.Addr(a)
	}
	for i := range g.bad {
		encodeKeys(&g.bad[i].v4, w)
		encodeKeys(&g.bad[i].v6, w)
	}
}

func (r *record) encode(w *wire.Writer) {
	w.Uint(uint64(r.old))
	w.Uint(uint64(r.yesterday))
	w.Uint(uint64(r.today))
	w.Bool(r.unknown)
	w.Uint(uint64(r.days))
	w.Uint(uint64(r.last))
	w.Uint(uint64(r.off))
	w.Int(int64(r.since))
	w.Uint(uint64(r.volume.len()))
	for i := range r.volume.len() {
		b := r.volume.bucket(i)
		w.Uint(uint64(b.at))
		w.Uint(uint64(b.n))
	}
}

func (a *account) encode(w *wire.Writer) {
	w.Uint(uint64(len(a.logins)))
	for _, l := range a.logins {
		w.Addr(l.addr.addr())
		w.Fixed32(l.last)
		w.Fixed32(l.stale)
		w.Bool(l.maker)
	}
}

func encodeKeys[K key](s *keyset[K], w *wire.Writer) {
	w.Uint(uint64(s.n))
	s.each(func(k K) { k.encode(w) })
}

// Decode puts the Good in a state that Encode wrote; what it knew is lost, and
// it behaves as the one that was encoded. Call it after the Tables that use it
// are made. An error leaves the Good as it was.
func (g *Good) Decode(r *wire.Reader) error {
	n := NewGood(g.max)
	n.keep = g.keep
	n.mark, n.now, n.behind = int64(r.Fixed32()), int64(r.Fixed32()), int64(r.Fixed32())
	if n.now > n.mark || n.behind > n.now {
		r.Fail(errors.New("a clock that was set back to the future"))
	}
	n.day = n.mark / daySecs
	n.evicted = r.Uint()
	n.decodeClients(r)
	n.decodeAccounts(r)
	for range r.Len(1 << 31) {
		a := decodeAddr(r)
		if r.Err() != nil {
			break
		}
		n.fresh = append(n.fresh, a)
	}
	blamed := n.bad // those whose records there was no room for
	n.bad = [2]offenders{}
	for i := range n.bad {
		n.evicted += decodeKeys(&n.bad[i].v4, r, key4.decode, n.max)
		n.evicted += decodeKeys(&n.bad[i].v6, r, key16.decode, n.max)
		blamed[i].v4.each(func(k key4) { n.blame(k.prefix().Addr(), i) })
		blamed[i].v6.each(func(k key16) { n.blame(k.addr(), i) })
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("state of good clients: %w", err)
	}
	*g = *n
	return nil
}

func (g *Good) decodeClients(r *wire.Reader) {
	fresh := g.fresh
	var last netip.Addr
	for range r.Len(1 << 31) {
		a := decodeAddr(r)
		if a.Compare(last) <= 0 {
			r.Fail(errors.New("clients are not sorted"))
		}
		last = a
		c, since := g.decodeRecord(r)
		if r.Err() != nil {
			return
		}
		if g.clients.len() >= g.max {
			g.evict()
		}
		g.clients.put(a, c)
		g.order.insert(a)
		g.judge(a, c)
		if c.known {
			c.since = clampTime(since)
		}
	}
	g.fresh = fresh // they have been so for long
}

func (g *Good) decodeRecord(r *wire.Reader) (c *record, since int64) {
	c = &record{
		old: uint32(r.Upto(1 << 24)), yesterday: uint8(r.Upto(dayMax)), today: uint8(r.Upto(dayMax)),
		unknown: r.Bool(), days: uint16(r.Upto(1<<16 - 2)), last: uint32(r.Upto(uint64(g.day))), off: uint32(r.Upto(uint64(g.day))),
	}
	since = r.Int()
	last := int64(-1)
	for range r.Len(1 << 24) {
		b := bucket{uint32(r.Upto(1<<32 - 1)), uint32(r.Upto(1 << 31))}
		if int64(b.at) <= last {
			r.Fail(errors.New("accepted messages are not sorted"))
		}
		if r.Err() != nil {
			break
		}
		last = int64(b.at)
		if b.n > 0 {
			c.volume.push(b)
		}
	}
	return c, since
}

func (g *Good) decodeAccounts(r *wire.Reader) {
	last := uint64(0)
	for i := range r.Len(1 << 31) {
		user := r.Fixed64()
		if i > 0 && user <= last {
			r.Fail(errors.New("accounts are not sorted"))
		}
		last = user
		a := &account{}
		for range r.Len(maxLogins) {
			l := login{addrKey16(decodeAddr(r)), r.Fixed32(), r.Fixed32(), r.Bool()}
			if a.find(l.addr) >= 0 {
				r.Fail(errors.New("an address twice in an account"))
			}
			if l.maker {
				a.makers++
			}
			a.logins = append(a.logins, l)
		}
		if a.makers > maxMakers {
			r.Fail(errors.New("too many addresses in an account"))
		}
		if r.Err() != nil {
			return
		}
		if len(g.accounts) < g.max {
			g.accounts[user] = a
		}
	}
}

// decodeKeys fills an empty set. When there are more members than limit, it
// takes so many of them, from the whole range of hashes, and returns how many
// it has left out.
func decodeKeys[K key](s *keyset[K], r *wire.Reader, next func(K, *wire.Reader) K, limit int) (out uint64) {
	n := r.Len(1 << 31)
	if n == 0 || r.Err() != nil {
		return 0
	}
	keep := min(n, limit)
	s.slots = make([]K, max(64, keep*3/2)) // all at once: to grow in the order of hashes makes long runs
	var none K
	var before order[K]
	for i := range n {
		k := next(none, r)
		if k == none || !before.precedes(k, k.hash()) {
			r.Fail(errors.New("offenders are not sorted"))
		}
		if r.Err() != nil {
			return out
		}
		if i*keep/n == (i+1)*keep/n {
			out++
			continue
		}
		s.add(k)
	}
	return out
}

// decodeAddr reads an address as it is kept.
func decodeAddr(r *wire.Reader) netip.Addr {
	a := r.Addr()
	if !a.IsValid() || a != plain(a) {
		r.Fail(errors.New("invalid address"))
	}
	return a
}
