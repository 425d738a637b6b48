package cover

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		width  int
		price  int64
		rungs  []Rung
		errors []string
	}{
		{"default of IPv4", 32, 128, []Rung{{24, 3}, {22, 9}}, nil},
		{"default of IPv6", 64, 4096, []Rung{{56, 3}, {48, 20}}, nil},
		{"no rungs", 32, 0, nil, nil},
		{"the most that a /22 over /24:3 is left", 32, 128, []Rung{{24, 3}, {22, 12}}, nil},
		{"one more", 32, 128, []Rung{{24, 3}, {22, 13}},
			[]string{"rung /22 needs 13 but rung /24, which fires at 3, leaves it at most 12: the most is 12"}},
		{"the most that a /20 over /24:3 is left", 32, 128, []Rung{{24, 3}, {22, 12}, {20, 48}}, nil},
		{"one more", 32, 128, []Rung{{24, 3}, {20, 49}},
			[]string{"rung /20 needs 49 but rung /24, which fires at 3, leaves it at most 48: the most is 48"}},
		{"a rung between starves it", 32, 128, []Rung{{24, 3}, {22, 9}, {20, 48}},
			[]string{"rung /20 needs 48 but rung /22, which fires at 9, leaves it at most 36: the most is 36"}},
		{"the least price of 24:3", 32, 127, []Rung{{24, 3}}, nil},
		{"one less", 32, 126, []Rung{{24, 3}},
			[]string{"rung /24 never fires with 3 members at price 126: the least price is 127, or let it need 4"}},
		{"price 100 needs 4", 32, 100, []Rung{{24, 3}},
			[]string{"rung /24 never fires with 3 members at price 100: the least price is 127, or let it need 4"}},
		{"and 4 does", 32, 100, []Rung{{24, 4}}, nil},
		{"no need is enough", 32, 1, []Rung{{24, 3}, {16, 9}},
			[]string{
				"rung /24 never fires with 3 members at price 1: the least price is 127, or let it need 129",
				"rung /16 never fires with 9 members at price 1: the least price is 8191"}},
		{"price of IPv4 for IPv6", 64, 128, []Rung{{56, 3}, {48, 20}},
			[]string{"rung /48 never fires with 20 members at price 128: the least price is 3449, or let it need 510"}},
		{"negative price", 32, -1, []Rung{{24, 3}}, []string{"price -1 is negative: the least is 0"}},
		{"no bound on the price", 32, 1<<56 + 1, []Rung{{24, 3}}, []string{"price 72057594037927937 is out of range: the most is 72057594037927936"}},
		{"more than it holds", 32, 128, []Rung{{31, 3}}, []string{"rung /31 needs 3 but holds only 2: the most is 2"}},
		{"far more, and a wider one", 64, 1 << 56, []Rung{{56, 1 << 40}, {8, 1 << 40}},
			[]string{"rung /56 needs 1099511627776 but holds only 256: the most is 256"}},
		{"a host", 32, 128, []Rung{{32, 3}}, []string{"rung /32 is no prefix of several: a single /32 needs no rung, the narrowest rung is /31"}},
		{"longer than a /64", 64, 4096, []Rung{{80, 3}}, []string{"rung /80 is no prefix of several: a single /64 needs no rung, the narrowest rung is /63"}},
		{"too wide", 32, 1 << 30, []Rung{{24, 3}, {7, 9}}, []string{"rung /7 is too wide: the widest is /8"}},
		{"the widest", 32, 1 << 30, []Rung{{8, 3}}, nil},
		{"negative length", 32, 128, []Rung{{-1, 3}}, []string{"rung /-1 is too wide: the widest is /8"}},
		{"need of one", 32, 128, []Rung{{24, 1}}, []string{"rung /24 needs 1: the least is 2"}},
		{"need below nothing", 32, 128, []Rung{{24, -3}}, []string{"rung /24 needs -3: the least is 2"}},
		{"twice", 32, 128, []Rung{{24, 3}, {24, 4}}, []string{"rung /24 is there twice"}},
		{"wide to narrow", 32, 128, []Rung{{22, 9}, {24, 3}}, []string{"rung /24 comes after /22: rungs go from narrow to wide"}},
		{"wider needs less", 32, 1024, []Rung{{24, 3}, {22, 2}}, []string{"rung /22 needs 2, fewer than the narrower /24: the least is 3"}},
		{"wider needs the same", 32, 1024, []Rung{{24, 3}, {22, 3}}, nil},
		{"all at once", 32, -5, []Rung{{33, 0}, {24, 3}, {24, 3}},
			[]string{
				"price -5 is negative: the least is 0",
				"rung /33 is no prefix of several: a single /32 needs no rung, the narrowest rung is /31",
				"rung /33 needs 0: the least is 2",
				"rung /24 is there twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Options{c.price, c.rungs}.Check(c.width)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if want := strings.Join(c.errors, "\n"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// spread returns n keys in the prefix of zeros of this length, as far from each
// other as they can be.
func spread(length, n int) []uint32 {
	var keys []uint32
	for i := range n {
		keys = append(keys, uint32(uint64(i)<<(32-length)/uint64(n)))
	}
	return keys
}

// What Check calls the least price is, in the solver, the least price at which
// the rung fires with the members it needs, and the other way round.
func TestCheckAgreesWithTheSolver(t *testing.T) {
	for bits := 20; bits < 32; bits++ {
		for need := 2; need <= min(40, 1<<(32-bits)); need++ {
			for _, price := range []int64{0, 1, 5, 31, 126, 127, 128, 511, 4096} {
				o := Options{price, []Rung{{bits, need}}}
				keys := spread(bits, need)
				fires := len(New[uint32](o).Solve(keys, nil)) == 1
				if err := o.Check(32); fires != (err == nil) {
					t.Fatalf("%+v fires: %v, check: %v", o, fires, err)
				}
			}
		}
	}
}

// Offenders are seen only outside of what is banned already. Whatever the order
// they come in, a rung at the bound is reached and one above it is not.
func TestStarvation(t *testing.T) {
	reached := func(rungs []Rung) bool {
		o := Options{128, rungs}
		widest := rungs[len(rungs)-1].Bits
		s := New[uint32](o)
		var seen []uint32
		// The hosts that come are spread evenly: no /24 gets a second one
		// before all have one, which leaves most offenders to be seen.
		for host := range uint32(256) {
			for net := range uint32(1) << (24 - widest) {
				k := net<<8 + host
				covered := false
				for _, p := range s.Solve(seen, nil) {
					covered = covered || p.Key <= k && k <= p.Last()
				}
				if !covered {
					seen = append(seen, k)
					Sort4(seen)
				}
			}
		}
		ps := s.Solve(seen, nil)
		return len(ps) == 1 && int(ps[0].Bits) == widest
	}
	for _, c := range []struct {
		rungs []Rung
		want  bool
	}{
		{[]Rung{{24, 3}, {22, 9}}, true},
		{[]Rung{{24, 3}, {22, 12}}, true},
		{[]Rung{{24, 3}, {22, 13}}, false},
		{[]Rung{{24, 3}, {20, 48}}, true},
		{[]Rung{{24, 3}, {20, 49}}, false},
		{[]Rung{{24, 3}, {22, 9}, {20, 36}}, true},
		{[]Rung{{24, 3}, {22, 9}, {20, 37}}, false},
	} {
		if got := reached(c.rungs); got != c.want {
			t.Errorf("%v reached: %v", c.rungs, got)
		}
		if err := (Options{128, c.rungs}).Check(32); (err == nil) != c.want {
			t.Errorf("%v: check says %v", c.rungs, err)
		}
	}
}
