//go:build linux

package nftables_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/nftables"
)

func TestMain(m *testing.M) { firewalltest.Main(m) }

func open(t testing.TB, o firewall.Options) firewall.Backend {
	b, err := nftables.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// nft runs the program: what somebody else does.
func nft(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, "", args...)
}

// script hands the program a text.
func script(t testing.TB, text string) {
	t.Helper()
	run(t, text, "-f", "-")
}

func run(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	firewalltest.NeedTool(t, "nft")
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q %s: %v: %s", args, stdin, err, out)
	}
	return string(out)
}

var suite = firewalltest.Suite{
	New:       open,
	Deadlines: true,
	Persists:  true,
	Rejects:   true,
	Snapshot:  func(t testing.TB) string { return nft(t, "-s", "list", "ruleset") },
	Foreign: func(t testing.TB) {
		script(t, `
			table inet filter {
				set smtp4_32 { type ipv4_addr; flags timeout; elements = { 192.0.2.99 timeout 1d }; }
				chain input {
					type filter hook input priority 0; policy accept;
					ip saddr @smtp4_32 drop
					tcp dport 22 accept
				}
			}
			table ip postmoat {
				chain check { ip saddr 192.0.2.1 counter; }
			}`)
		t.Cleanup(func() { nft(t, "flush ruleset") })
	},
	Wrecks: map[string]func(testing.TB, string){
		"an empty table":       func(t testing.TB, owner string) { nft(t, "add table inet "+owner) },
		"a table put to sleep": func(t testing.TB, owner string) { nft(t, "table inet "+owner+" { flags dormant; }") },
		"somebody else's chains": func(t testing.TB, owner string) {
			script(t, "table inet "+owner+` {
				chain y { drop; }
				chain x { jump y; }
			}`)
		},
		"half of it": func(t testing.TB, owner string) {
			script(t, "table inet "+owner+` {
				set ports { type inet_service; elements = { 80 }; }
				chain check { drop; }
				chain cut { drop; }
			}`)
		},
		"the base chain at another hook": func(t testing.TB, owner string) {
			script(t, "table inet "+owner+` {
				chain prerouting { type filter hook input priority 0; policy drop; }
			}`)
		},
		"sets of another type": func(t testing.TB, owner string) {
			script(t, "table inet "+owner+` {
				set smtp4_32 { type ipv4_addr; elements = { 192.0.2.1 }; }
				set allow4 { type inet_service; }
				chain check { ip saddr @smtp4_32 drop; }
			}`)
		},
	},
	Damages: map[string]func(testing.TB, string){
		"flush ruleset":      func(t testing.TB, owner string) { nft(t, "flush ruleset") },
		"delete the table":   func(t testing.TB, owner string) { nft(t, "delete table inet "+owner) },
		"flush the table":    func(t testing.TB, owner string) { nft(t, "flush table inet "+owner) },
		"flush a chain":      func(t testing.TB, owner string) { nft(t, "flush chain inet "+owner+" cut") },
		"flush a set":        func(t testing.TB, owner string) { nft(t, "flush set inet "+owner+" smtp4_32") },
		"flush the ports":    func(t testing.TB, owner string) { nft(t, "flush set inet "+owner+" ports") },
		"flush the allow":    func(t testing.TB, owner string) { nft(t, "add element inet "+owner+" allow4 { 192.0.2.0/24 }") },
		"put it to sleep":    func(t testing.TB, owner string) { nft(t, "add table inet "+owner+" { flags dormant; }") },
		"a rule before ours": func(t testing.TB, owner string) { nft(t, "insert rule inet "+owner+" prerouting accept") },
		"a chain of its own": func(t testing.TB, owner string) { nft(t, "add chain inet "+owner+" mine") },
		"an entry without end": func(t testing.TB, owner string) {
			nft(t, "add element inet "+owner+" smtp4_32 { 192.0.2.77 }")
		},
		"made anew by others": func(t testing.TB, owner string) {
			nft(t, "delete table inet "+owner+"; add table inet "+owner)
		},
	},
}

func TestSuite(t *testing.T) {
	firewalltest.NeedNamespace(t)
	firewalltest.Run(t, suite)
}

func TestPackets(t *testing.T) {
	firewalltest.Packets(t, suite)
}
