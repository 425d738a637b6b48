//go:build linux

package nftables

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
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

// keep runs a keeper of entries until the end of the test.
func keep(t *testing.T, entries []ban.Entry, o firewall.KeeperOptions) (*Backend, *firewall.Keeper) {
	t.Helper()
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "nft")
	b, err := New(firewall.Options{Ports: firewalltest.Ports})
	if err != nil {
		t.Fatal(err)
	}
	k := firewall.NewKeeper(b, o)
	if err := k.Want(t.Context(), []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, entries); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := errors.Join(b.Teardown(context.Background()), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return b, k
}

// TestKeeper: what a foreign hand takes away is back soon, is counted, and the
// log says who it was. What does us no harm is no repair.
func TestKeeper(t *testing.T) {
	entries := firewalltest.Bulk(500, time.Now())
	var log record
	b, k := keep(t, entries, firewall.KeeperOptions{
		Every: time.Hour, // only the kernel tells
		Log:   slog.New(slog.NewTextHandler(&log, nil)),
	})

	nft := func(script string) {
		t.Helper()
		foreign(t, script)
	}
	// A harm before the watch has begun is found when it begins.
	for i, harm := range []string{"flush ruleset\n", "delete table inet postmoat\n", "flush ruleset\n"} {
		nft(harm)
		for deadline := time.Now().Add(time.Minute); k.State().Repairs < uint64(i+1); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q was not repaired:\n%s", harm, log.String())
			}
		}
	}
	inStep(t, b, entries)
	if !strings.Contains(log.String(), "by=nft") {
		t.Errorf("the log does not say who it was:\n%s", log.String())
	}
	before := k.State().Repairs
	nft("add table ip somebody\n")
	nft("delete table ip somebody\n")
	if d, err := b.Check(t.Context()); err != nil || len(d.Missing) > 0 {
		t.Errorf("check: %+v, %v", d, err)
	}
	if n := k.State().Repairs; n != before {
		t.Errorf("%d repairs for a foreign table", n-before)
	}
}

// foreign runs nft: what somebody else does.
func foreign(t *testing.T, script string) {
	t.Helper()
	c := exec.Command("nft", "-f", "-")
	c.Stdin = strings.NewReader(script)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("nft: %v %s", err, out)
	}
}

// inStep compares what the kernel holds with what is wanted.
func inStep(t *testing.T, b *Backend, want []ban.Entry) {
	t.Helper()
	have, err := b.Active(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := firewall.Plan(have, want, time.Now().Unix()); !c.Empty() {
		t.Errorf("%d are missing, %d have other deadlines, %d are too many", len(c.Add), len(c.Refresh), len(c.Remove))
	}
}

// TestKeeperUnderFire: the engine goes on while a foreign hand flushes and
// deletes. In the end all is as the engine believes.
func TestKeeperUnderFire(t *testing.T) {
	b, k := keep(t, nil, firewall.KeeperOptions{Every: time.Second})
	all := firewalltest.Bulk(3000, time.Now())
	held := all[:0:0]
	var talking sync.WaitGroup
	var engineDone atomic.Bool
	talking.Go(func() {
		defer engineDone.Store(true)
		rnd := rand.New(rand.NewPCG(rand.Uint64(), 0))
		for len(all) > 0 {
			n := 1 + rnd.IntN(min(20, len(all)))
			c := ban.Change{Add: all[:n]}
			held, all = append(held, all[:n]...), all[n:]
			if gone := rnd.IntN(5); gone < len(held) {
				c.Remove, held = held[:gone:gone], held[gone:]
			}
			if err := k.Apply(t.Context(), c); err != nil && !errors.Is(err, firewall.ErrPending) {
				t.Error(err)
			}
		}
	})
	talking.Go(func() {
		for i := 0; i < 5 || !engineDone.Load(); i++ {
			switch i % 3 {
			case 0:
				foreign(t, "flush ruleset\n")
			case 1: // there may be no such thing just now
				_ = exec.Command("nft", "flush", "set", "inet", "postmoat", "smtp4_32").Run()
			case 2:
				_ = exec.Command("nft", "add", "element", "inet", "postmoat", "smtp4_32", "{ 198.51.100.77 timeout 1h }").Run()
			}
		}
	})
	talking.Wait()
	// The last of the foreign deeds may not have been seen yet.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		drift, err := b.Check(t.Context())
		if st := k.State(); err == nil && drift.OK() && st.InStep {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in step: %+v, %+v, %v", k.State(), drift, err)
		}
	}
	inStep(t, b, held)
	if st := k.State(); st.Repairs == 0 || st.Wanted != len(held) {
		t.Errorf("state = %+v, with %d held", st, len(held))
	}
}
