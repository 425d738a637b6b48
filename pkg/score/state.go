package score

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// State is all that a Table knows, in columns. The clients come sorted: first
// IPv4 addresses, then IPv6 /64s, then IPv6 addresses; the columns after
// Events have one entry for each event, client by client, each client's by
// time.
type State struct {
	Classes      []ClassState
	Mark, Swept  uint32 // Unix seconds
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
		Mark: t.mark, Swept: t.swept, Hand: t.hand, Broom: t.broom, Evicted: t.evicted,
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

func (s *State) check() error {
	events := 0
	for _, n := range s.Events {
		if n == 0 || n > maxRecs {
			return fmt.Errorf("a client with %d events", n)
		}
		events += int(n)
	}
	switch {
	case len(s.Events) != len(s.Keys4)+len(s.Keys6)+len(s.Keys16):
		return errors.New("clients and their events differ in number")
	case events != len(s.Time) || events != len(s.Value) || events != len(s.Class) || events != len(s.Count):
		return errors.New("columns differ in length")
	case s.Hand < 0 || s.Hand >= 3*segments || s.Broom < 0 || s.Broom >= 3*segments:
		return errors.New("position outside of the table")
	case s.Swept > s.Mark:
		return errors.New("swept in the future")
	case len(s.Classes) > 1<<16:
		return errors.New("too many classes")
	}
	if !ascending(s.Keys4, cmp.Compare) || !ascending(s.Keys6, cmp.Compare) ||
		!ascending(s.Keys16, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }) {
		return errors.New("clients are not sorted")
	}
	for i := range s.Time {
		if int(s.Class[i]) >= len(s.Classes) || s.Count[i] == 0 || s.Time[i] > s.Mark {
			return errors.New("impossible event")
		}
	}
	at := 0
	for _, n := range s.Events {
		if !slices.IsSorted(s.Time[at : at+int(n)]) {
			return errors.New("events are not sorted")
		}
		at += int(n)
	}
	return nil
}

func ascending[T any](s []T, compare func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			return false
		}
	}
	return true
}

// Restore puts the Table in a state that State returned; what it knew is
// lost. With the same Options it behaves as the one that was asked. Else
// windows that no longer exist are dropped, the others are found by name. An
// error leaves the Table as it was.
func (t *Table) Restore(s State) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("score state: %w", err)
	}
	t.v4.reset()
	t.v6.reset()
	t.exact.reset()
	t.slab = slab{}
	for w := range t.sketches {
		t.sketches[w] = sketch{start: int64(s.Mark)}
	}
	t.mark, t.swept, t.evicted = s.Mark, s.Swept, s.Evicted

	ids := make([]uint16, len(s.Classes))
	for i, c := range s.Classes {
		k := Class{Rules: c.Rules}
		for _, w := range c.Weights {
			if at := slices.IndexFunc(t.o.Windows, func(o Window) bool { return o.Name == w.Window }); at >= 0 {
				k.Weights = append(k.Weights, Weight{at, w.Units, w.Distinct})
			}
		}
		ids[i] = uint16(t.Class(k))
	}
	at, client := 0, 0
	next := func() (recs []rec) {
		for range s.Events[client] {
			if c := ids[s.Class[at]]; c != 0 {
				recs = append(recs, rec{s.Time[at], s.Value[at], c, s.Count[at]})
			}
			at++
		}
		client++
		return recs
	}
	for _, k := range s.Keys4 {
		restore(t, &t.v4, key4(k), next())
	}
	for _, k := range s.Keys6 {
		restore(t, &t.v6, key6(k), next())
	}
	for _, k := range s.Keys16 {
		restore(t, &t.exact, key16(k), next())
	}
	t.hand, t.broom = s.Hand, s.Broom
	return nil
}

func restore[K key](t *Table, s *store[K], k K, recs []rec) {
	nw := len(t.o.Windows)
	for i, r := range recs {
		switch held := s.get(k); {
		case held != nil:
			t.put(held, r)
		case i == 0:
			if t.Len() >= t.o.MaxClients {
				t.evict()
			}
			if !s.insert(k, s.spot(k), r) {
				thin(t, s, k)
			}
		}
		for w := range t.o.Windows {
			x := t.weights[int(r.class)*nw+w]
			if bits := s.widths[w]; bits != 0 && x.units != 0 {
				t.sketches[w].add(mix(k.net(bits)), int(x.units)*int(r.n), t.o.Windows[w].Limit*Unit)
			}
		}
	}
}

func (s *store[K]) reset() { s.segs, s.n = nil, 0 }
