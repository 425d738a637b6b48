package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postmoat/postmoat/pkg/control"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// program is this test's own binary, which testscript has put into the path: so
// the daemon has the race detector where the tests have it.
func program(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("postmoat")
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// TestLive is the daemon's life: attacks of both families, a firewall that is
// swept, a kill -9, lines while it is down, rotations, an operator's unban, a
// stop. What counts is what packets see.
func TestLive(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "nft")
	const (
		attacker, neighbour   = "192.0.2.7", "192.0.2.8"
		attacker6, neighbour6 = "2001:db8:0:700::7", "2001:db8:0:701::7"
		sameNet6              = "2001:db8:0:700:ffff::1" // as attacker6: one /64
		nearly                = "203.0.113.5"            // one short of the limit
		late                  = "198.18.0.77"            // attacks while the daemon is down
		torn, torn6           = "198.18.9.1", "2001:db8:0:800::1"
	)
	net := firewalltest.NewNet(t, attacker, neighbour, attacker6, neighbour6, sameNet6, nearly, late, torn, torn6)
	h := newHost(t, program(t), "")
	h.start()

	h.write(bounces(attacker, 1, 9)...)
	h.write(bounces(attacker6, 1, 9)...)
	h.scored(attacker, 9)
	h.scored(attacker6, 9)
	net.Expect(t, attacker, 25, firewalltest.Through)
	net.Expect(t, attacker6, 25, firewalltest.Through)
	h.write(bounce(attacker, 10), bounce(attacker6, 10))
	for _, c := range []string{attacker, attacker6, sameNet6} {
		h.cut(net, c)
		net.Expect(t, c, 143, firewalltest.Nothing) // a host: at all doors
		net.Expect(t, c, 2222, firewalltest.Through)
	}
	untouched := func() {
		t.Helper()
		for _, c := range []string{neighbour, neighbour6} {
			net.Expect(t, c, 25, firewalltest.Through)
		}
	}
	untouched()
	x := h.explain(attacker)
	if len(x.Bans) != 1 || x.Bans[0].Prefix != attacker+"/32" || x.Bans[0].State != "in force" || x.Bans[0].Rules["unknown-recipients-null"] != 10 {
		t.Errorf("explain %s: %+v", attacker, x.Bans)
	}

	if out := h.run("explain", attacker); !strings.Contains(out, attacker+"/32") || !strings.Contains(out, "unknown-recipients-null") {
		t.Errorf("explain does not tell the story:\n%s", out)
	}

	// Somebody sweeps the firewall.
	if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
		t.Fatalf("nft: %v %s", err, out)
	}
	h.cut(net, attacker)
	h.cut(net, attacker6)
	untouched()
	h.inStep()

	// Killed while one client is a line short of the limit.
	h.write(bounces(nearly, 1, 9)...)
	h.scored(nearly, 9)
	h.kill()
	net.Expect(t, attacker, 25, firewalltest.Nothing)
	net.Expect(t, attacker6, 25, firewalltest.Nothing)
	// Down, with a rotation in the middle of an attack: the program that writes
	// has the old file open for a while.
	h.write(bounces(late, 1, 5)...)
	old := h.rotate()
	writeTo(t, old, bounces(late, 6, 7)...)
	old.Close()
	h.write(bounces(late, 8, 10)...)
	net.Expect(t, late, 25, firewalltest.Through)
	h.start()
	for _, c := range []string{late, attacker, attacker6} {
		net.Expect(t, c, 25, firewalltest.Nothing) // it has said that it is ready
	}
	untouched()
	h.inStep()
	h.scored(nearly, 9)
	net.Expect(t, nearly, 25, firewalltest.Through)
	h.write(bounce(nearly, 10))
	h.cut(net, nearly)

	// A rotation while it runs.
	h.write(bounces(torn, 1, 4)...)
	h.write(bounces(torn6, 1, 4)...)
	old = h.rotate()
	h.write(bounces(torn, 5, 7)...)
	h.write(bounces(torn6, 5, 7)...)
	writeTo(t, old, bounces(torn, 8, 9)...)
	writeTo(t, old, bounces(torn6, 8, 9)...)
	old.Close()
	h.scored(torn, 9)
	h.scored(torn6, 9)
	h.write(bounce(torn, 10), bounce(torn6, 10))
	h.cut(net, torn)
	h.cut(net, torn6)

	// Undone by the operator.
	h.run("unban", attacker6)
	net.Expect(t, attacker6, 25, firewalltest.Through)
	net.Expect(t, attacker, 25, firewalltest.Nothing)
	h.write(bounces(attacker6, 11, 30)...) // an hour on the allowlist
	h.write(bounce(neighbour, 1))
	h.scored(neighbour, 1) // so the others have been read
	net.Expect(t, attacker6, 25, firewalltest.Through)

	// Stopped: the bans stay, and are known after the next start.
	before, err := h.client.Bans(t.Context(), control.Query{})
	if err != nil {
		t.Fatal(err)
	}
	h.stop()
	for _, c := range []string{attacker, nearly, late, torn, torn6} {
		net.Expect(t, c, 25, firewalltest.Nothing)
	}
	h.start()
	after, err := h.client.Bans(t.Context(), control.Query{})
	if err != nil {
		t.Fatal(err)
	}
	names := func(bans []control.Ban) (all []string) {
		for _, b := range bans {
			all = append(all, b.Prefix)
		}
		return all
	}
	if d := cmp.Diff(names(before), names(after)); d != "" || len(after) != 5 {
		t.Errorf("a restart changes the bans (-before +after):\n%s%+v", d, after)
	}
	h.inStep()
	net.Expect(t, attacker6, 25, firewalltest.Through)
	h.stop()
}

// TestLiveDryRun: a dry run knows everything and does nothing.
func TestLiveDryRun(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "nft")
	const attacker = "192.0.2.7"
	net := firewalltest.NewNet(t, attacker)
	h := newHost(t, program(t), "")
	rules := func() string {
		out, err := exec.Command("nft", "list", "ruleset").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := rules()
	h.start("--dry-run")
	h.write(bounces(attacker, 1, 10)...)
	h.banned(attacker)
	if x := h.explain(attacker); x.Bans[0].State != "dry run" {
		t.Errorf("explain: %+v", x.Bans)
	}
	net.Expect(t, attacker, 25, firewalltest.Through)
	if d := cmp.Diff(before, rules()); d != "" {
		t.Errorf("the firewall was touched while it ran:\n%s", d)
	}
	h.stop()
	if d := cmp.Diff(before, rules()); d != "" {
		t.Errorf("the firewall was touched at the end:\n%s", d)
	}
}

// TestLiveFullDisk: an operator whose ban the disk does not take is told so at
// once, and no more when there is space again.
func TestLiveFullDisk(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.NeedTool(t, "unshare")
	firewalltest.NeedTool(t, "mount")
	h := newHost(t, program(t), "")
	state := filepath.Join(h.dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	h.around = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=256k none "$0" && exec "$@"`, state}
	h.start("--dry-run")

	const warning = "postmoat: warning: the disk does not take"
	if out := h.run("ban", "192.0.2.1"); strings.Contains(out, warning) || !strings.Contains(out, "banned 192.0.2.1/32") {
		t.Errorf("while there is space: %s", out)
	}
	// The disk as the daemon sees it.
	ballast := filepath.Join(fmt.Sprintf("/proc/%d/root", h.process.Process.Pid), state, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 512))
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	// What is in its last page has room yet.
	told := 0
	for i := range 60 {
		out := h.run("ban", fmt.Sprintf("192.0.2.%d", 2+i), "--because", strings.Repeat("because ", 20))
		if strings.Contains(out, warning) {
			told++
		}
		if !strings.Contains(out, "banned 192.0.2.") {
			t.Errorf("on a full disk: %s", out)
		}
	}
	if told == 0 || h.status().Snapshot.Pending != told {
		t.Errorf("told of %d bans that the disk did not take, %d wait", told, h.status().Snapshot.Pending)
	}
	if out := h.run("allow", "add", "198.51.100.7", "--persist"); !strings.Contains(out, warning) {
		t.Errorf("allow add on a full disk: %s", out)
	}
	if out := h.run("list"); strings.Contains(out, warning) {
		t.Errorf("a question is warned of: %s", out)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if out := h.run("ban", "192.0.2.250"); strings.Contains(out, warning) {
		t.Errorf("there is space again: %s", out)
	}
	if n := h.status().Snapshot.Pending; n != 0 {
		t.Errorf("%d records wait still", n)
	}
}
