package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
)

// TestMain runs everything in a network namespace of its own: no test can
// touch the firewall of the host.
func TestMain(m *testing.M) { testscript.Main(namespaced{m}, commands) }

type namespaced struct{ *testing.M }

func (m namespaced) Run() int {
	firewalltest.Main(m.M) // exits
	return 2
}

// A machine is a host with the program and a configuration.
type machine struct {
	t      testing.TB
	bin    string
	config string
}

func newMachine(t *testing.T, backend string) *machine {
	t.Helper()
	bin, err := exec.LookPath("postmoat") // testscript has made it, of this test
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m := &machine{t, bin, filepath.Join(dir, "postmoat.yaml")}
	config := "state: " + filepath.Join(dir, "state") + "\nfirewall: {backend: " + backend + "}\n"
	if err := os.WriteFile(m.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs a command of the program that has to succeed.
func (m *machine) run(command string, args ...string) string {
	m.t.Helper()
	out, err := m.try(command, args...)
	if err != nil {
		m.t.Fatalf("postmoat %s %s: %v\n%s", command, strings.Join(args, " "), err, out)
	}
	return out
}

func (m *machine) try(command string, args ...string) (string, error) {
	m.t.Helper()
	c := exec.Command(m.bin, append([]string{command, "--config", m.config}, args...)...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), err
}

// rulesets is the whole firewall of the host.
func rulesets(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, c := range [][]string{{"nft", "list", "ruleset"}, {"iptables-save"}, {"ip6tables-save"}, {"ipset", "save"}} {
		out, err := exec.Command(c[0], c[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		for line := range strings.Lines(string(out)) {
			// iptables-save writes the time of day.
			if !strings.HasPrefix(line, "#") {
				all.WriteString(line)
			}
		}
	}
	return all.String()
}

const attack = "../../testdata/replay/attack-2004.log.gz"

// TestApply puts the attack of 2004 into a real firewall: the attackers and
// their neighbours get nothing, the good sender among them and everybody else
// get through, and flush brings the host back exactly as it was.
func TestApply(t *testing.T) {
	for _, backend := range []string{"nftables", "iptables"} {
		t.Run(backend, func(t *testing.T) {
			firewalltest.NeedNamespace(t)
			for _, tool := range []string{"nft", "iptables", "ip6tables", "ipset"} {
				firewalltest.NeedTool(t, tool)
			}
			const (
				attacker  = "198.51.100.2"
				neighbour = "203.0.113.250" // of an attacking network, did nothing
				good      = "198.19.200.25" // known good, in the middle of another
				stranger  = "198.18.0.99"
			)
			net := firewalltest.NewNet(t, attacker, neighbour, good, stranger)
			m := newMachine(t, backend)
			foreign := exec.Command("nft", "-f", "-")
			foreign.Stdin = strings.NewReader(`table ip others {
	set s { type ipv4_addr; elements = { 192.0.2.1 }; }
	chain c { type filter hook input priority 0; ip saddr @s drop; }
}
`)
			if out, err := foreign.CombinedOutput(); err != nil {
				t.Fatalf("nft: %v %s", err, out)
			}
			// The rest of the run must find the tables that iptables makes when
			// it is first asked.
			before := rulesets(t)
			for _, c := range []string{attacker, neighbour, good, stranger} {
				net.Expect(t, c, 25, firewalltest.Through)
			}

			wide := firewalltest.Nothing
			if out, err := m.try("allow", "--afresh"); err != nil { // the Postfix of this machine does not say what it trusts, perhaps
				if !strings.Contains(out, "not complete") {
					t.Fatal(out)
				}
				wide = firewalltest.Through
			}
			session, err := net.Dial(attacker, 25, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			out := m.run("replay", "--apply", "--yes", "--timezone", "UTC", attack)
			if !strings.Contains(out, "bans are in force") {
				t.Errorf("it does not say what it did:\n%s", out)
			}
			if !strings.Contains(out, "\n1 open connections of banned clients were cut") {
				t.Errorf("the open session of an attacker was not cut:\n%s", out)
			}
			net.Expect(t, attacker, 25, firewalltest.Nothing)
			net.Expect(t, neighbour, 25, wide)
			net.Expect(t, neighbour, 143, firewalltest.Through) // a network, at its own door
			net.Expect(t, good, 25, firewalltest.Through)
			net.Expect(t, stranger, 25, firewalltest.Through)

			var held []listed
			if err := json.Unmarshal([]byte(m.run("list", "--firewall", "--format", "json")), &held); err != nil {
				t.Fatal(err)
			}
			packets := uint64(0)
			for _, x := range held {
				packets += x.Packets
				if x.Remaining == nil || *x.Remaining <= 0 || *x.Remaining > 7200 {
					t.Errorf("%s ends in %v seconds", x.Prefix, x.Remaining)
				}
			}
			if len(held) < 6 || packets == 0 {
				t.Errorf("%d bans that cut %d packets: %+v", len(held), packets, held)
			}

			m.run("flush")
			net.Expect(t, attacker, 25, firewalltest.Through)
			if d := cmp.Diff(before, rulesets(t)); d != "" {
				t.Errorf("flush left something, or took too much (-before +after):\n%s", d)
			}
			if out := m.run("list", "--firewall"); !strings.Contains(out, "no ban") {
				t.Errorf("list after flush: %s", out)
			}
		})
	}
}

// TestApplyAsks: without --yes and a terminal nothing is done.
func TestApplyAsks(t *testing.T) {
	firewalltest.NeedNamespace(t)
	m := newMachine(t, "nftables")
	out, err := m.try("replay", "--apply", "--timezone", "UTC", attack)
	if err == nil || !strings.Contains(out, "--yes") {
		t.Errorf("%v\n%s", err, out)
	}
	if out := m.run("list", "--firewall"); !strings.Contains(out, "no ban") {
		t.Errorf("something was done:\n%s", out)
	}
}

// TestCheckFirewall says which backends work, and leaves nothing.
func TestCheckFirewall(t *testing.T) {
	firewalltest.NeedNamespace(t)
	for _, tool := range []string{"nft", "iptables", "ip6tables", "ipset"} {
		firewalltest.NeedTool(t, tool)
	}
	m := newMachine(t, "auto")
	works := func(out string) {
		t.Helper()
		for _, want := range []string{"nftables: works", "iptables: works", "firewall: nftables"} {
			if !strings.Contains(out, want) {
				t.Errorf("it does not say %q:\n%s", want, out)
			}
		}
	}
	before := rulesets(t)
	works(m.run("check", "--firewall"))
	if d := cmp.Diff(before, rulesets(t)); d != "" {
		t.Errorf("check left something (-before +after):\n%s", d)
	}

	// Several at once do not meet. (An empty table raw of iptables may stay:
	// the one that made it can't remove it while another uses it.)
	t.Cleanup(func() {
		if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
			t.Errorf("nft: %v %s", err, out)
		}
	})
	var outs [3]string
	var checks sync.WaitGroup
	for i := range outs {
		checks.Go(func() { outs[i], _ = m.try("check", "--firewall") })
	}
	checks.Wait()
	for _, out := range outs {
		works(out)
	}
}

// TestCheckFirewallWithoutRights: an ordinary user is told what is missing.
func TestCheckFirewallWithoutRights(t *testing.T) {
	firewalltest.NeedNamespace(t)
	for _, tool := range []string{"nft", "iptables", "ipset"} {
		firewalltest.NeedTool(t, tool)
	}
	m := newMachine(t, "auto")
	c := exec.Command(m.bin, "check", "--firewall", "--config", m.config)
	c.Env = []string{"PATH=/usr/bin:/bin"}                                  // that of an ordinary user
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER} // of nobody who has rights here
	out, err := c.CombinedOutput()
	if err == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("err = %v, want exit code 1", err)
	}
	for _, want := range []string{
		"nftables: does not work: nftables: ", "Needs CAP_NET_ADMIN: run as root",
		"iptables: does not work: iptables: ", "Needs CAP_NET_ADMIN and CAP_NET_RAW", "does not work here",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}
