//go:build linux

package nftables_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// watch starts Watch and waits until it listens.
func watch(t *testing.T, b firewall.Backend) chan firewall.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events, done := make(chan firewall.Event), make(chan error)
	go func() {
		done <- b.Watch(ctx, func(e firewall.Event) {
			select {
			case events <- e:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch ended with %v", err)
		}
	})
	if e := <-events; !e.Started || e.Lost {
		t.Fatalf("the first event is %+v", e)
	}
	return events
}

// up is a backend that is set up, and torn down at the end.
func up(t testing.TB) firewall.Backend {
	t.Helper()
	firewalltest.NeedNamespace(t)
	b := open(t, firewall.Options{Ports: firewalltest.Ports})
	if err := b.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Teardown(context.Background()); err != nil {
			t.Error(err)
		}
		b.Close()
	})
	return b
}

// TestWatch: each thing that somebody else does to us is told once, with the
// name of the program; what we do, and what is done to others, is not.
func TestWatch(t *testing.T) {
	b := up(t)
	bans := firewalltest.Bulk(firewall.MaxTransaction, time.Now())
	apply := func(c ban.Change) {
		t.Helper()
		if err := b.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	apply(ban.Change{Add: bans[:100]})
	events := watch(t, b)
	for _, test := range []struct{ command, want string }{
		{"add element inet postmoat smtp4_32 { 192.0.2.7 }", "add elements to set smtp4_32"},
		{"delete element inet postmoat smtp4_32 { 192.0.2.7 }", "delete elements of set smtp4_32"},
		{"flush set inet postmoat smtp4_32", "delete elements of set smtp4_32"},
		{"insert rule inet postmoat cut accept", "add rule to chain cut"},
		{"flush chain inet postmoat cut", "delete rule of chain cut"},
		{"add chain inet postmoat mine", "add chain mine"},
		{"add set inet postmoat mine { type mark; }", "add set mine"},
		{"add table inet postmoat { flags dormant; }", "change table inet postmoat"},
		{"delete table inet postmoat", "delete table inet postmoat"},
		{"flush ruleset", "delete table inet postmoat"},
	} {
		// None of this may be seen.
		apply(ban.Change{Remove: bans})
		apply(ban.Change{Add: bans})
		nft(t, "add table inet foreign")
		nft(t, "add chain inet foreign postmoat")
		nft(t, "add table ip postmoat")
		nft(t, test.command)
		e := <-events
		if !slices.Equal(e.What, []string{test.want}) || e.Program != "nft" || e.PID == 0 || e.Lost || e.Started {
			t.Errorf("%s: %+v", test.command, e)
		}
		if err := b.Setup(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	nft(t, "flush ruleset")
	if e := <-events; len(e.What) != 1 {
		t.Errorf("at the end: %+v", e)
	}
}

// TestWatchKeepsProof: what others do to others does not make our bans unproven
// while Watch sees it.
func TestWatchKeepsProof(t *testing.T) {
	b := up(t)
	proven := func() bool {
		t.Helper()
		drift, err := b.Check(t.Context())
		if err != nil || len(drift.Missing) > 0 {
			t.Fatalf("check: %+v, %v", drift, err)
		}
		return !drift.Unproven
	}
	t.Cleanup(func() { nft(t, "delete table inet foreign") })
	nft(t, "add table inet foreign")
	if proven() {
		t.Error("nobody watched, and yet it is proven")
	}
	if _, err := b.Active(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := watch(t, b)
	for i := range 5 {
		nft(t, fmt.Sprintf("add chain inet foreign c%d", i))
		if err := b.Apply(t.Context(), ban.Change{Add: firewalltest.Bulk(5, time.Now())[i : i+1]}); err != nil {
			t.Fatal(err)
		}
		// The notice is handled some time after nft has ended: an event of
		// ours behind it shows that it was.
		nft(t, "add element inet postmoat smtp4_32 { 192.0.2.7 }")
		<-events
		if proven() {
			t.Error("somebody changed our table, and yet it is proven")
		}
		nft(t, "delete element inet postmoat smtp4_32 { 192.0.2.7 }")
		<-events
		if _, err := b.Active(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !proven() {
			t.Error("not proven after reading all")
		}
	}
	for i := range 5 {
		nft(t, fmt.Sprintf("add chain inet foreign d%d", i))
	}
	for !proven() { // as soon as Watch has read the notices
		time.Sleep(time.Millisecond)
	}
}

// TestWatchLost: when notices come faster than they are read, that is told.
func TestWatchLost(t *testing.T) {
	b := up(t)
	events := watch(t, b)
	nft(t, "add element inet postmoat ports { 1 }")
	// That event is not taken yet, so Watch waits, and the notices of a large
	// set of somebody else fill its buffer.
	nft(t, "add table inet foreign; add set inet foreign s { type ipv4_addr; }")
	for i := range 20 { // an ordinary user's socket takes no more at a time
		var large strings.Builder
		for j := range 10_000 {
			fmt.Fprintf(&large, "240.%d.%d.%d,", i, j>>8, j&255)
		}
		script(t, "add element inet foreign s { "+large.String()+" }")
	}
	t.Cleanup(func() { nft(t, "delete table inet foreign") })
	if e := <-events; len(e.What) == 0 {
		t.Errorf("first: %+v", e)
	}
	e := <-events
	if !e.Lost || !e.Started {
		t.Errorf("after too many notices: %+v", e)
	}
	// And it goes on.
	nft(t, "flush ruleset")
	if e := <-events; !slices.Equal(e.What, []string{"delete table inet postmoat"}) {
		t.Errorf("after that: %+v", e)
	}
	nft(t, "add table inet foreign")
}
