package score

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/wire"
)

const epoch = 1_784_000_000

func prefixes(ps ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range ps {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func offence(t int64, addr string, c ClassID) Offence {
	a := netip.MustParseAddr(addr)
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return Offence{Time: t, Key: p, Client: a, Class: c, Count: 1}
}

func defaults() []Window {
	return []Window{
		{Name: "burst", Span: 600, Limit: 10},
		{Name: "day", Span: 86400, Limit: 30, Share: 500},
		{Name: "spray", Span: 3600, Limit: 60, Share: 800, Width4: 24, Width6: 56, Clients: 8},
	}
}

// A scenario is a random set of windows, rules and clients.
type scenario struct {
	r       *rand.Rand
	o       Options
	classes []Class
	keys    []Offence // client and key
	mail    []netip.Addr
}

func newScenario(r *rand.Rand, wide bool) *scenario {
	s := &scenario{r: r}
	s.o.Late = []int64{0, 5, 120}[r.IntN(3)]
	n := 1 + r.IntN(4)
	for i := range n {
		w := Window{
			Name: fmt.Sprint("w", i), Span: []int64{1, 7, 60, 600, 5000}[r.IntN(5)], Limit: 1 + r.IntN(6),
		}
		if r.IntN(2) == 0 {
			w.Share = 1 + r.IntN(1000)
		}
		if wide && r.IntN(2) == 0 {
			w.Width4, w.Width6 = []int{0, 16, 24, 30}[r.IntN(4)], []int{0, 40, 56, 64}[r.IntN(4)]
			w.Limit *= 3
			w.Clients = r.IntN(5)
		}
		s.o.Windows = append(s.o.Windows, w)
	}
	for range 1 + r.IntN(5) {
		var c Class
		for range 1 + r.IntN(3) {
			c.Rules = append(c.Rules, fmt.Sprint("rule", r.IntN(6)))
		}
		slices.Sort(c.Rules)
		c.Rules = slices.Compact(c.Rules)
		for range 1 + r.IntN(n+1) {
			c.Weights = append(c.Weights, Weight{r.IntN(n), 1 + r.IntN(9), r.IntN(2) == 0})
		}
		// Which of two equally heavy weights is distinct is nobody's business.
		slices.SortFunc(c.Weights, func(a, b Weight) int { return a.Window - b.Window })
		c.Weights = slices.CompactFunc(c.Weights, func(a, b Weight) bool { return a.Window == b.Window })
		s.classes = append(s.classes, c)
	}
	for range 3 + r.IntN(25) {
		var o Offence
		if r.IntN(3) > 0 {
			o.Client = host4(0xc6336400 + uint32(r.IntN(3))<<8 + uint32(r.IntN(12)))
			o.Key = netip.PrefixFrom(o.Client, 32)
		} else {
			o.Client = host6(0x20010db8_00000000+uint64(r.IntN(2))<<8+uint64(r.IntN(10)), uint64(r.IntN(3)))
			o.Key, _ = o.Client.Prefix([]int{64, 64, 128}[r.IntN(3)])
		}
		s.keys = append(s.keys, o)
		if r.IntN(3) == 0 {
			s.mail = append(s.mail, o.Client)
		}
	}
	return s
}

func (s *scenario) offence(now int64, ids []ClassID) Offence {
	o := s.keys[s.r.IntN(len(s.keys))]
	o.Time = now - s.r.Int64N(s.o.Late+1)
	o.Class = ids[s.r.IntN(len(ids))]
	o.Value = uint64(s.r.IntN(4))
	o.Count = 1
	if s.r.IntN(8) == 0 {
		o.Count = uint32(s.r.IntN(30))
	}
	return o
}

// TestTwin feeds random streams to a Table and to its definition. At random
// points the Table is swept, or replaced by one restored from its state.
func TestTwin(t *testing.T) {
	rounds, firings, wides, good, heldBack, rewinds := 400, 0, 0, 0, 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		s := newScenario(r, true)
		g := NewGood(0)
		table := NewTable(s.o, g)
		w := &twin{o: s.o, good: g, events: map[netip.Prefix][]twinEvent{}, classes: make([]Class, 1)}
		// Accepted mail is forgotten by the time, which is not set back in both.
		shared := slices.ContainsFunc(s.o.Windows, func(w Window) bool { return w.Share > 0 })
		var ids []ClassID
		for _, c := range s.classes {
			id := table.Class(c)
			if int(id) == len(w.classes) {
				w.classes = append(w.classes, c)
			}
			ids = append(ids, id)
		}
		now := int64(epoch)
		for _, a := range s.mail {
			if r.IntN(3) == 0 { // known good
				g.Message(a, now-3*daySecs, 3)
				g.Message(a, now-2*daySecs, 3)
			}
		}
		for range 1000 {
			switch x := r.IntN(100); {
			case x < 60:
			case x < 99:
				now += r.Int64N(20)
			default:
				now += r.Int64N(3000)
			}
			if len(s.mail) > 0 && r.IntN(3) == 0 {
				m := twinMail{s.mail[r.IntN(len(s.mail))], now - r.Int64N(s.o.Late+1), 1 + r.IntN(5)}
				w.mail = append(w.mail, m)
				g.Message(m.c, m.t, m.n)
			}
			if len(s.mail) > 0 && r.IntN(150) == 0 { // known good no longer
				g.Offended(s.mail[r.IntN(len(s.mail))], now)
			}
			switch r.IntN(300) {
			case 0:
				table.Sweep(now)
				w.mark = max(w.mark, now)
			case 1:
				g2 := NewGood(0)
				t2 := NewTable(s.o, g2)
				move(t, g, g2)
				move(t, table, t2)
				table, g, w.good = t2, g2, g2
			}
			if !shared && r.IntN(100) == 0 {
				now -= r.Int64N([]int64{200, 10_000, 10_000_000}[r.IntN(3)])
				table.Rewind(now)
				w.rewind(now)
				rewinds++
			}
			o := s.offence(now, ids)
			got, want := table.Add(o), w.add(o)
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, %+v:\n got %+v\nwant %+v", seed, o, got, want)
			}
			for _, f := range got {
				firings++
				if f.Clients != nil {
					wides++
				}
				if f.Limit > s.o.Windows[f.Window].Limit*Unit {
					good++
				}
			}
			if len(w.events[o.Key]) > 100 {
				heldBack++
			}
		}
		if got, want := living(table), w.living(); got != want {
			t.Fatalf("seed %d: the table holds %d events that matter, its definition %d", seed, got, want)
		}
	}
	t.Logf("%d firings, %d of networks, %d of known good clients; %d times a client held more than 100 events", firings, wides, good, heldBack)
	if firings == 0 || wides == 0 || good == 0 || heldBack == 0 || rewinds == 0 {
		t.Error("the streams do not reach what they are to test")
	}
}

// living counts the events that can still matter.
func living(t *Table) int {
	n := 0
	s := t.State()
	for i := range s.Time {
		if t.alive(rec{t: s.Time[i], class: s.Class[i]}) {
			n++
		}
	}
	return n
}

func (w *twin) living() int {
	n := 0
	for _, es := range w.events {
		for _, e := range es {
			if e.t > w.mark-w.span(e.class)-w.o.Late {
				n++
			}
		}
	}
	return n
}

// A coder writes and reads its state: a Table or a Good.
type coder interface {
	Encode(*wire.Writer)
	Decode(*wire.Reader) error
}

func encoded(t testing.TB, c coder) []byte {
	t.Helper()
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	c.Encode(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// move gives the state of one to the other, and looks whether the other then
// writes the same.
func move(t testing.TB, from, to coder) {
	t.Helper()
	b := encoded(t, from)
	r := wire.NewReader(bytes.NewReader(b))
	if err := to.Decode(r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encoded(t, to), b) {
		t.Fatal("the state that was read is written otherwise")
	}
}

// TestShuffle: within the tolerated lateness the order of lines does not
// change which clients fire.
func TestShuffle(t *testing.T) {
	fired := 0
	for seed := range 300 {
		r := rand.New(rand.NewPCG(uint64(seed), 8))
		s := newScenario(r, false)
		s.o.Late = 120
		g := NewGood(0)
		var ids []ClassID
		first := NewTable(s.o, g)
		for _, c := range s.classes {
			ids = append(ids, first.Class(c))
		}
		// A single span of lateness, so that any order is within it; mail
		// before all of it.
		for _, a := range s.mail {
			g.Message(a, epoch, 1+r.IntN(10))
		}
		var stream []Offence
		for range 40 {
			o := s.offence(epoch+r.Int64N(120), ids)
			o.Time = epoch + r.Int64N(120)
			stream = append(stream, o)
		}
		want := who(first, stream)
		fired += len(want)
		for range 5 {
			table := NewTable(s.o, g)
			for _, c := range s.classes {
				table.Class(c)
			}
			r.Shuffle(len(stream), func(i, j int) { stream[i], stream[j] = stream[j], stream[i] })
			if got := who(table, stream); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %v fired, in another order %v", seed, want, got)
			}
		}
	}
	if fired == 0 {
		t.Error("nobody fired")
	}
}

// who fires, sorted.
func who(t *Table, stream []Offence) []netip.Prefix {
	var out []netip.Prefix
	for _, o := range stream {
		for _, f := range t.Add(o) {
			out = append(out, f.Key)
		}
	}
	slices.SortFunc(out, comparePrefix)
	return slices.Compact(out)
}
