package cover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

var (
	standard4 = Options{128, []Rung{{24, 3}, {22, 9}}}
	standard6 = Options{4096, []Rung{{56, 3}, {48, 20}}}
)

// hosts returns n keys of 203.0.113.0/24, spread evenly from .1 on, without .7.
func hosts(n int) []uint32 {
	var keys []uint32
	for i := range n {
		host := uint32(1 + i*254/n)
		if host == 7 {
			host = 8
		}
		keys = append(keys, 0xcb007100+host)
	}
	return slices.Compact(keys)
}

func TestSolve(t *testing.T) {
	seven := Veto4(netip.MustParsePrefix("203.0.113.7/32"), 7)
	for _, c := range []struct {
		name   string
		keys   []uint32
		vetoes []Veto[uint32]
		want   string
	}{
		{"nobody", nil, nil, ""},
		{"one", hosts(1), nil, "203.0.113.1/32"},
		{"two stay apart", hosts(2), nil, "203.0.113.1/32 203.0.113.128/32"},
		{"three are a /24", hosts(3), nil, "203.0.113.0/24"},
		{"a veto outside changes nothing", hosts(3), []Veto[uint32]{Veto4(netip.MustParsePrefix("203.0.114.0/24"), 1)}, "203.0.113.0/24"},
		{"three around an allowlisted host", hosts(3), []Veto[uint32]{seven}, "203.0.113.1/32 203.0.113.85/32 203.0.113.170/32"},
		{"a part with three of them", hosts(9), []Veto[uint32]{seven},
			"203.0.113.1/32 203.0.113.29/32 203.0.113.57/32 203.0.113.85/32 203.0.113.113/32 203.0.113.128/25"},
		{"an allowlisted offender is dropped", append(hosts(2), 0xcb0071ff), []Veto[uint32]{Veto4(netip.MustParsePrefix("203.0.113.255/32"), 1)},
			"203.0.113.1/32 203.0.113.128/32"},
		{"all are allowlisted", hosts(9), []Veto[uint32]{Veto4(netip.MustParsePrefix("203.0.0.0/16"), 1)}, ""},
		{"the ends of the address space", []uint32{0, 1, 2, 1<<32 - 3, 1<<32 - 2, 1<<32 - 1}, nil, "0.0.0.0/24 255.255.255.0/24"},
		{"nine of three networks are a /22", []uint32{0xc6336401, 0xc6336402, 0xc6336403, 0xc6336501, 0xc6336502, 0xc6336503, 0xc6336601, 0xc6336602, 0xc6336603}, nil,
			"198.51.100.0/22"},
		{"nine of two are not", []uint32{0xc6336401, 0xc6336402, 0xc6336403, 0xc6336404, 0xc6336501, 0xc6336502, 0xc6336503, 0xc6336504, 0xc6336505}, nil,
			"198.51.100.0/24 198.51.101.0/24"},
		{"a veto in the /22 lets a /23 be", []uint32{0xc6336401, 0xc6336441, 0xc6336480, 0xc63364c1, 0xc6336501, 0xc6336541, 0xc6336581, 0xc63365c1, 0xc63365f1},
			[]Veto[uint32]{Veto4(netip.MustParsePrefix("198.51.103.0/24"), 1)}, "198.51.100.0/23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text(New[uint32](standard4).Solve(c.keys, c.vetoes)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func text[K Key](ps []Piece[K]) string {
	var s []string
	for _, p := range ps {
		s = append(s, p.Prefix().String())
	}
	return strings.Join(s, " ")
}

// A /24 without .7 is 8 prefixes. The parts .4/31 and .6 have too few members
// for one prefix, so the cover takes at most 9.
func TestSplitAroundOneHost(t *testing.T) {
	s := New[uint32](standard4)
	veto := []Veto[uint32]{Veto4(netip.MustParsePrefix("203.0.113.7/32"), 7)}
	for n := 1; n <= 255; n++ {
		if ps := s.Solve(hosts(n), veto); len(ps) > 9 {
			t.Errorf("%d offenders: %s", n, text(ps))
		}
	}
	ps := s.Solve(hosts(255), veto)
	want := "203.0.113.0/30 203.0.113.4/32 203.0.113.5/32 203.0.113.6/32 203.0.113.8/29 203.0.113.16/28 203.0.113.32/27 203.0.113.64/26 203.0.113.128/25"
	if got := text(ps); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSolve6(t *testing.T) {
	s := New[uint64](standard6)
	key := func(a string) uint64 { return Key6(netip.MustParseAddr(a)) }
	keys := []uint64{key("2001:db8::1"), key("2001:db8:0:1::1"), key("2001:db8:0:ff::1"), key("2001:db8:1::")}
	if got, want := text(s.Solve(keys, nil)), "2001:db8::/56 2001:db8:1::/64"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	veto := []Veto[uint64]{Veto6(netip.MustParsePrefix("2001:db8:0:80::25/128"), 3)}
	if got, want := text(s.Solve(keys, veto)), "2001:db8::/64 2001:db8:0:1::/64 2001:db8:0:ff::/64 2001:db8:1::/64"; got != want {
		t.Errorf("around one host: got %s, want %s", got, want)
	}
	var many []uint64
	for i := range uint64(20) {
		many = append(many, key("2001:db8::")+i<<11)
	}
	if got, want := text(s.Solve(many, nil)), "2001:db8::/48"; got != want {
		t.Errorf("20 /56: got %s, want %s", got, want)
	}
}

func TestConversions(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.7")
	if k := Key4(a); k != 0xc0000207 || Key4(netip.MustParseAddr("::ffff:192.0.2.7")) != k {
		t.Errorf("Key4 = %x", k)
	}
	if v, want := Veto4(netip.MustParsePrefix("192.0.2.7/24"), 5), (Veto[uint32]{0xc0000200, 0xc00002ff, 5}); v != want {
		t.Errorf("Veto4 = %x, want %x", v, want)
	}
	if v, want := Veto4(netip.MustParsePrefix("0.0.0.0/0"), 5), (Veto[uint32]{0, 1<<32 - 1, 5}); v != want {
		t.Errorf("Veto4 = %x, want %x", v, want)
	}
	if k := Key6(netip.MustParseAddr("2001:db8:1:2:3:4:5:6")); k != 0x20010db800010002 {
		t.Errorf("Key6 = %x", k)
	}
	if v, want := Veto6(netip.MustParsePrefix("2001:db8::/48"), 5), (Veto[uint64]{0x20010db800000000, 0x20010db80000ffff, 5}); v != want {
		t.Errorf("Veto6 = %x, want %x", v, want)
	}
	if v, want := Veto6(netip.MustParsePrefix("::/0"), 5), (Veto[uint64]{0, 1<<64 - 1, 5}); v != want {
		t.Errorf("Veto6 = %x, want %x", v, want)
	}
	p := Piece[uint32]{Key: 0xc0000200, Bits: 24, Lo: 3, Hi: 8}
	if p.Prefix().String() != "192.0.2.0/24" || p.Last() != 0xc00002ff || p.Members() != 5 {
		t.Errorf("%s to %x with %d", p.Prefix(), p.Last(), p.Members())
	}
	q := Piece[uint64]{Key: 0x20010db800000000, Bits: 48}
	if q.Prefix().String() != "2001:db8::/48" || q.Last() != 0x20010db80000ffff {
		t.Errorf("%s to %x", q.Prefix(), q.Last())
	}
}

func TestSortVetoes(t *testing.T) {
	got := SortVetoes([]Veto[uint32]{{20, 30, 1}, {5, 9, 2}, {25, 40, 3}, {20, 22, 4}, {30, 30, 5}, {41, 41, 6}, {1<<32 - 2, 1<<32 - 1, 7}, {1<<32 - 1, 1<<32 - 1, 8}})
	want := []Veto[uint32]{{5, 9, 2}, {20, 30, 1}, {31, 40, 3}, {41, 41, 6}, {1<<32 - 2, 1<<32 - 1, 7}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What an operator is told, once through in the words of the policy.
func TestExplain(t *testing.T) {
	keys := []uint32{0xc6336401, 0xc6336402, 0xc6336403, 0xc6336501, 0xc6336510, 0xcb007101, 0xcb0071a0, 0xcb0071a1, 0xcb0071a3, 0xcb0071c0}
	vetoes := []Veto[uint32]{{0xcb007107, 0xcb007107, 70}, {0xcb007190, 0xcb007190, 71}}
	s := New[uint32](standard4)
	ps := s.Solve(keys, vetoes)
	got := ""
	for i, p := range ps {
		got += fmt.Sprintf("%s %+v\n", p.Prefix(), s.Explain(i))
	}
	want := `198.51.100.0/24 {Need:3 Members:3 Cost:381 Apart:384 SplitAround:-1 Next:{Bits:22 Need:9 Members:5 Cost:1147 Apart:637 Bar:count Veto:-1}}
198.51.101.1/32 {Need:1 Members:1 Cost:128 Apart:128 SplitAround:-1 Next:{Bits:24 Need:3 Members:2 Cost:382 Apart:256 Bar:count Veto:-1}}
198.51.101.16/32 {Need:1 Members:1 Cost:128 Apart:128 SplitAround:-1 Next:{Bits:24 Need:3 Members:2 Cost:382 Apart:256 Bar:count Veto:-1}}
203.0.113.1/32 {Need:1 Members:1 Cost:128 Apart:128 SplitAround:-1 Next:{Bits:24 Need:3 Members:5 Cost:379 Apart:385 Bar:veto Veto:70}}
203.0.113.160/30 {Need:3 Members:3 Cost:129 Apart:384 SplitAround:71 Next:{Bits:24 Need:3 Members:5 Cost:379 Apart:385 Bar:veto Veto:71}}
203.0.113.192/32 {Need:1 Members:1 Cost:128 Apart:128 SplitAround:-1 Next:{Bits:24 Need:3 Members:5 Cost:379 Apart:385 Bar:veto Veto:71}}
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
