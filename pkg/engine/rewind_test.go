package engine

import (
	"bytes"
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
	sure := reference.Add((settled + 10) * time.Second)
	feed(sure, accepted(sure, "192.0.2.9"))
	for _, x := range e.Entries() {
		if last := reference.Add(time.Hour + time.Minute + settled*time.Second).Unix(); x.Until > last {
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

// TestTwoClocks: in a log of two hosts whose clocks are two hours apart the
// scoring clock goes to and fro. Who offends at either is banned, where the clock
// is ahead for the whole term, and the walks over all clients are few.
func TestTwoClocks(t *testing.T) {
	e := newEngine(t)
	walks, spare := 0, e.spare
	const lines = 4000
	for n := range lines {
		at, client := reference.Add(time.Duration(n)*time.Second/10), "192.0.2.7"
		if n/4%2 == 1 {
			at, client = at.Add(-2*time.Hour), "198.51.100.8"
		}
		line := fmt.Appendf(nil, "%s mx postfix/smtpd[%d]: connect from unknown[203.0.113.%d]\n", at.Format(time.Stamp), n%7+1, n%200+1)
		if n > lines/2 && n%100 < 8 {
			line = reject(at, client, n)
		}
		e.Feed(0, uint64(n+1), line)
		if e.spare != spare {
			walks, spare = walks+1, e.spare
		}
	}
	for _, x := range e.Ended() {
		if x.Prefix.Contains(netip.MustParseAddr("192.0.2.7")) {
			t.Errorf("the ban of %s ended after %d s", x.Prefix, x.Ended-x.From)
		}
	}
	if walks == 0 || walks > 1+lines/rewindLines {
		t.Errorf("%d walks for %d lines", walks, lines)
	}
	if e.Len() != 2 {
		t.Errorf("%d bans, want 2", e.Len())
	}
}

// TestSetBackAgain: a clock that is set back twice in short time is followed in
// the end, also when the state was written and read in between.
func TestSetBackAgain(t *testing.T) {
	e := newEngine(t)
	for n := range 3 * rewindLines {
		at := reference.Add(time.Duration(n) * time.Second)
		if n < 30 {
			at = at.Add(time.Duration(30-n) / 10 * 48 * time.Hour)
		}
		line := fmt.Appendf(nil, "%s mx postfix/smtpd[%d]: connect from unknown[192.0.2.9]\n", at.Format(time.Stamp), n%7+1)
		if n > 2*rewindLines {
			line = reject(at, "192.0.2.7", n)
		}
		if n == 40 {
			var state bytes.Buffer
			if err := e.Encode(&state); err != nil {
				t.Fatal(err)
			}
			e = newEngine(t)
			if err := e.Restore(&state); err != nil {
				t.Fatal(err)
			}
			if !e.front.clock.back {
				t.Error("the clock was followed at once: the test shows nothing")
			}
		}
		e.Feed(0, uint64(n+1), line)
	}
	if e.Len() != 1 || e.front.clock.back {
		t.Errorf("%d bans, want 1; the clock is still to be followed: %v", e.Len(), e.front.clock.back)
	}
}
