package engine

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stray is a line of another century.
var stray = []byte("2099-07-14T00:00:00+00:00 mx1 postfix/smtpd[99]: connect from unknown[192.0.2.99]")

// TestStray: a first line of 2099 changes no ban.
func TestStray(t *testing.T) {
	plain, strayed := newEngine(t), newEngine(t)
	strayed.Feed(0, 1, stray)
	var a, b history
	for i, line := range mix(t, "a", 15000, 3) {
		if i < 30 { // until the clock is overruled
			line = []byte(fmt.Sprintf("2026-07-14T00:00:00+00:00 mx1 postfix/smtpd[%d]: connect from unknown[192.0.2.98]", i))
		}
		plain.Feed(0, uint64(i+2), line)
		strayed.Feed(0, uint64(i+2), line)
		a.take(plain)
		b.take(strayed)
	}
	if len(a.Changes) == 0 {
		t.Fatal("nobody was banned: the test shows nothing")
	}
	if d := cmp.Diff(a.Changes, b.Changes, seen...); d != "" {
		t.Errorf("changes differ (-plain +strayed):\n%s", d)
	}
}

// TestSetBack: what a clock that was a year ahead has banned lasts no longer
// than its term, and afterwards offenders are found and good senders learnt as
// ever.
func TestSetBack(t *testing.T) {
	e := newEngine(t)
	seq := uint64(0)
	feed := func(at time.Time, line []byte) {
		seq++
		e.Feed(0, seq, fmt.Appendf(nil, "%s%s", at.Format(time.RFC3339), line[len(time.Stamp):]))
	}
	offend := func(at time.Time, client string) {
		for n := range 10 {
			at := at.Add(time.Duration(n) * time.Second)
			feed(at, reject(at, client, n))
		}
	}
	offend(reference.AddDate(1, 0, 0), "192.0.2.7")
	if e.Len() != 1 {
		t.Fatalf("%d bans, want 1", e.Len())
	}
	offend(reference, "192.0.2.8")
	if e.Len() != 2 {
		t.Errorf("%d bans after the clock was set back, want 2", e.Len())
	}
	for _, x := range e.Entries() {
		if last := reference.Add(time.Hour + time.Minute).Unix(); x.Until > last {
			t.Errorf("%s is banned until %s, for more than its term", x.Prefix, time.Unix(x.Until, 0).UTC())
		}
	}
	later := reference.Add(2 * time.Hour)
	feed(later, accepted(later, "192.0.2.9"))
	if e.Len() != 0 {
		t.Errorf("%d bans two hours later, want none", e.Len())
	}
	for day := range 5 {
		for n := range 20 {
			at := reference.AddDate(0, 0, day).Add(time.Duration(3+n) * time.Hour)
			feed(at, accepted(at, "192.0.2.10"))
		}
	}
	if f := e.good.Factor(netip.MustParseAddr("192.0.2.10")); f <= 256 {
		t.Errorf("a sender of five days has the factor %d: it is not known good", f)
	}
}

// TestLateRevival: a line that comes late revives a ban from the scoring clock
// on, not from before its end.
func TestLateRevival(t *testing.T) {
	e := newEngine(t)
	for n := range 10 {
		e.Feed(0, uint64(n+1), reject(reference, "192.0.2.7", n))
	}
	end := reference.Add(time.Hour)
	e.Feed(0, 20, accepted(end.Add(30*time.Second), "192.0.2.9"))
	if e.Len() != 0 {
		t.Fatalf("%d bans after an hour", e.Len())
	}
	e.Feed(0, 21, reject(end.Add(-20*time.Second), "192.0.2.7", 11))
	for x := range e.Bans() {
		if x.From != e.Now() || x.Until != e.Now()+7200 {
			t.Errorf("banned from %s until %s at %s", time.Unix(x.From, 0).UTC(), time.Unix(x.Until, 0).UTC(), time.Unix(e.Now(), 0).UTC())
		}
	}
	if e.Len() != 1 {
		t.Errorf("%d bans, want 1", e.Len())
	}
}

// TestRewindSeldom: where the lines of a host whose clock is behind come in
// between, what goes by the clock is set back with it once a minute at most, and
// not for some minutes.
func TestRewindSeldom(t *testing.T) {
	for _, x := range []struct {
		behind int64
		want   int
	}{{300, 0}, {3600, 10}} {
		c, times := clock{}, 0
		for n := range int64(600) {
			for i := range uint32(9) {
				at := 1_000_000_000 + n
				if i > 3 {
					at -= x.behind
				}
				c.accept(at, i)
				if c.back {
					c.back = false
					times++
				}
			}
		}
		if times != x.want {
			t.Errorf("%d s behind: set back %d times in ten minutes, want %d", x.behind, times, x.want)
		}
	}
}
