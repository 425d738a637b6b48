package score

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/postmoat/postmoat/pkg/wire"
)

func TestStateRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := newScenario(r, true)
	s.o.Windows[0].Limit = 10_000 // keeps much
	fill := func() *Table {
		r := rand.New(rand.NewPCG(5, 6))
		table := NewTable(s.o, nil)
		var ids []ClassID
		for _, c := range s.classes {
			ids = append(ids, table.Class(c))
		}
		for i := range 3000 {
			o := s.keys[r.IntN(len(s.keys))]
			o.Time, o.Class, o.Value = epoch+int64(i/10), ids[r.IntN(len(ids))], uint64(r.IntN(5))
			table.Add(o)
		}
		table.Sweep(epoch + 300)
		return table
	}
	a := fill()
	was := a.State()
	if len(was.Time) < 50 || len(was.Keys4) == 0 || len(was.Keys6) == 0 || len(was.Keys16) == 0 {
		t.Fatalf("too little to test: %d events", len(was.Time))
	}
	if !reflect.DeepEqual(was, fill().State()) {
		t.Error("the same calls give another state")
	}
	b := NewTable(s.o, nil)
	move(t, a, b)
	if !reflect.DeepEqual(b.State(), was) {
		t.Error("the restored state differs")
	}
	// A table that is in use takes the state as well.
	c := fill()
	c.Add(offence(epoch+400, "192.0.2.77", 1))
	if err := c.Restore(was); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.State(), was) {
		t.Error("the state restored over another differs")
	}
}

// TestStateEvictsAlike: a full table evicts the same clients after a restart.
func TestStateEvictsAlike(t *testing.T) {
	a, c := simple(3000, defaults()...)
	r := rand.New(rand.NewPCG(5, 7))
	step := func(tables ...*Table) {
		o := Offence{Time: epoch, Key: netip.PrefixFrom(host4(r.Uint32N(20_000)*7919), 32), Class: c}
		if r.IntN(3) == 0 {
			o.Key = netip.PrefixFrom(host6(0x20010db8_00000000+r.Uint64N(2000), 0), 64)
		}
		for _, x := range tables {
			x.Add(o)
		}
	}
	for range 10_000 {
		step(a)
	}
	b, _ := simple(3000, defaults()...)
	move(t, a, b)
	for range 10_000 {
		step(a, b)
	}
	if a.Evicted() < 1000 || !reflect.DeepEqual(a.State(), b.State()) {
		t.Errorf("%d evicted, %d after a restart", a.Evicted(), b.Evicted())
	}
}

// TestRestoreOtherWindows: evidence follows its window by name.
func TestRestoreOtherWindows(t *testing.T) {
	old := NewTable(Options{Windows: []Window{{Name: "gone", Span: 600, Limit: 9}, {Name: "kept", Span: 600, Limit: 9}}}, nil)
	both := old.Class(Class{Rules: []string{"a"}, Weights: []Weight{{0, Unit, false}, {1, Unit, false}}})
	only := old.Class(Class{Rules: []string{"b"}, Weights: []Weight{{0, Unit, false}}})
	for i := range int64(4) {
		old.Add(offence(epoch+i, "192.0.2.1", both))
		old.Add(offence(epoch+i, "192.0.2.1", only))
		old.Add(offence(epoch+i, "192.0.2.2", only))
	}
	table := NewTable(Options{Windows: []Window{{Name: "new", Span: 60, Limit: 1}, {Name: "x", Span: 60, Limit: 1}, {Name: "kept", Span: 600, Limit: 6}}}, nil)
	if err := table.Restore(old.State()); err != nil {
		t.Fatal(err)
	}
	if table.Len() != 1 {
		t.Errorf("%d clients held, want 1", table.Len())
	}
	c := table.Class(Class{Rules: []string{"c"}, Weights: []Weight{{2, 2 * Unit, false}}})
	got := table.Add(offence(epoch+9, "192.0.2.1", c))
	want := []Fired{{
		Window: 2, Key: netip.MustParsePrefix("192.0.2.1/32"), Time: epoch + 9, First: epoch,
		Units: 24, Limit: 24, Events: 5, Rules: []RuleCount{{"a", 4}, {"c", 1}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRestoreRefuses(t *testing.T) {
	table, c := simple(10, Window{Name: "a", Span: 600, Limit: 9})
	table.Add(offence(epoch, "192.0.2.1", c))
	was := table.State()
	for name, change := range map[string]func(*State){
		"no events":   func(s *State) { s.Events[0] = 0 },
		"many events": func(s *State) { s.Events[0] = 1<<16 - 1 },
		"class":       func(s *State) { s.Class[0] = 9 },
		"copies":      func(s *State) { s.Count[0] = 0 },
		"future":      func(s *State) { s.Mark, s.Now = s.Mark-1, s.Now-1 },
		"ahead":       func(s *State) { s.Now++ },
		"swept":       func(s *State) { s.Swept = s.Now + 1 },
		"hand":        func(s *State) { s.Hand = 3 * segments },
		"broom":       func(s *State) { s.Broom = -1 },
		"twice": func(s *State) {
			s.Keys4 = append(s.Keys4, s.Keys4[0])
			s.Events = append(s.Events, 1)
			s.Time = append(s.Time, s.Time[0])
			s.Value = append(s.Value, 0)
			s.Class = append(s.Class, 1)
			s.Count = append(s.Count, 1)
		},
		"order": func(s *State) {
			s.Events[0] = 2
			s.Time = append(s.Time, s.Time[0]-1)
			s.Value = append(s.Value, 0)
			s.Class = append(s.Class, 1)
			s.Count = append(s.Count, 1)
		},
	} {
		s := table.State()
		change(&s)
		if err := table.Restore(s); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !reflect.DeepEqual(table.State(), was) {
			t.Errorf("%s: the table has changed", name)
		}
	}
}

// TestDecodeRefuses: what is cut off, or not where it belongs, is an error.
func TestDecodeRefuses(t *testing.T) {
	a, c := simple(1000, defaults()...)
	for i := range uint32(300) {
		a.Add(offence(epoch+int64(i), host4(i*7919).String(), c))
	}
	was := encoded(t, a)
	for n := range len(was) - 4 {
		b, _ := simple(1000, defaults()...)
		if err := b.Decode(wire.NewReader(bytes.NewReader(was[:n]))); err == nil || b.Len() != 0 {
			t.Fatalf("%d of %d bytes: %d clients, error %v", n, len(was), b.Len(), err)
		}
	}
	s := a.State()
	for name, bits := range map[string]int{"elsewhere": 24, "by other networks": 20} {
		b, err := s.bytes(bits, 56)
		if err != nil {
			t.Fatal(err)
		}
		if bits == 24 { // a client moves to another segment
			i := bytes.Index(b, binary.LittleEndian.AppendUint32(nil, s.Keys4[9]))
			b[i+3] ^= 1
		}
		again, _ := simple(1000, defaults()...)
		err = again.Decode(wire.NewReader(bytes.NewReader(b)))
		if bits == 24 && err == nil {
			t.Errorf("%s: no error", name)
		}
		if bits != 24 && (err != nil || !reflect.DeepEqual(again.State(), s)) {
			t.Errorf("%s: another state (%v)", name, err)
		}
	}
}

// TestDecodeFewer: with room for fewer, those that fit are kept.
func TestDecodeFewer(t *testing.T) {
	g := NewGood(10_000)
	for i := range uint32(9000) {
		g.Offended(host4(i*7919+1), epoch)
		g.Offended(host6(uint64(i), 1), epoch)
		g.Message(host4(i*104729+1), epoch, 1)
	}
	small := NewGood(500)
	if err := small.Decode(wire.NewReader(bytes.NewReader(encoded(t, g)))); err != nil {
		t.Fatal(err)
	}
	if small.Len() > 500 || small.Len() < 400 || small.bad[0].v4.n != 500 || small.bad[0].v6.n != 500 {
		t.Errorf("%d clients, %d and %d offenders", small.Len(), small.bad[0].v4.n, small.bad[0].v6.n)
	}
	move(t, small, NewGood(500))
}

// TestDecodeBlames: whose record is left out for lack of room stays an offender.
func TestDecodeBlames(t *testing.T) {
	g, small := NewGood(1000), NewGood(100)
	g.keepVolume(daySecs)
	small.keepVolume(daySecs)
	for i := range uint32(108) {
		g.Message(host4(i+1), epoch, 1)
		g.Offended(host4(i+1), epoch)
		if i < 20 {
			g.Offended(host6(uint64(i), 1), epoch)
			g.Offended(host4(1<<20+i), epoch)
		}
	}
	if err := small.Decode(wire.NewReader(bytes.NewReader(encoded(t, g)))); err != nil {
		t.Fatal(err)
	}
	if n := small.Len(); n == 0 || n > 100 {
		t.Fatalf("%d records, room for 100", n)
	}
	for i := range uint32(108) {
		a, b, c := host4(i+1), host6(uint64(i), 1), host4(1<<20+i)
		if small.clients.get(a) == nil && small.offence(a) == 0 || i < 20 && (small.offence(b) == 0 || small.offence(c) == 0) {
			t.Errorf("%s, %s or %s is no offender any more", a, b, c)
		}
	}
	move(t, small, NewGood(100))
}

// FuzzDecode: no bytes make the Table or the Good panic, and what they take
// they write again.
func FuzzDecode(f *testing.F) {
	s := newScenario(rand.New(rand.NewPCG(5, 6)), true)
	g := NewGood(9)
	table := NewTable(s.o, g)
	var ids []ClassID
	for _, c := range s.classes {
		ids = append(ids, table.Class(c))
	}
	r := rand.New(rand.NewPCG(5, 8))
	for i := range 60 {
		o := s.offence(epoch+int64(i), ids)
		table.Add(o)
		g.Message(host4(r.Uint32N(9)), epoch+int64(i)*daySecs/20, 3)
		g.Login(host6(r.Uint64N(9), 1), epoch+int64(i)*daySecs/20, 3, 1)
		g.Offended(host4(r.Uint32N(30)), epoch+int64(i)*daySecs/20)
	}
	f.Add(encoded(f, table), encoded(f, g))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		g := NewGood(9)
		if g.Decode(wire.NewReader(bytes.NewReader(b))) == nil {
			move(t, g, NewGood(9))
		}
		o := s.o
		o.MaxClients = 50
		table := NewTable(o, g)
		if table.Decode(wire.NewReader(bytes.NewReader(a))) == nil {
			move(t, table, NewTable(o, g))
		}
		for i := range int64(10) {
			for id := range table.classes {
				table.Add(Offence{Time: int64(table.mark) + i, Key: netip.PrefixFrom(host4(uint32(i%3)), 32), Class: ClassID(id), Count: 3})
			}
		}
		table.Sweep(int64(table.mark) + 90)
	})
}

// FuzzRestore: no state makes the Table or the Good panic, then or later.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		b := make([]byte, 300)
		for i := range b {
			b[i] = byte(r.IntN(4)) // small numbers get far
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() uint64 {
			if len(data) == 0 {
				return 0
			}
			x := uint64(data[0])
			data = data[1:]
			if x > 250 && len(data) >= 8 {
				x = binary.LittleEndian.Uint64(data)
				data = data[8:]
			}
			return x
		}
		s := State{
			Mark: uint32(next()), Swept: uint32(next()), Hand: int(next()), Broom: int(next()), Evicted: next(),
		}
		s.Now = max(s.Mark, uint32(next()%3)) - uint32(next()%3)
		for range next() % 4 {
			c := ClassState{Rules: []string{"r"}}
			for range next() % 4 {
				c.Weights = append(c.Weights, WeightState{fmt.Sprint("w", next()%4), int(next()), next()%2 == 0})
			}
			s.Classes = append(s.Classes, c)
		}
		event := func() {
			s.Time = append(s.Time, uint32(next()))
			s.Value = append(s.Value, uint32(next()))
			s.Class = append(s.Class, uint16(next()))
			s.Count = append(s.Count, uint16(next()))
		}
		client := func() {
			n := next() % 5
			s.Events = append(s.Events, uint16(n))
			for range n {
				event()
			}
		}
		for range next() % 5 {
			s.Keys4 = append(s.Keys4, uint32(next()))
			client()
		}
		for range next() % 3 {
			s.Keys6 = append(s.Keys6, next())
			client()
		}
		for range next() % 3 {
			s.Keys16 = append(s.Keys16, [2]uint64{next(), next()})
			client()
		}
		g := NewGood(5)
		table := NewTable(Options{Late: 120, MaxClients: 6, Windows: []Window{
			{Name: "w0", Span: 10, Limit: 2, Share: 300},
			{Name: "w1", Span: 100, Limit: 2, Width4: 24, Width6: 48, Clients: 2},
			{Name: "w2", Span: 1000, Limit: 3},
		}}, g)
		gs := GoodState{Mark: int64(next()), Evicted: next()}
		gs.Now = gs.Mark
		for range next() % 8 {
			c := GoodClient{
				Addr: host4(uint32(next())), Old: uint32(next()), Yesterday: uint8(next()), Today: uint8(next()),
				Days: uint16(next()), Last: uint32(next()), Off: uint32(next()), Since: int64(next()),
			}
			for range next() % 3 {
				c.Buckets, c.Counts = append(c.Buckets, uint32(next())), append(c.Counts, uint32(next()))
			}
			gs.Clients = append(gs.Clients, c)
			gs.Accounts = append(gs.Accounts, GoodAccount{User: next(), Logins: []GoodLogin{{Addr: c.Addr, Last: uint32(next())}}})
		}
		gs.Bad4[0] = append(gs.Bad4[0], uint32(next()))
		if g.Restore(gs) == nil {
			if err := NewGood(5).Restore(g.State()); err != nil {
				t.Errorf("a restored Good gives a state that is refused: %v", err)
			}
		}
		if table.Restore(s) == nil {
			again := NewTable(table.o, nil)
			if err := again.Restore(table.State()); err != nil {
				t.Errorf("a restored Table gives a state that is refused: %v", err)
			}
		}
		c := table.Class(Class{Rules: []string{"n"}, Weights: []Weight{{0, 2, true}, {1, 3, false}, {2, 5, true}}})
		for range 20 {
			at := int64(s.Mark) + int64(next()%200) - 100
			a := host4(uint32(next()))
			table.Add(Offence{Time: at, Key: netip.PrefixFrom(a, 32), Client: a, Class: c, Value: next(), Count: uint32(next())})
			g.Message(a, at, int(next()))
			g.Login(a, at, int(next()), next())
			g.Offended(a, at)
			table.Standing(netip.PrefixFrom(a, 32), at)
			table.Near(3, at)
			table.Sweep(at)
		}
	})
}
