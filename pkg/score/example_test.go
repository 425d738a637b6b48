package score

import (
	"net/netip"
	"reflect"
	"testing"
)

// TestAdd: the definitions of windows, weights and shares one by one.
func TestAdd(t *testing.T) {
	type at struct {
		t     int64
		addr  string
		value uint64
		count uint32
	}
	one := func(addr string, ts ...int64) []at {
		var out []at
		for _, t := range ts {
			out = append(out, at{t, addr, 0, 1})
		}
		return out
	}
	many := func(t int64, addrs ...string) []at {
		var out []at
		for _, a := range addrs {
			out = append(out, at{t, a, 0, 1})
		}
		return out
	}
	plain := Window{Name: "w", Span: 10, Limit: 3}
	wide := Window{Name: "w", Span: 10, Limit: 3, Width4: 24, Width6: 56, Clients: 3}
	for _, c := range []struct {
		name     string
		w        Window
		distinct bool
		in       []at
		fired    []int // which of in fire
	}{
		{"the third in the span", plain, false, one("192.0.2.1", 0, 5, 9), []int{2}},
		{"a span is open on the left", plain, false, one("192.0.2.1", 0, 5, 10, 14), []int{3}},
		{"a late one counts at its own time", plain, false, one("192.0.2.1", 0, 12, 13, 9), []int{3}},
		{"a late one that does not fit", plain, false, one("192.0.2.1", 0, 13, 13, 3), nil},
		{"cleared by firing", plain, false, one("192.0.2.1", 0, 1, 2, 3, 4, 5), []int{2, 5}},
		{"another client", plain, false, append(one("192.0.2.1", 0, 1), one("192.0.2.2", 2, 3)...), nil},
		{"copies", plain, false, []at{{0, "192.0.2.1", 0, 2}, {1, "192.0.2.1", 0, 1}}, []int{1}},
		{"copies by themselves", plain, false, []at{{0, "2001:db8::1", 0, 3}}, []int{0}},
		{"a /64 is one client", plain, false, many(0, "2001:db8::1", "2001:db8::2", "2001:db8::3"), []int{2}},
		{"different values", plain, true, []at{{0, "192.0.2.1", 5, 1}, {1, "192.0.2.1", 6, 1}, {2, "192.0.2.1", 7, 1}}, []int{2}},
		{"the same value counts a quarter", plain, true, []at{{0, "192.0.2.1", 5, 1}, {1, "192.0.2.1", 5, 7}, {2, "192.0.2.1", 5, 1}}, []int{2}},
		{"no value is not the same value", plain, true, one("192.0.2.1", 0, 1, 2), []int{2}},
		{"a value that has left the span counts in full again", plain, true,
			[]at{{0, "192.0.2.1", 5, 1}, {10, "192.0.2.1", 5, 1}, {11, "192.0.2.1", 6, 1}, {12, "192.0.2.1", 7, 1}}, []int{3}},
		{"a network", wide, false, many(0, "192.0.2.1", "192.0.2.2", "192.0.2.3"), []int{2}},
		{"a network with too few clients", wide, false, append(one("192.0.2.1", 0, 1), one("192.0.2.2", 2, 3)...), nil},
		{"two networks", wide, false, many(0, "192.0.2.1", "192.0.2.2", "198.51.100.3"), nil},
		{"a network of IPv6", wide, false, many(0, "2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"), []int{2}},
		{"a network in time only", wide, false, append(many(0, "192.0.2.1", "192.0.2.2"), one("192.0.2.3", 10, 11)...), nil},
	} {
		table := NewTable(Options{Windows: []Window{c.w}, Late: 60}, nil)
		class := table.Class(Class{Rules: []string{"rule"}, Weights: []Weight{{0, Unit, c.distinct}}})
		var fired []int
		for i, e := range c.in {
			o := offence(epoch+e.t, e.addr, class)
			o.Value, o.Count = e.value, e.count
			if len(table.Add(o)) > 0 {
				fired = append(fired, i)
			}
		}
		if !reflect.DeepEqual(fired, c.fired) {
			t.Errorf("%s: %v fired, want %v", c.name, fired, c.fired)
		}
	}
}

// TestFired: what a firing tells.
func TestFired(t *testing.T) {
	g := NewGood(0)
	table := NewTable(Options{Late: 120, Windows: []Window{
		{Name: "day", Span: 86400, Limit: 8, Share: 500},
		{Name: "net", Span: 3600, Limit: 8, Width4: 24, Width6: 56, Clients: 3},
	}}, g)
	a := table.Class(Class{Rules: []string{"b", "a"}, Weights: []Weight{{0, 4, true}, {1, 8, false}}})
	b := table.Class(Class{Rules: []string{"b"}, Weights: []Weight{{0, 4, false}}})
	if table.Class(Class{Rules: []string{"b"}, Weights: []Weight{{0, 3, false}, {0, 4, false}}}) != b {
		t.Error("equal classes have two IDs")
	}
	goodOne := netip.MustParseAddr("192.0.2.9")
	for d := range int64(2) {
		g.Message(goodOne, epoch-(5-d)*daySecs, 3)
	}
	g.Message(netip.MustParseAddr("192.0.2.3"), epoch-10, 3)
	table.Add(offence(epoch, "192.0.2.9", a))
	table.Add(offence(epoch+1, "192.0.2.3", b))
	table.Add(offence(epoch+1, "192.0.2.3", a))
	table.Add(offence(epoch+2, "192.0.2.1", a))
	if f := table.Add(offence(epoch+2, "192.0.2.3", a)); f != nil {
		t.Fatalf("fired without a third client that is not known good: %+v", f)
	}
	last := offence(epoch+3, "192.0.2.2", a)
	last.Count = 8
	got := table.Add(last)
	want := []Fired{
		{
			Window: 0, Key: netip.MustParsePrefix("192.0.2.2/32"), Time: epoch + 3, First: epoch + 3, Units: 32, Limit: 32,
			Events: 8, Rules: []RuleCount{{"a", 8}, {"b", 8}},
		},
		{
			Window: 1, Key: netip.MustParsePrefix("192.0.2.0/24"), Time: epoch + 3, First: epoch + 1, Units: 88, Limit: 32,
			Events: 11, Rules: []RuleCount{{"a", 11}, {"b", 11}},
			Clients: prefixes("192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"),
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if table.Len() != 1 { // the known good one took no part
		t.Errorf("%d clients left", table.Len())
	}
	table.Clear(netip.MustParsePrefix("192.0.2.9/32"))
	if table.Len() != 0 {
		t.Errorf("%d clients left after Clear", table.Len())
	}
}

func TestStanding(t *testing.T) {
	g := NewGood(0)
	ws := defaults()
	table := NewTable(Options{Windows: ws, Late: 120}, g)
	c := table.Class(Class{Rules: []string{"r"}, Weights: []Weight{{0, 8, true}, {1, 4, false}, {2, 4, false}}})
	table.Add(offence(epoch-700, "192.0.2.1", c))
	for i := range int64(3) {
		o := offence(epoch+i, "192.0.2.1", c)
		o.Value = 77
		table.Add(o)
	}
	table.Add(offence(epoch+1, "192.0.2.2", c))
	g.Message(netip.MustParseAddr("192.0.2.2"), epoch, 5)
	got := table.Standing(netip.MustParsePrefix("192.0.2.1/32"), epoch+10)
	type row struct{ window, units, limit, count, clients, accepted, events int }
	var rows []row
	for _, s := range got {
		rows = append(rows, row{s.Window, s.Units, s.Limit, s.Count, s.Clients, s.Accepted, len(s.Events)})
	}
	want := []row{{0, 8 + 2 + 2, 40, 3, 0, 0, 3}, {1, 16, 120, 4, 0, 0, 4}, {2, 20, 240, 5, 2, 5, 5}}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("got %v, want %v", rows, want)
	}
	e := got[2].Events
	if e[0].Time != epoch-700 || e[3].Client.String() != "192.0.2.2/32" || e[3].Units != 4 || !reflect.DeepEqual(e[3].Rules, []string{"r"}) || got[2].Key.String() != "192.0.2.0/24" {
		t.Errorf("evidence of the network: %+v", got[2])
	}
	near := table.Near(5, epoch+10)
	if len(near) != 2 || near[0].Key.String() != "192.0.2.1/32" || near[0].Window != 0 || len(near[0].Events) != 3 || near[1].Key.String() != "192.0.2.2/32" {
		t.Errorf("near: %+v", near)
	}
	if near := table.Near(1, epoch+10); len(near) != 1 || near[0].Key.String() != "192.0.2.1/32" {
		t.Errorf("nearest: %+v", near)
	}
	if near := table.Near(5, epoch+100_000); len(near) != 0 {
		t.Errorf("near a day later: %+v", near)
	}
}
