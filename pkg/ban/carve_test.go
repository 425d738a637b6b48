package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/prefix"
)

func (r *rig) allowed(now int64, p string) {
	r.allow.Insert(must(p))
	r.Carve(now, []netip.Prefix{must(p)})
}

func (r *rig) becomesGood(now int64, addr string) {
	r.makeGood(addr)
	r.Carve(now, []netip.Prefix{must(addr)})
}

func TestAllowlistIsNeverBanned(t *testing.T) {
	r := newRig(t)
	r.allow.Insert(must("192.0.2.0/30"))
	r.allow.Insert(must("2001:db8::1"))
	r.offend(t0, "192.0.2.1", "192.0.2.9", "2001:db8::/64")
	r.holds("192.0.2.9")
	if s := r.Stats(); s.Refused != 2 {
		t.Fatalf("%+v", s)
	}
}

// Parts need as many members as the /24 does; fewer are single addresses.
func TestCarve(t *testing.T) {
	twelve := append(hostsOf("192.0.2.1", 6), hostsOf("192.0.2.129", 6)...)
	for _, c := range []struct {
		name  string
		allow string
		want  []string
		ends  []string
	}{
		{"in the middle", "192.0.2.64/27", []string{"192.0.2.0/29", "192.0.2.128/29"}, []string{"192.0.2.0/24 carved"}},
		{"a member", "192.0.2.1", []string{"192.0.2.2", "192.0.2.3", "192.0.2.4/30", "192.0.2.128/29"}, []string{"192.0.2.0/24 carved"}},
		{"a half", "192.0.2.0/25", []string{"192.0.2.128/29"}, []string{"192.0.2.0/24 carved"}},
		{"all of it", "192.0.0.0/16", nil, []string{"192.0.2.0/24 lifted"}},
		{"something else", "192.0.3.0/24", []string{"192.0.2.0/24"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.offend(t0, twelve...)
			r.holds("192.0.2.0/24")
			r.Knock(r.of("192.0.2.0/24"), t0+30, 7)
			r.allowed(t0+60, c.allow)
			var got []string
			for _, x := range r.Bans() {
				got = append(got, show(x.Prefix))
				if x.Until != t0+hour || x.LastKnock != t0+30 || x.Earlier+x.Knocks != 7 {
					t.Errorf("%+v", x)
				}
				if x.Prefix.Overlaps(must(c.allow)) {
					t.Errorf("%s is still banned", x.Prefix)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("left: %v, want %v", got, c.want)
			}
			r.ends(c.ends...)
		})
	}
}

func TestGoodSenders(t *testing.T) {
	r := newRig(t)
	r.makeGood("192.0.2.2")
	r.offend(t0, "192.0.2.1", "192.0.2.3", "192.0.2.5")
	r.holds("192.0.2.1", "192.0.2.3", "192.0.2.5")
	if w := r.of("192.0.2.1").Why.Next; w.Veto != (Shield{KnownGood, must("192.0.2.2")}) {
		t.Fatalf("next: %+v", w)
	}
	// Goodness is no immunity: once it offends it is banned, and no hindrance.
	r.offend(t0+1, "192.0.2.2")
	r.holds("192.0.2.0/24")
	if n := len(r.of("192.0.2.0/24").Members); n != 4 {
		t.Fatalf("%d members", n)
	}
}

func TestBecomingGood(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.1")
	r.becomesGood(t0, "198.51.100.1") // it keeps the ban of its own
	r.becomesGood(t0, "192.0.2.1")    // as a member it is no hindrance
	r.holds("192.0.2.0/24", "198.51.100.1")
	r.becomesGood(t0+1, "192.0.2.77")
	r.holds("192.0.2.0/30", "198.51.100.1")
	if w := r.of("192.0.2.0/30").Why; w.Around != (Shield{KnownGood, must("192.0.2.77")}) {
		t.Fatalf("%+v", w)
	}
}

func siteOf(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("2001:db8:0:1::%x", 0x100+i))
	}
	return out
}

func TestSeventeenOfASite(t *testing.T) {
	r := newRig(t)
	good, allowed := "2001:db8:0:1::1", "2001:db8:0:1:8000::/66"
	r.makeGood(good)
	r.allow.Insert(must(allowed))
	all := siteOf(18)
	for i, a := range all[:16] {
		r.offend(t0+int64(i), a)
	}
	r.holds(all[:16]...)
	r.offend(t0+30, all[3]) // not a new one
	r.holds(all[:16]...)
	if w := r.of(all[0]).Why; w.Kind != Single || w.Around.Kind == NoShield {
		t.Fatalf("%+v", w)
	}
	r.history.add(must(all[16]), 1, t0)
	r.offend(t0+60, all[16])
	want := prefix.Subtract(must("2001:db8:0:1::/64"), []netip.Prefix{must(good), must(allowed)})
	members := 0
	for i, x := range r.Bans() {
		if x.Prefix != want[i] || x.Site != must("2001:db8:0:1::/64") || x.Why.Kind != Site || x.Why.Members != 17 {
			t.Fatalf("%+v, want %s", x, want[i])
		}
		if x.Until != t0+60+4*hour || x.Level != 2 {
			t.Fatalf("%s until %d, level %d", x.Prefix, x.Until, x.Level)
		}
		members += len(x.Members)
	}
	if r.Len() != len(want) || members != 17 {
		t.Fatalf("%d bans of %d, %d members of 17", r.Len(), len(want), members)
	}
	// A knock on one part renews all.
	part := r.Lookup(must("2001:db8:0:1:4000::1").Addr())
	if len(part.Members) != 0 {
		t.Fatalf("%+v", part)
	}
	r.Knock(part, part.Until-1, 1)
	r.Tick(part.Until)
	for _, x := range r.Bans() {
		if x.Renewals != 1 || x.Until != t0+60+8*hour {
			t.Fatalf("%+v", x)
		}
	}
	// An 18th inside of it is a member; a new good sender makes one more hole,
	// and leaves the other parts alone.
	r.offend(t0+5*hour, all[17])
	if x := r.Lookup(must(all[17]).Addr()); len(x.Members) == 0 {
		t.Fatalf("%+v", x)
	}
	r.Flush()
	r.becomesGood(t0+5*hour, "2001:db8:0:1::2")
	if x := r.Lookup(must("2001:db8:0:1::2").Addr()); x != nil {
		t.Fatalf("%s holds a good sender", x.Prefix)
	}
	if c := r.Flush(); len(c.Remove) != 1 || len(c.Add) != 1 { // ::2/127 makes place for ::3
		t.Fatalf("%+v", c)
	}
	// All go at once, and are on parole together.
	end := part.Until
	r.Tick(end)
	r.holds()
	if x := r.Offence(end+5, must(all[17])); x == nil || x.Site != must("2001:db8:0:1::/64") || !x.Revived {
		t.Fatalf("revived %+v", x)
	}
}

// Nothing wide is made over a /64 in which somebody is to be spared.
func TestSiteInAWiderPrefix(t *testing.T) {
	r := newRig(t)
	r.makeGood("2001:db8:0:1::1")
	r.offend(t0, siteOf(17)...)
	n := r.Len()
	if n != 64 {
		t.Fatalf("%d parts", n)
	}
	r.offend(t0+1, "2001:db8:0:8::/64", "2001:db8:0:9::/64", "2001:db8:0:a::/64")
	x := r.of("2001:db8:0:8::/62")
	if x.Why.Around != (Shield{KnownGood, must("2001:db8:0:1::1")}) || len(x.Members) != 3 || r.Len() != n+1 {
		t.Fatalf("%+v", x.Why)
	}
}

func TestUnban(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.1")
	r.holds("192.0.2.0/24", "198.51.100.1")
	if got := r.Unban(t0+1, must("198.51.100.0/24")); !slices.Equal(got, []netip.Prefix{must("198.51.100.1")}) {
		t.Fatalf("%v", got)
	}
	// A neighbour that did nothing.
	if got := r.Unban(t0+1, must("192.0.2.200")); !slices.Equal(got, []netip.Prefix{must("192.0.2.0/24")}) {
		t.Fatalf("%v", got)
	}
	r.holds("192.0.2.0/29")
	r.ends("198.51.100.1 lifted", "192.0.2.0/24 carved")
	if x := r.of("192.0.2.0/29"); x.Until != t0+hour || x.Why.Around != (Shield{Unbanned, must("192.0.2.200")}) {
		t.Fatalf("%+v", x)
	}
	// The attack goes on: the neighbour stays out of it.
	r.offend(t0+2, hostsOf("192.0.2.9", 9)...)
	if x := r.Lookup(must("192.0.2.200").Addr()); x != nil {
		t.Fatalf("banned again with %s", x.Prefix)
	}
	// But not when it takes part.
	r.offend(t0+3, "192.0.2.200")
	r.holds("192.0.2.0/24")
	// A member: it is forgotten.
	r.Unban(t0+4, must("192.0.2.1"))
	if x := r.Lookup(must("192.0.2.1").Addr()); x != nil {
		t.Fatalf("still banned with %s", x.Prefix)
	}
	r.Tick(t0 + 2*hour)
	r.holds()
	if x := r.Offence(t0+2*hour, must("192.0.2.1")); x != nil {
		t.Fatal("still on parole")
	}
	r.offend(t0+2*hour, "192.0.2.1")
	if x := r.Lookup(must("192.0.2.1").Addr()); x.Level != 0 {
		t.Fatalf("level %d", x.Level)
	}
	if got := r.Unban(t0, must("203.0.113.0/24")); got != nil {
		t.Fatalf("%v", got)
	}
}

// The sparing of what was unbanned ends with a parole's time.
func TestUnbannedIsSparedForAWhile(t *testing.T) {
	r := newRig(t)
	r.Unban(t0, must("192.0.2.200"))
	r.offend(t0+day-1, hostsOf("192.0.2.1", 3)...)
	if x := r.Lookup(must("192.0.2.200").Addr()); x != nil {
		t.Fatal("banned within the day")
	}
	r.offend(t0+day, "192.0.2.77")
	r.holds("192.0.2.0/24")
}

func TestPinned(t *testing.T) {
	r := newRig(t)
	r.allow.Insert(must("192.0.2.0/25"))
	made, err := r.Ban(t0, must("192.0.2.0/24"), t0+2*hour, "asked for")
	if err != nil || !slices.Equal(made, []netip.Prefix{must("192.0.2.128/25")}) {
		t.Fatalf("%v, %v", made, err)
	}
	x := r.of("192.0.2.128/25")
	if !x.Pinned || x.Because != "asked for" || x.Until != t0+2*hour {
		t.Fatalf("%+v", x)
	}
	// It is not renewed.
	r.Knock(x, t0+2*hour-1, 99)
	r.Tick(t0 + 2*hour)
	r.ends("192.0.2.128/25 expired")
	for _, c := range []struct {
		p     string
		until int64
	}{{"192.0.2.0/26", t0 + 9*hour}, {"192.0.2.192/26", t0 + hour}} {
		if _, err := r.Ban(t0+2*hour, must(c.p), c.until, ""); err == nil {
			t.Errorf("%s until %d was banned", c.p, c.until)
		}
	}
	if _, err := r.Ban(t0, netip.Prefix{}, t0+9*hour, ""); err == nil {
		t.Error("nothing was banned")
	}
}

func TestPinnedTakesInAndHides(t *testing.T) {
	r := newRig(t)
	r.offend(t0, hostsOf("192.0.2.1", 2)...)
	r.Ban(t0, must("192.0.2.0/28"), t0+3*hour, "")
	r.holds("192.0.2.0/28")
	r.ends("192.0.2.1 absorbed 192.0.2.0/28", "192.0.2.2 absorbed 192.0.2.0/28")
	// The solver's wide ban lies above it and ends first.
	r.offend(t0+60, hostsOf("192.0.2.65", 3)...)
	r.holds("192.0.2.0/24")
	if h := r.Hidden(); len(h) != 1 || h[0].Prefix != must("192.0.2.0/28") {
		t.Fatalf("%v", h)
	}
	r.ends()
	r.Tick(t0 + 60 + hour)
	r.holds("192.0.2.0/28")
	if c := r.Flush(); len(c.Add) != 1 || len(c.Remove) != 0 {
		t.Fatalf("%+v", c)
	}
	// New end and reason for the same prefix.
	r.Ban(t0+2*hour, must("192.0.2.0/28"), t0+5*hour, "longer")
	if x := r.of("192.0.2.0/28"); x.Until != t0+5*hour || x.Because != "longer" || len(x.Members) != 2 {
		t.Fatalf("%+v", x)
	}
	r.Ban(t0+2*hour, must("192.0.2.0/28"), t0+3*hour, "shorter after all")
	r.Tick(t0 + 3*hour)
	r.holds()
	if x := r.Offence(t0+3*hour, must("192.0.2.1")); x == nil {
		t.Fatal("what it took in is not on parole")
	}
}

func TestForever(t *testing.T) {
	r := newRig(t)
	r.Ban(t0, must("192.0.2.0/24"), Forever, "")
	r.Tick(t0 + 100*365*day)
	x := r.of("192.0.2.0/24")
	if x.Deadline != Forever {
		t.Fatalf("deadline %d", x.Deadline)
	}
	if got := r.Unban(t0+100*365*day, must("192.0.2.128/25")); len(got) != 1 {
		t.Fatalf("%v", got)
	}
	r.holds("192.0.2.0/25")
}

// A part with members is carved: they go on in what is left of it.
func TestCarveASite(t *testing.T) {
	r := newRig(t)
	r.makeGood("2001:db8:0:1::1")
	r.offend(t0, siteOf(17)...) // ::100 to ::110
	members := func() (n int) {
		for _, x := range r.Bans() {
			n += len(x.Members)
			if x.Site != must("2001:db8:0:1::/64") || x.Until != t0+hour {
				t.Fatalf("%+v", x)
			}
		}
		return n
	}
	r.allowed(t0+1, "2001:db8:0:1::104/126") // four of the members
	if n := members(); n != 13 {
		t.Fatalf("%d members", n)
	}
	r.becomesGood(t0+2, "2001:db8:0:1::1ff")
	if n := members(); n != 13 || r.Lookup(must("2001:db8:0:1::1ff").Addr()) != nil {
		t.Fatalf("%d members", n)
	}
	// One of the members is no hindrance. Without members nothing is left.
	r.becomesGood(t0+3, "2001:db8:0:1::100")
	if n := members(); n != 13 {
		t.Fatalf("%d members", n)
	}
	// The sender in the hole offends: it is banned by itself, for a time of its
	// own, and the parts stay.
	r.Flush()
	r.offend(t0+4, "2001:db8:0:1::1")
	if x := r.of("2001:db8:0:1::1"); x.Site.IsValid() || x.Until != t0+4+hour {
		t.Fatalf("%+v", x)
	}
	if c := r.Flush(); len(c.Add) != 1 || len(c.Remove) != 0 {
		t.Fatalf("%+v", c)
	}
	r.Unban(t0+4, must("2001:db8:0:1::1"))
	r.Ended()
	r.Unban(t0+4, must("2001:db8:0:1::100/120"))
	r.holds()
	for _, s := range r.Ended() {
		if s.End != Lifted {
			t.Fatalf("%s %s", s.Prefix, s.End)
		}
	}
}

// Manual bans inside of each other that fall into the same parts are one.
func TestPinnedPartsMeet(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.129")
	r.Ban(t0, must("192.0.2.128/25"), t0+day, "inner")
	r.Ban(t0, must("192.0.2.0/24"), t0+hour, "outer")
	r.holds("192.0.2.0/24")
	r.allowed(t0, "192.0.2.192/26")
	r.holds("192.0.2.0/25", "192.0.2.128/26")
	if x := r.of("192.0.2.128/26"); x.Until != t0+day || x.Because != "inner" || len(x.Members) != 1 || len(r.Hidden()) != 0 {
		t.Fatalf("%+v, hidden %v", x, r.Hidden())
	}
	if x := r.of("192.0.2.0/25"); x.Until != t0+hour || x.Because != "outer" || len(x.Members) != 0 {
		t.Fatalf("%+v", x)
	}
}

// A part of a /64 that the operator banned already is his.
func TestSiteAroundAPinned(t *testing.T) {
	r := newRig(t)
	r.makeGood("2001:db8:0:1::1")
	r.Ban(t0, must("2001:db8:0:1:8000::/65"), t0+day, "")
	r.offend(t0, siteOf(17)...)
	if x := r.of("2001:db8:0:1:8000::/65"); !x.Pinned || r.Len() != 64 {
		t.Fatalf("%+v, %d bans", x, r.Len())
	}
}
