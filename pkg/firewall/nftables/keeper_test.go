//go:build linux

package nftables

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// record is a log that may be read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// TestKeeper: what a foreign hand takes away is back soon, is counted, and the
// log says who it was. What does us no harm is no repair.
func TestKeeper(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "nft")
	b, err := New(firewall.Options{Ports: firewalltest.Ports})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	entries := firewalltest.Bulk(500, time.Now())
	allow := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	if err := b.Setup(ctx, allow); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(ctx, ban.Change{Add: entries}); err != nil {
		t.Fatal(err)
	}
	var log record
	k := &firewall.Keeper{
		Backend: b,
		Want:    func() ([]netip.Prefix, []ban.Entry) { return allow, entries },
		Every:   time.Hour, // only the kernel tells
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	}
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		if err := b.Teardown(context.Background()); err != nil {
			t.Error(err)
		}
	}()

	nft := func(script string) {
		t.Helper()
		c := exec.Command("nft", "-f", "-")
		c.Stdin = strings.NewReader(script)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v %s", err, out)
		}
	}
	// A harm before the watch has begun is found when it begins.
	for i, harm := range []string{"flush ruleset\n", "delete table inet postmoat\n", "flush ruleset\n"} {
		nft(harm)
		for deadline := time.Now().Add(time.Minute); k.Repairs() < uint64(i+1); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q was not repaired:\n%s", harm, log.String())
			}
		}
	}
	have, err := b.Active(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c := firewall.Plan(have, entries, time.Now().Unix()); !c.Empty() {
		t.Errorf("after the repair %d are missing and %d too many", len(c.Add), len(c.Remove))
	}
	if !strings.Contains(log.String(), "by=nft") {
		t.Errorf("the log does not say who it was:\n%s", log.String())
	}
	before := k.Repairs()
	nft("add table ip somebody\n")
	nft("delete table ip somebody\n")
	if d, err := b.Check(ctx); err != nil || len(d.Missing) > 0 {
		t.Errorf("check: %+v, %v", d, err)
	}
	if n := k.Repairs(); n != before {
		t.Errorf("%d repairs for a foreign table", n-before)
	}
}
