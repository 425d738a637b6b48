package engine

import (
	"maps"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/rule"
)

// TestBanNamesWhatCounted: of the rules that matched the events of a ban it
// names those that counted in the window that fired, not those that count in
// another one, nor those that weigh less.
func TestBanNamesWhatCounted(t *testing.T) {
	slow := spec("slow", 1, "kind", "smtpd.reject")
	slow.Windows = []string{"day", "spray"}
	fast := spec("fast", 2, "kind", "smtpd.reject")
	fast.Windows = []string{"burst"}
	light := spec("light", 1, "kind", "smtpd.reject")
	rules, err := rule.Compile([]rule.Spec{slow, fast, light}, []string{"burst", "day", "spray"})
	if err != nil {
		t.Fatal(err)
	}
	o := newEngine(t).o
	o.Rules, o.Allow = rules, new(prefix.Set)
	e := New(o)
	e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: reference.Unix()})
	for n := range 5 { // 5 events of weight 2 reach the 10 of burst
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
