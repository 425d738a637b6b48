package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/score"
)

const (
	t0   = int64(1_800_000_000)
	hour = int64(3600)
)

// A rig is a book with the default options.
type rig struct {
	*Book
	t      *testing.T
	goodAt int64
}

func newRig(t *testing.T) *rig { return newRigOf(t, real) }

func newRigOf(t *testing.T, o Options) *rig {
	b := NewBook(maillog.SMTP, o, new(prefix.Set), score.NewGood(0), NewBreaker(-1, -1))
	return &rig{b, t, t0 - 100*day}
}

func must(s string) netip.Prefix {
	p, err := prefix.ParseAny(s)
	if err != nil {
		panic(err)
	}
	return p
}

// offend lets clients offend at a time, all in one firing.
func (r *rig) offend(now int64, keys ...string) {
	var os []Offender
	for _, k := range keys {
		os = append(os, Offender{Key: must(k), LastOffence: now, Cause: Cause{Window: "burst", Span: 600, Units: 40, Limit: 40, Events: 10}})
	}
	r.Offend(now, os)
}

// hosts is n addresses of a /24 from the given one on.
func hostsOf(first string, n int) []string {
	a := must(first).Addr()
	var out []string
	for range n {
		out = append(out, a.String())
		a = a.Next()
	}
	return out
}

// holds says which prefixes are in force, and fails if they are others.
func (r *rig) holds(want ...string) {
	r.t.Helper()
	var got []string
	for _, x := range r.Bans() {
		got = append(got, show(x.Prefix))
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("bans: %v, want %v", got, want)
	}
}

// of returns the ban of exactly this prefix.
func (r *rig) of(p string) *Ban {
	r.t.Helper()
	x, ok := r.bans.Get(must(p))
	if !ok {
		r.t.Fatalf("no ban of %s, but %v", p, r.Bans())
	}
	return x
}

// ends says how bans ended since the last time: "192.0.2.1/32 expired".
func (r *rig) ends(want ...string) {
	r.t.Helper()
	var got []string
	for _, s := range r.Ended() {
		text := show(s.Prefix) + " " + s.End
		if s.Into.IsValid() {
			text += " " + s.Into.String()
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("ended: %v, want %v", got, want)
	}
}

func TestRepeatsDouble(t *testing.T) {
	r := newRig(t)
	now := t0
	for level, hours := range []int64{1, 2, 4, 8, 16, 32, 64, 128, 168, 168} {
		r.offend(now, "192.0.2.1")
		x := r.of("192.0.2.1")
		if x.Level != min(level, 8) || x.Until != now+hours*hour || x.From != now {
			t.Fatalf("ban %d: level %d for %d s, want %d h", level, x.Level, x.Until-now, hours)
		}
		now = x.Until
		r.Tick(now)
		r.holds()
		r.Tick(now + real.Parole) // a repeat, not a revival
		now += real.Parole
	}
}

func TestQuietDaysForget(t *testing.T) {
	for _, c := range []struct {
		days  int64 // between the end of a ban at level 3 and the next
		level int
	}{{1, 4}, {6, 4}, {7, 3}, {13, 3}, {14, 2}, {27, 1}, {28, 0}, {30, 0}, {31, 0}} {
		r := newRig(t)
		r.history.add(must("192.0.2.1"), 3, t0)
		r.offend(t0+c.days*day, "192.0.2.1")
		if got := r.of("192.0.2.1").Level; got != c.level {
			t.Errorf("after %d days: level %d, want %d", c.days, got, c.level)
		}
	}
	// Memory ends all of it at once.
	o := real
	o.Memory = 5 * day
	r := newRigOf(t, o)
	r.history.add(must("192.0.2.1"), 6, t0)
	r.history.add(must("192.0.2.2"), 6, t0)
	r.offend(t0+5*day, "192.0.2.1")
	r.offend(t0+5*day+1, "192.0.2.2")
	if a, b := r.of("192.0.2.1").Level, r.of("192.0.2.2").Level; a != 7 || b != 0 {
		t.Errorf("at the end of memory level %d, behind it %d", a, b)
	}
}

func TestRenewal(t *testing.T) {
	for _, c := range []struct {
		name  string
		knock int64 // seconds before the end
		until int64 // after the next Tick; 0: it ends
	}{
		{"never knocked", -1, 0},
		{"knocked too early", 901, 0},
		{"knocked in the last quarter", 900, t0 + 2*hour},
		{"knocked last", 1, t0 + 2*hour},
	} {
		r := newRig(t)
		r.offend(t0, "192.0.2.1")
		x := r.of("192.0.2.1")
		if c.knock >= 0 {
			r.Knock(x, x.Until-c.knock, 3)
		}
		r.Tick(x.Until - 1)
		r.holds("192.0.2.1")
		r.Tick(t0 + hour)
		if c.until == 0 {
			r.ends("192.0.2.1 expired")
			continue
		}
		if x.Until != c.until || x.Renewals != 1 || x.TermStart != t0+hour || x.Knocks != 3 || x.From != t0 {
			t.Errorf("%s: %+v", c.name, x)
		}
	}
}

// A client that knocks for ever is let through a day after its last offence.
func TestRenewalsEnd(t *testing.T) {
	r := newRig(t)
	r.history.add(must("192.0.2.1"), 2, t0-1) // the third repeat: 8 h
	r.offend(t0, "192.0.2.1")
	x := r.of("192.0.2.1")
	var ends []int64
	for now := t0; r.Len() > 0; now += 60 {
		r.Knock(x, now, 1)
		r.Tick(now)
		if n := len(ends); n == 0 || ends[n-1] != x.Until {
			ends = append(ends, x.Until)
		}
	}
	if want := []int64{t0 + 8*hour, t0 + 16*hour, t0 + 24*hour}; !slices.Equal(ends, want) {
		t.Errorf("it ended at %v, want %v", ends, want)
	}
	// One of 7 days is never renewed.
	r.history.add(must("192.0.2.2"), 8, t0)
	r.offend(t0+2*day, "192.0.2.2")
	x = r.of("192.0.2.2")
	r.Knock(x, x.Until-1, 1)
	r.Tick(x.Until)
	r.holds()
}

func TestParole(t *testing.T) {
	r := newRig(t)
	r.offend(t0, hostsOf("192.0.2.1", 2)...)
	r.offend(t0+60, "192.0.2.3")
	r.holds("192.0.2.0/24")
	until := t0 + 60 + hour
	r.Tick(until)
	r.ends("192.0.2.1 absorbed 192.0.2.0/24", "192.0.2.2 absorbed 192.0.2.0/24", "192.0.2.0/24 expired")
	if x := r.Offence(until+10, must("192.0.2.4")); x != nil || r.Len() != 0 {
		t.Fatalf("one that was no member brought back %v", x.Prefix)
	}
	x := r.Offence(until+day-1, must("192.0.2.2"))
	if x == nil || x.Prefix != must("192.0.2.0/24") || len(x.Members) != 3 || !x.Revived {
		t.Fatalf("revived %+v", x)
	}
	if x.Level != 1 || x.Until != until+day-1+2*hour {
		t.Fatalf("revived at level %d until %d", x.Level, x.Until)
	}
	r.Tick(x.Until)
	if x := r.Offence(x.Until+day, must("192.0.2.2")); x != nil {
		t.Fatalf("revived after the end of its parole")
	}
}

// What the allowlist or the memory of good senders holds by then stays out.
func TestParoleIsCheckedAgain(t *testing.T) {
	r := newRig(t)
	r.offend(t0, hostsOf("192.0.2.1", 4)...)
	r.Tick(t0 + hour)
	r.holds()
	r.allow.Insert(must("192.0.2.1"))
	r.makeGood("192.0.2.4")
	x := r.Offence(t0+hour+1, must("192.0.2.2"))
	if x == nil {
		t.Fatal("not revived")
	}
	r.holds("192.0.2.2", "192.0.2.3")
	if x.Prefix != must("192.0.2.2") {
		t.Fatalf("the ban of it is %s", x.Prefix)
	}
}

func TestNewBanSupersedesParole(t *testing.T) {
	r := newRig(t)
	r.offend(t0, hostsOf("192.0.2.1", 3)...)
	r.Tick(t0 + hour)
	r.offend(t0+hour, hostsOf("192.0.2.7", 3)...)
	r.holds("192.0.2.0/24")
	r.Tick(t0 + 3*hour)
	r.holds()
	if x := r.Offence(t0+3*hour, must("192.0.2.1")); x != nil {
		t.Fatalf("brought back %s of %d", x.Prefix, len(x.Members))
	}
	if x := r.Offence(t0+3*hour, must("192.0.2.7")); x == nil || len(x.Members) != 3 {
		t.Fatalf("brought back %+v", x)
	}
}

func TestCollapseTakesTheLatestEnd(t *testing.T) {
	r := newRig(t)
	r.history.add(must("192.0.2.1"), 3, t0-1)
	r.offend(t0, "192.0.2.1")
	r.offend(t0+hour/2, "192.0.2.2")
	r.Knock(r.of("192.0.2.2"), t0+hour/2+5, 2)
	r.holds("192.0.2.1", "192.0.2.2")
	r.Flush()
	r.offend(t0+hour, "192.0.2.3")
	r.holds("192.0.2.0/24")
	x := r.of("192.0.2.0/24")
	if x.Until != t0+16*hour || x.Level != 4 || len(x.Members) != 3 || x.LastKnock != t0+hour/2+5 || x.Earlier != 2 || x.Knocks != 0 {
		t.Fatalf("%+v", x)
	}
	if x.Why.Kind != Solved || x.Why.Need != 3 || x.Why.Members != 3 || x.Why.Next.Bits != 22 {
		t.Fatalf("why: %+v", x.Why)
	}
	// Add and remove come in one change.
	c := r.Flush()
	if len(c.Add) != 1 || len(c.Remove) != 2 || len(c.Refresh) != 0 {
		t.Fatalf("%+v", c)
	}
	r.Tick(t0 + 16*hour - 1)
	r.holds("192.0.2.0/24")
	r.Tick(t0 + 16*hour)
	r.ends("192.0.2.1 absorbed 192.0.2.0/24", "192.0.2.2 absorbed 192.0.2.0/24", "192.0.2.0/24 expired")
	// Each remembers its own level.
	r.offend(t0+20*day, "192.0.2.2")
	if x := r.of("192.0.2.2"); x.Level != 0 {
		t.Fatalf("level %d", x.Level)
	}
}

// A ban that came and went between two changes is none.
func TestFlushCoalesces(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.1")
	r.offend(t0, "192.0.2.2")
	r.offend(t0, "192.0.2.3")
	if c := r.Flush(); len(c.Add) != 1 || len(c.Remove) != 0 || c.Add[0].Prefix != must("192.0.2.0/24") {
		t.Fatalf("%+v", c)
	}
	r.Tick(t0 + hour)
	r.offend(t0+hour, hostsOf("192.0.2.1", 3)...)
	if c := r.Flush(); len(c.Add) != 0 || len(c.Remove) != 0 || len(c.Refresh) != 1 {
		t.Fatalf("gone and back: %+v", c)
	}
	if c := r.Flush(); !c.Empty() {
		t.Fatalf("%+v", c)
	}
}

func TestDeadline(t *testing.T) {
	r := newRig(t)
	r.offend(t0, "192.0.2.1")
	x := r.of("192.0.2.1")
	if d := x.Deadline; d%450 != 0 || d < x.Until+450 || d >= x.Until+900 {
		t.Fatalf("until %d, deadline %d", x.Until, d)
	}
	r.Flush()
	// As long as a step is left the kernel is not bothered.
	deadline := x.Deadline
	r.until(x, deadline-450, hour)
	if c := r.Flush(); !c.Empty() || x.Deadline != deadline {
		t.Fatalf("%+v", c)
	}
	r.until(x, deadline-449, hour)
	if c := r.Flush(); len(c.Refresh) != 1 || c.Refresh[0].Deadline != deadline+450 {
		t.Fatalf("%+v, deadline was %d", c, deadline)
	}
	// Never less than a minute, never more than two days.
	for _, c := range []struct{ until, term, least, most int64 }{{t0 + 70, 10, 60, 119}, {t0 + 365*day, 365 * day, day, 2*day - 1}} {
		y := &Ban{Prefix: must("192.0.2.9")}
		r.until(y, c.until, c.term)
		if d := y.Deadline - y.Until; d < c.least || d > c.most {
			t.Errorf("a term of %d gets a grace of %d", c.term, d)
		}
	}
}

// It does not matter how often Tick is called.
func TestTickInOneStep(t *testing.T) {
	run := func(step int64) string {
		r := newRig(t)
		for i := range 40 {
			now := t0 + int64(i)*777
			r.offend(now, fmt.Sprintf("192.0.2.%d", i*7%256))
			for _, x := range r.Bans() {
				if int(x.From)%3 > 0 {
					r.Knock(x, now, 1)
				}
			}
		}
		for now := t0 + 40*777; now <= t0+3*day; now += step {
			r.Tick(now)
		}
		var out strings.Builder
		for _, s := range r.Ended() {
			fmt.Fprintln(&out, s.Ended, s.Prefix, s.End, s.Renewals)
		}
		return out.String()
	}
	if a, b := run(60), run(3*day-40*777); a != b || a == "" {
		t.Fatalf("minute by minute\n%s\nat once\n%s", a, b)
	}
}

// makeGood gives an address the evidence of two good days. The memory of good
// senders has a time of its own.
func (r *rig) makeGood(addr string) {
	a := must(addr).Addr()
	user := uint64(a.As16()[15]) + 1
	for range 2 {
		r.goodAt += day
		r.good.Login(a, r.goodAt, 3, user)
	}
	if !r.good.Known(a) {
		r.t.Fatalf("%s is not known good", a)
	}
}
