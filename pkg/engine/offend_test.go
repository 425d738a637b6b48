package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/rule"
)

// TestNamesWhatCounted: of the rules that matched some events a ban, and the
// standing of a client, name those that counted in the window, not those that
// count in another one, nor those that weigh less.
func TestNamesWhatCounted(t *testing.T) {
	slow := spec("slow", 1, "kind", "smtpd.reject")
	slow.Windows = []string{"day"}
	fast := spec("fast", 2, "kind", "smtpd.reject")
	fast.Windows = []string{"burst"}
	light := spec("light", 1, "kind", "smtpd.reject") // counts in spray alone
	rules, err := rule.Compile([]rule.Spec{slow, fast, light}, []string{"burst", "day", "spray"})
	if err != nil {
		t.Fatal(err)
	}
	o := newEngine(t).o
	o.Rules, o.Allow = rules, new(prefix.Set)
	e := New(o)
	e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: reference.Unix()})
	for n := range 5 { // 5 events of weight 2 reach the 10 of burst
		if n == 4 {
			named := map[string]int{}
			for _, s := range e.Standing(netip.MustParseAddr("203.0.113.7"), maillog.SMTP) {
				for _, ev := range s.Events {
					for _, r := range ev.Rules {
						named[o.Windows[s.Window].Name+" "+r] += ev.Count
					}
				}
			}
			if want := map[string]int{"burst fast": 4, "day slow": 4, "spray light": 4}; !maps.Equal(named, want) {
				t.Errorf("standing by %v, want %v", named, want)
			}
		}
		e.Feed(0, uint64(n+1), reject(reference.Add(time.Duration(n)*time.Second), "203.0.113.7", n))
	}
	bans := 0
	for b := range e.Bans() {
		bans++
		got := map[string]int{}
		for _, m := range b.Members {
			for _, r := range m.Cause.Rules {
				got[r.Rule] += r.Count
			}
		}
		if want := map[string]int{"fast": 5}; !maps.Equal(got, want) {
			t.Errorf("%s counted by %v, want %v", b.Prefix, got, want)
		}
	}
	if bans != 1 {
		t.Errorf("%d bans", bans)
	}
}

// TestShareOfRecipients: a mailing list with one stale address among fifty has
// the other forty-nine on its side, and a client whose message went to nobody
// but one has not.
func TestShareOfRecipients(t *testing.T) {
	stale := spec("stale", 1, "kind", "smtpd.reject")
	stale.Windows = []string{"day"}
	rules, err := rule.Compile([]rule.Spec{stale}, []string{"burst", "day", "spray"})
	if err != nil {
		t.Fatal(err)
	}
	for taken, want := range map[int]int{49: 0, 1: 1} {
		o := newEngine(t).o
		o.Rules, o.Allow = rules, new(prefix.Set)
		e := New(o)
		e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: reference.Unix()})
		for n := range 40 {
			at := reference.Add(time.Duration(n) * time.Minute)
			e.Feed(0, uint64(3*n), reject(at, "203.0.113.7", n))
			e.Feed(0, uint64(3*n+1), fmt.Appendf(nil, "%s mx postfix/smtpd[77]: disconnect from unknown[203.0.113.7] ehlo=1 mail=1 rcpt=%d/%d data=1 commands=9/10\n",
				at.Format(time.Stamp), taken, taken+1))
			if n%2 == 0 { // a message that nobody took
				e.Feed(0, uint64(3*n+2), reject(at, "203.0.113.7", n))
			}
		}
		bans := 0
		for range e.Bans() {
			bans++
		}
		if bans != want {
			t.Errorf("%d of %d recipients taken: %d bans, want %d", taken, taken+1, bans, want)
		}
	}
}
