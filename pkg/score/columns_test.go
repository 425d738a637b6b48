package score

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/wire"
)

// This file shows a Table and a Good as plain values, and writes such values
// as a state by itself, so that tests can compare states and write those that
// Encode never would.

// State is all that a Table knows, in columns. The clients come sorted: first
// IPv4 addresses, then IPv6 /64s, then IPv6 addresses; the columns after
// Events have one entry for each event, client by client, each client's by
// time.
type State struct {
	Classes      []ClassState
	Mark, Now    uint32 // Unix seconds
	Swept        uint32
	Hand, Broom  int
	Evicted      uint64
	Keys4        []uint32
	Keys6        []uint64
	Keys16       [][2]uint64
	Events       []uint16 // of each client
	Time         []uint32 // Unix seconds
	Value        []uint32
	Class, Count []uint16
}

// ClassState is a Class by the names of its windows.
type ClassState struct {
	Rules   []string
	Weights []WeightState
}

// WeightState is a Weight by the name of its window.
type WeightState struct {
	Window   string
	Units    int
	Distinct bool
}

// State returns a copy of all that the Table knows.
func (t *Table) State() State {
	s := State{
		Mark: t.mark, Now: t.now, Swept: t.swept, Hand: t.hand, Broom: t.broom, Evicted: t.evicted,
	}
	for _, c := range t.classes {
		k := ClassState{Rules: slices.Clone(c.Rules)}
		for _, w := range c.Weights {
			k.Weights = append(k.Weights, WeightState{t.o.Windows[w.Window].Name, w.Units, w.Distinct})
		}
		s.Classes = append(s.Classes, k)
	}
	for _, k := range t.v4.keys(func(a, b key4) int { return cmp.Compare(a, b) }) {
		s.Keys4 = append(s.Keys4, uint32(k))
		s.add(t.recsOf(t.v4.get(k)))
	}
	for _, k := range t.v6.keys(func(a, b key6) int { return cmp.Compare(a, b) }) {
		s.Keys6 = append(s.Keys6, uint64(k))
		s.add(t.recsOf(t.v6.get(k)))
	}
	for _, k := range t.exact.keys(func(a, b key16) int { return slices.Compare(a[:], b[:]) }) {
		s.Keys16 = append(s.Keys16, k)
		s.add(t.recsOf(t.exact.get(k)))
	}
	return s
}

func (s *State) add(recs []rec) {
	s.Events = append(s.Events, uint16(len(recs)))
	for _, r := range recs {
		s.Time = append(s.Time, r.t)
		s.Value = append(s.Value, r.value)
		s.Class = append(s.Class, r.class)
		s.Count = append(s.Count, r.n)
	}
}

// keys are all clients of the store, sorted.
func (s *store[K]) keys(compare func(a, b K) int) []K {
	out := make([]K, 0, s.n)
	for i := range s.segs {
		for j := range s.segs[i].groups {
			b := &s.segs[i].groups[j]
			out = append(out, b.keys[:b.len()]...)
		}
	}
	slices.SortFunc(out, compare)
	return out
}

var errColumns = errors.New("columns differ in length")

// Restore decodes s as an Encode that does not look would have written it.
func (t *Table) Restore(s State) error {
	b, err := s.bytes(t.v4.netBits, t.v6.netBits)
	if err != nil {
		return err
	}
	return t.Decode(wire.NewReader(bytes.NewReader(b)))
}

func (s *State) bytes(bits4, bits6 int) ([]byte, error) {
	events := 0
	for _, n := range s.Events {
		events += int(n)
	}
	if len(s.Events) != len(s.Keys4)+len(s.Keys6)+len(s.Keys16) ||
		events != len(s.Time) || events != len(s.Value) || events != len(s.Class) || events != len(s.Count) {
		return nil, errColumns
	}
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	w.Uint(uint64(len(s.Classes)))
	for _, c := range s.Classes {
		w.Uint(uint64(len(c.Rules)))
		for _, r := range c.Rules {
			w.String(r)
		}
		w.Uint(uint64(len(c.Weights)))
		for _, x := range c.Weights {
			w.String(x.Window)
			w.Uint(uint64(x.Units))
			w.Bool(x.Distinct)
		}
	}
	w.Fixed32(s.Mark)
	w.Fixed32(s.Now)
	w.Fixed32(s.Swept)
	w.Uint(uint64(s.Hand))
	w.Uint(uint64(s.Broom))
	w.Uint(s.Evicted)
	client, at := 0, 0
	writeColumn(w, s, bits4, len(s.Keys4), func(i int) key4 { return key4(s.Keys4[i]) }, &client, &at)
	writeColumn(w, s, bits6, len(s.Keys6), func(i int) key6 { return key6(s.Keys6[i]) }, &client, &at)
	writeColumn(w, s, bits6, len(s.Keys16), func(i int) key16 { return s.Keys16[i] }, &client, &at)
	err := w.Close()
	return b.Bytes(), err
}

func writeColumn[K key](w *wire.Writer, s *State, bits, n int, key func(int) K, client, at *int) {
	type entry struct {
		k        K
		from, to int
	}
	segs := map[int][]entry{}
	for i := range n {
		k, from := key(i), *at
		*at += int(s.Events[*client])
		*client++
		seg := int(mix(k.net(bits)) >> 52)
		segs[seg] = append(segs[seg], entry{k, from, *at})
	}
	w.Uint(uint64(bits))
	last := -1
	for _, seg := range slices.Sorted(maps.Keys(segs)) {
		w.Uint(uint64(seg - last))
		last = seg
		es := segs[seg]
		slices.SortStableFunc(es, func(a, b entry) int {
			ah, al := a.k.words()
			bh, bl := b.k.words()
			return cmp.Or(cmp.Compare(uint32(a.k.hash()), uint32(b.k.hash())), cmp.Compare(ah, bh), cmp.Compare(al, bl))
		})
		w.Uint(uint64(len(es)))
		for _, e := range es {
			switch k := any(e.k).(type) {
			case key4:
				w.Fixed32(uint32(k))
			case key6:
				w.Fixed64(uint64(k))
			case key16:
				w.Fixed64(k[0])
				w.Fixed64(k[1])
			}
			w.Uint(uint64(e.to - e.from))
			for i := e.from; i < e.to; i++ {
				w.Uint(uint64(s.Mark - s.Time[i]))
				w.Fixed32(s.Value[i])
				w.Uint(uint64(s.Class[i]))
				w.Uint(uint64(s.Count[i]))
			}
		}
	}
	w.Uint(0)
}

// GoodState is all that a Good knows. Everything in it is sorted.
type GoodState struct {
	Mark     int64 // Unix seconds
	Now      int64 // the same, unless the clock was set back
	Behind   int64
	Clients  []GoodClient
	Accounts []GoodAccount
	Fresh    []netip.Addr
	// Offenders without a Client: today's and yesterday's.
	Bad4    [2][]uint32
	Bad6    [2][][2]uint64
	Evicted uint64
}

// GoodClient is what is known of one client.
type GoodClient struct {
	Addr             netip.Addr
	Old              uint32 // evidence from before yesterday, decayed, in 1/65536
	Yesterday, Today uint8
	Unknown          bool // a login of an unknown user has counted today
	Days             uint16
	Last, Off        uint32 // day of the last mail and of the last offence
	Since            int64  // when it became known good, Unix seconds; 0: it is not
	Buckets, Counts  []uint32
}

// GoodAccount is where a SASL user has logged in from.
type GoodAccount struct {
	User   uint64
	Logins []GoodLogin
}

// GoodLogin is one address of a GoodAccount.
type GoodLogin struct {
	Addr        netip.Addr
	Last, Stale uint32 // last login and last counted failure, Unix seconds
	Maker       bool   // logins from there are good evidence
}

// State returns a copy of all that the Good knows.
func (g *Good) State() GoodState {
	s := GoodState{Mark: g.mark, Now: g.now, Behind: g.behind, Evicted: g.evicted}
	for a := range g.order.all {
		r := g.clients.get(a)
		c := GoodClient{
			Addr: a, Old: r.old, Yesterday: r.yesterday, Today: r.today, Unknown: r.unknown,
			Days: r.days, Last: r.last, Off: r.off, Since: int64(r.since),
		}
		for i := range r.volume.len() {
			b := r.volume.bucket(i)
			c.Buckets, c.Counts = append(c.Buckets, b.at), append(c.Counts, b.n)
		}
		s.Clients = append(s.Clients, c)
	}
	for _, user := range slices.Sorted(maps.Keys(g.accounts)) {
		a := GoodAccount{User: user}
		for _, l := range g.accounts[user].logins {
			a.Logins = append(a.Logins, GoodLogin{l.addr.addr(), l.last, l.stale, l.maker})
		}
		s.Accounts = append(s.Accounts, a)
	}
	s.Fresh = slices.Clone(g.fresh)
	slices.SortFunc(s.Fresh, netip.Addr.Compare)
	s.Fresh = slices.Compact(s.Fresh)
	for i := range g.bad {
		for _, k := range g.bad[i].v4.sorted(func(a, b key4) int { return cmp.Compare(a, b) }) {
			s.Bad4[i] = append(s.Bad4[i], uint32(k))
		}
		for _, k := range g.bad[i].v6.sorted(func(a, b key16) int { return slices.Compare(a[:], b[:]) }) {
			s.Bad6[i] = append(s.Bad6[i], k)
		}
	}
	return s
}

// sorted are the members.
func (s *keyset[K]) sorted(compare func(a, b K) int) []K {
	var none K
	var out []K
	for _, k := range s.slots {
		if k != none {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compare)
	return out
}

// Restore decodes s as an Encode that does not look would have written it.
func (g *Good) Restore(s GoodState) error {
	b, err := s.bytes()
	if err != nil {
		return err
	}
	return g.Decode(wire.NewReader(bytes.NewReader(b)))
}

func (s *GoodState) bytes() ([]byte, error) {
	if s.Mark < 0 || s.Mark > 1<<32-1 {
		return nil, errors.New("time out of range")
	}
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	w.Fixed32(uint32(s.Mark))
	w.Fixed32(uint32(s.Now))
	w.Fixed32(uint32(s.Behind))
	w.Uint(s.Evicted)
	w.Uint(uint64(len(s.Clients)))
	for _, c := range s.Clients {
		if len(c.Buckets) != len(c.Counts) {
			return nil, errColumns
		}
		w.Addr(c.Addr)
		for _, x := range []uint64{uint64(c.Old), uint64(c.Yesterday), uint64(c.Today)} {
			w.Uint(x)
		}
		w.Bool(c.Unknown)
		for _, x := range []uint64{uint64(c.Days), uint64(c.Last), uint64(c.Off)} {
			w.Uint(x)
		}
		w.Int(c.Since)
		w.Uint(uint64(len(c.Buckets)))
		for i := range c.Buckets {
			w.Uint(uint64(c.Buckets[i]))
			w.Uint(uint64(c.Counts[i]))
		}
	}
	w.Uint(uint64(len(s.Accounts)))
	for _, a := range s.Accounts {
		w.Fixed64(a.User)
		w.Uint(uint64(len(a.Logins)))
		for _, l := range a.Logins {
			w.Addr(l.Addr)
			w.Fixed32(l.Last)
			w.Fixed32(l.Stale)
			w.Bool(l.Maker)
		}
	}
	w.Uint(uint64(len(s.Fresh)))
	for _, a := range s.Fresh {
		w.Addr(a)
	}
	for i := range s.Bad4 {
		w.Uint(uint64(len(s.Bad4[i])))
		for _, k := range byHash(s.Bad4[i], func(k uint32) uint64 { return key4(k).hash() }) {
			w.Fixed32(k)
		}
		w.Uint(uint64(len(s.Bad6[i])))
		for _, k := range byHash(s.Bad6[i], func(k [2]uint64) uint64 { return key16(k).hash() }) {
			w.Fixed64(k[0])
			w.Fixed64(k[1])
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// byHash are keys, which are sorted, in the order of their hashes.
func byHash[T any](keys []T, hash func(T) uint64) []T {
	out := slices.Clone(keys)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(uint32(hash(a)), uint32(hash(b))) })
	return out
}
